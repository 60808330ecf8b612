//! Rows in memory that can be tampered with: columns of plain values, made into batches when they are used.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::StringArray;
use clickcast_record::{Batch, Categorical, Categories, Category, Column, Feature, Kind, Multi, Numeric, Schema, Time};

/// Rows of a batch, as a reader makes them.
const BATCH_ROWS: usize = 16_384;

/// Labelled rows whose true click probability is known. A copy shares its columns until they are changed.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) schema: Schema,
    pub(crate) columns: Vec<Arc<Values>>,
    pub(crate) labels: Vec<bool>,
    /// None where the data has no times.
    pub(crate) times: Option<Vec<Time>>,
    /// The true probabilities.
    pub(crate) truth: Vec<f64>,
}

/// One column.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    Numeric(Vec<f64>),
    /// 0 is missing, `code` is `names[code - 1]`.
    Categorical {
        codes: Vec<u32>,
        names: Arc<Vec<String>>,
    },
    /// `code` is `lists[code]`, whose items are codes of `names`; 0 is the empty list.
    Multi {
        codes: Vec<u32>,
        lists: Arc<Vec<Vec<u32>>>,
        names: Arc<Vec<String>>,
    },
}

impl Table {
    /// A column, to be changed.
    pub(crate) fn column_mut(&mut self, index: usize) -> &mut Values {
        Arc::make_mut(&mut self.columns[index])
    }

    pub(crate) fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Some of the rows, in this order, perhaps more than once.
    pub(crate) fn take(&self, rows: &[usize]) -> Self {
        let of = |codes: &[u32]| rows.iter().map(|&row| codes[row]).collect();
        let column = |values: &Arc<Values>| match &**values {
            Values::Numeric(values) => Values::Numeric(rows.iter().map(|&row| values[row]).collect()),
            Values::Categorical { codes, names } => Values::Categorical { codes: of(codes), names: names.clone() },
            Values::Multi { codes, lists, names } => {
                Values::Multi { codes: of(codes), lists: lists.clone(), names: names.clone() }
            }
        };
        Self {
            schema: self.schema.clone(),
            columns: self.columns.iter().map(column).map(Arc::new).collect(),
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
            times: self.times.as_ref().map(|times| rows.iter().map(|&row| times[row]).collect()),
            truth: rows.iter().map(|&row| self.truth[row]).collect(),
        }
    }

    pub(crate) fn range(&self, rows: Range<usize>) -> Self {
        self.take(&rows.collect::<Vec<_>>())
    }

    /// Another table's rows of the same columns after these.
    pub(crate) fn then(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (mine, theirs) in all.columns.iter_mut().zip(&other.columns) {
            match (Arc::make_mut(mine), &**theirs) {
                (Values::Numeric(mine), Values::Numeric(theirs)) => mine.extend(theirs),
                (Values::Categorical { codes: mine, .. }, Values::Categorical { codes: theirs, .. })
                | (Values::Multi { codes: mine, .. }, Values::Multi { codes: theirs, .. }) => mine.extend(theirs),
                _ => {}
            }
        }
        all.labels.extend(&other.labels);
        all.truth.extend(&other.truth);
        if let (Some(mine), Some(theirs)) = (&mut all.times, &other.times) {
            mine.extend(theirs);
        }
        all
    }

    /// The batches that a reader would make of them, one after the other.
    pub(crate) fn batches(&self, labelled: bool) -> impl Iterator<Item = Batch> {
        let firsts = (0..self.rows()).step_by(BATCH_ROWS);
        let names: Vec<Option<Categories>> = self.columns.iter().map(|values| values.categories()).collect();
        firsts.map(move |first| self.batch(first..(first + BATCH_ROWS).min(self.rows()), &names, labelled))
    }

    fn batch(&self, rows: Range<usize>, names: &[Option<Categories>], labelled: bool) -> Batch {
        let column = |(values, names): (&Arc<Values>, &Option<Categories>)| match (&**values, names) {
            (Values::Categorical { codes, .. }, Some(names)) => {
                let codes = codes[rows.clone()].to_vec().into();
                Column::Categorical(Categorical::Coded { codes, categories: names.clone() })
            }
            (Values::Multi { codes, lists, .. }, Some(names)) => {
                let lists = || codes[rows.clone()].iter().map(|&code| &lists[code as usize]);
                let mut offsets = vec![0];
                offsets.extend(lists().scan(0, |end, list| {
                    *end += list.len();
                    Some(*end)
                }));
                let codes: Vec<u32> = lists().flatten().copied().collect();
                let values = Categorical::Coded { codes: codes.into(), categories: names.clone() };
                Column::Multi(Multi { offsets, values })
            }
            (Values::Numeric(values), _) => Column::Numeric(Numeric::F64(values[rows.clone()].to_vec().into())),
            _ => Column::Numeric(Numeric::F64(Vec::new().into())),
        };
        Batch {
            rows: rows.len(),
            first_row: rows.start as u64,
            features: self.columns.iter().zip(names).map(column).collect(),
            labels: labelled.then(|| self.labels[rows.clone()].to_vec()),
            weights: None,
            times: self.times.as_ref().map(|times| times[rows.clone()].to_vec()),
            carried: Vec::new(),
        }
    }
}

impl Values {
    fn categories(&self) -> Option<Categories> {
        match self {
            Self::Numeric(_) => None,
            Self::Categorical { names, .. } | Self::Multi { names, .. } => {
                Some(Categories::Text(StringArray::from_iter_values(names.iter())))
            }
        }
    }

    /// Takes the values of other rows of the same column at some places.
    pub(crate) fn set_from(&mut self, places: &[usize], other: &Self, rows: &[usize]) {
        match (self, other) {
            (Self::Numeric(mine), Self::Numeric(theirs)) => {
                places.iter().zip(rows).for_each(|(&place, &row)| mine[place] = theirs[row]);
            }
            (Self::Categorical { codes: mine, .. }, Self::Categorical { codes: theirs, .. })
            | (Self::Multi { codes: mine, .. }, Self::Multi { codes: theirs, .. }) => {
                places.iter().zip(rows).for_each(|(&place, &row)| mine[place] = theirs[row]);
            }
            _ => {}
        }
    }
}

/// A table that grows batch by batch.
pub(crate) struct Growing {
    columns: Vec<GrowingColumn>,
    labels: Vec<bool>,
    times: Option<Vec<Time>>,
    truth: Vec<f64>,
}

enum GrowingColumn {
    Numeric(Vec<f64>),
    Categorical { codes: Vec<u32>, names: Names },
    Multi { codes: Vec<u32>, lists: Vec<Vec<u32>>, list_codes: HashMap<Vec<u32>, u32>, names: Names },
}

impl Growing {
    /// For batches of this schema; `timed` where they have times.
    pub(crate) fn new(schema: &Schema, timed: bool) -> Self {
        let column = |feature: &Feature| match feature.kind {
            Kind::Numeric => GrowingColumn::Numeric(Vec::new()),
            Kind::Categorical => GrowingColumn::Categorical { codes: Vec::new(), names: Names::default() },
            Kind::Multi => GrowingColumn::Multi {
                codes: Vec::new(),
                lists: vec![Vec::new()],
                list_codes: HashMap::from([(Vec::new(), 0)]),
                names: Names::default(),
            },
        };
        let columns = schema.features().iter().map(column).collect();
        Self { columns, labels: Vec::new(), times: timed.then(Vec::new), truth: Vec::new() }
    }

    /// Adds labelled rows and their true probabilities.
    pub(crate) fn add(&mut self, batch: &Batch, truth: &[f64]) {
        for (grown, column) in self.columns.iter_mut().zip(&batch.features) {
            match (grown, column) {
                (GrowingColumn::Numeric(grown), Column::Numeric(values)) => {
                    grown.extend((0..batch.rows).map(|row| values.get(row)));
                }
                (GrowingColumn::Categorical { codes, names }, Column::Categorical(values)) => {
                    codes.extend((0..batch.rows).map(|row| names.code(values.get(row))));
                }
                (
                    GrowingColumn::Multi { codes, lists, list_codes, names },
                    Column::Multi(Multi { offsets, values }),
                ) => {
                    for items in offsets.windows(2) {
                        let list: Vec<u32> = (items[0]..items[1]).map(|item| names.code(values.get(item))).collect();
                        let code = *list_codes.entry(list).or_insert_with_key(|list| {
                            lists.push(list.clone());
                            lists.len() as u32 - 1
                        });
                        codes.push(code);
                    }
                }
                _ => {}
            }
        }
        self.labels.extend(batch.labels.iter().flatten());
        self.times.iter_mut().for_each(|times| times.extend(batch.times.iter().flatten()));
        self.truth.extend(truth);
    }

    /// All of them.
    pub(crate) fn table(self, schema: Schema) -> Table {
        let column = |column| match column {
            GrowingColumn::Numeric(values) => Values::Numeric(values),
            GrowingColumn::Categorical { codes, names } => Values::Categorical { codes, names: names.names.into() },
            GrowingColumn::Multi { codes, lists, names, .. } => {
                Values::Multi { codes, lists: lists.into(), names: names.names.into() }
            }
        };
        let columns = self.columns.into_iter().map(column).map(Arc::new).collect();
        Table { schema, columns, labels: self.labels, times: self.times, truth: self.truth }
    }
}

/// Numbers names from 1 as they come.
#[derive(Default)]
struct Names {
    names: Vec<String>,
    codes: HashMap<String, u32>,
}

impl Names {
    fn code(&mut self, category: Option<Category<'_>>) -> u32 {
        let name = match category {
            None => return 0,
            Some(Category::Text(text)) => text.to_owned(),
            Some(Category::Integer(integer)) => integer.to_string(),
        };
        if let Some(&code) = self.codes.get(&name) {
            return code;
        }
        self.names.push(name.clone());
        let code = self.names.len() as u32;
        self.codes.insert(name, code);
        code
    }
}
