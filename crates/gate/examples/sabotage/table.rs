//! Rows in memory that can be tampered with: columns of plain values, made into batches when they are used.

use std::collections::HashMap;
use std::ops::Range;

use arrow_array::StringArray;
use clickcast_record::{Batch, Categorical, Categories, Category, Column, Multi, Numeric, Schema};

/// Rows of a batch, as a reader makes them.
const BATCH_ROWS: usize = 16_384;

/// Labelled rows whose true click probability is known.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) schema: Schema,
    pub(crate) columns: Vec<Values>,
    pub(crate) labels: Vec<bool>,
    /// None where the data has no times.
    pub(crate) times: Option<Vec<i64>>,
    /// The true probabilities; empty where they are not known.
    pub(crate) truth: Vec<f64>,
}

/// One column.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    Numeric(Vec<f64>),
    /// 0 is missing, `code` is `names[code - 1]`.
    Categorical {
        codes: Vec<u32>,
        names: Vec<String>,
    },
    Multi {
        lists: Vec<Vec<u32>>,
        names: Vec<String>,
    },
}

impl Table {
    /// The rows of batches; `truth` is one number a row, or nothing.
    pub(crate) fn of(schema: Schema, batches: &[Batch], truth: Vec<f64>) -> Self {
        let column = |index: usize| match &batches[0].features[index] {
            Column::Numeric(_) => {
                let all = batches.iter().flat_map(|batch| match &batch.features[index] {
                    Column::Numeric(values) => (0..batch.rows).map(|row| values.get(row)).collect::<Vec<_>>(),
                    _ => Vec::new(),
                });
                Values::Numeric(all.collect())
            }
            Column::Categorical(_) => {
                let mut names = Names::default();
                let all = batches.iter().flat_map(|batch| match &batch.features[index] {
                    Column::Categorical(values) => {
                        (0..batch.rows).map(|row| names.code(values.get(row))).collect::<Vec<_>>()
                    }
                    _ => Vec::new(),
                });
                let codes = all.collect();
                Values::Categorical { codes, names: names.names }
            }
            Column::Multi(_) => {
                let mut names = Names::default();
                let all = batches.iter().flat_map(|batch| match &batch.features[index] {
                    Column::Multi(Multi { offsets, values }) => {
                        let list = |row: usize| {
                            (offsets[row]..offsets[row + 1]).map(|item| names.code(values.get(item))).collect()
                        };
                        (0..batch.rows).map(list).collect::<Vec<_>>()
                    }
                    _ => Vec::new(),
                });
                let lists = all.collect();
                Values::Multi { lists, names: names.names }
            }
        };
        let columns = (0..schema.features().len()).map(column).collect();
        let labels = batches.iter().flat_map(|batch| batch.labels.clone().unwrap_or_default()).collect();
        let times = batches[0]
            .times
            .is_some()
            .then(|| batches.iter().flat_map(|batch| batch.times.clone().unwrap_or_default()).collect());
        Self { schema, columns, labels, times, truth }
    }

    pub(crate) fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Some of the rows, in this order, perhaps more than once.
    pub(crate) fn take(&self, rows: &[usize]) -> Self {
        let column = |values: &Values| match values {
            Values::Numeric(values) => Values::Numeric(rows.iter().map(|&row| values[row]).collect()),
            Values::Categorical { codes, names } => {
                Values::Categorical { codes: rows.iter().map(|&row| codes[row]).collect(), names: names.clone() }
            }
            Values::Multi { lists, names } => {
                Values::Multi { lists: rows.iter().map(|&row| lists[row].clone()).collect(), names: names.clone() }
            }
        };
        Self {
            schema: self.schema.clone(),
            columns: self.columns.iter().map(column).collect(),
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
            times: self.times.as_ref().map(|times| rows.iter().map(|&row| times[row]).collect()),
            truth: if self.truth.is_empty() { Vec::new() } else { rows.iter().map(|&row| self.truth[row]).collect() },
        }
    }

    pub(crate) fn range(&self, rows: Range<usize>) -> Self {
        self.take(&rows.collect::<Vec<_>>())
    }

    /// Another table's rows of the same columns after these.
    pub(crate) fn then(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (mine, theirs) in all.columns.iter_mut().zip(&other.columns) {
            match (mine, theirs) {
                (Values::Numeric(mine), Values::Numeric(theirs)) => mine.extend(theirs),
                (Values::Categorical { codes: mine, .. }, Values::Categorical { codes: theirs, .. }) => {
                    mine.extend(theirs);
                }
                (Values::Multi { lists: mine, .. }, Values::Multi { lists: theirs, .. }) => {
                    mine.extend(theirs.iter().cloned());
                }
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

    /// The batches that a reader would make of them.
    pub(crate) fn batches(&self, labelled: bool) -> Vec<Batch> {
        let firsts = (0..self.rows()).step_by(BATCH_ROWS);
        let names: Vec<Option<Categories>> = self.columns.iter().map(Values::categories).collect();
        firsts.map(|first| self.batch(first..(first + BATCH_ROWS).min(self.rows()), &names, labelled)).collect()
    }

    fn batch(&self, rows: Range<usize>, names: &[Option<Categories>], labelled: bool) -> Batch {
        let column = |(values, names): (&Values, &Option<Categories>)| match (values, names) {
            (Values::Categorical { codes, .. }, Some(names)) => {
                let codes = codes[rows.clone()].to_vec().into();
                Column::Categorical(Categorical::Coded { codes, categories: names.clone() })
            }
            (Values::Multi { lists, .. }, Some(names)) => {
                let lists = &lists[rows.clone()];
                let mut offsets = vec![0];
                offsets.extend(lists.iter().scan(0, |end, list| {
                    *end += list.len();
                    Some(*end)
                }));
                let codes: Vec<u32> = lists.concat();
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
                Some(Categories::Text(StringArray::from_iter_values(names)))
            }
        }
    }

    /// Takes the values of other rows of the same column at some places.
    pub(crate) fn set_from(&mut self, places: &[usize], other: &Self, rows: &[usize]) {
        match (self, other) {
            (Self::Numeric(mine), Self::Numeric(theirs)) => {
                places.iter().zip(rows).for_each(|(&place, &row)| mine[place] = theirs[row]);
            }
            (Self::Categorical { codes: mine, .. }, Self::Categorical { codes: theirs, .. }) => {
                places.iter().zip(rows).for_each(|(&place, &row)| mine[place] = theirs[row]);
            }
            (Self::Multi { lists: mine, .. }, Self::Multi { lists: theirs, .. }) => {
                places.iter().zip(rows).for_each(|(&place, &row)| mine[place] = theirs[row].clone());
            }
            _ => {}
        }
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
