//! Binds a file's columns to a schema: types are checked once, then batches are views.

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;

use crate::batch::{Batch, Column};
use crate::expression::{Source, Use};
use crate::time::{InferredTimeUnit, TimeColumn};
use crate::{Error, Expression, Feature, Kind, Schema, Time, convert};

/// The columns that a reader wants beside the features.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Need {
    /// The label, and the weight if the schema names one.
    pub labels: bool,
    /// The time, if the schema names one.
    pub times: bool,
    /// Columns carried to the output, such as the schema's ids.
    pub carried: Vec<String>,
}

impl Need {
    /// Returns the columns to read, each once, in the schema's order.
    #[must_use]
    pub fn columns(&self, schema: &Schema) -> Vec<String> {
        let labels = [schema.label(), schema.weight()].into_iter().flatten().filter(|_| self.labels);
        let times = schema.time().into_iter().filter(|_| self.times);
        let features = schema.features().iter().flat_map(|feature| match &feature.derive {
            Some(derive) => derive.columns(),
            None => std::slice::from_ref(&feature.name),
        });
        let features = features.map(String::as_str);
        let mut columns: Vec<String> = Vec::new();
        for name in features.chain(labels).chain(times).chain(self.carried.iter().map(String::as_str)) {
            if !columns.iter().any(|column| column == name) {
                columns.push(name.to_owned());
            }
        }
        columns
    }
}

/// A schema bound to the columns of one file.
#[derive(Debug, Clone)]
pub struct Binding {
    features: Vec<Bound>,
    label: Option<(String, usize)>,
    weight: Option<(String, usize)>,
    time: Option<TimeColumn>,
    carried: Vec<(String, usize)>,
}

/// A feature and where it is found.
#[derive(Debug, Clone)]
struct Bound {
    name: String,
    kind: Kind,
    from: From,
}

#[derive(Debug, Clone)]
enum From {
    Column(usize),
    Derived(Expression, Vec<SourceColumn>),
}

/// A column that a derived feature reads, and how.
#[derive(Debug, Clone)]
struct SourceColumn {
    name: String,
    index: usize,
    as_number: bool,
    as_category: bool,
}

impl Binding {
    /// Finds the columns and checks their types.
    ///
    /// # Errors
    /// [`Error::MissingColumn`] and [`Error::ColumnType`], by column name; [`Error::Schema`] if
    /// labels are needed and the schema names none.
    pub fn new(schema: &Schema, need: &Need, file: &arrow_schema::Schema) -> Result<Self, Error> {
        let find = |name: &str, expected: &str, fits: fn(&DataType) -> bool| {
            let Some((index, field)) = file.column_with_name(name) else {
                let present = file.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
                return Err(Error::MissingColumn { column: name.to_owned(), present });
            };
            if fits(field.data_type()) {
                return Ok(index);
            }
            Err(Error::ColumnType {
                column: name.to_owned(),
                expected: expected.to_owned(),
                found: type_name(field.data_type()),
            })
        };
        let named = |name: Option<&str>, expected: &str, fits: fn(&DataType) -> bool| {
            name.map(|name| Ok((name.to_owned(), find(name, expected, fits)?))).transpose()
        };
        let mut features = Vec::with_capacity(schema.features().len());
        for feature in schema.features() {
            if let Some(derive) = &feature.derive {
                let from = From::Derived(derive.clone(), sources(feature, derive, file)?);
                features.push(Bound { name: feature.name.clone(), kind: feature.kind, from });
                continue;
            }
            let (expected, fits): (_, fn(&DataType) -> bool) = match feature.kind {
                Kind::Numeric => ("numeric (a number or boolean)", convert::is_numeric),
                Kind::Categorical => ("categorical (text, an integer or boolean)", convert::is_categorical),
                Kind::Multi => ("multi (a list of categories, or text separated by `|`)", convert::is_multi),
            };
            let from = From::Column(find(&feature.name, expected, fits)?);
            features.push(Bound { name: feature.name.clone(), kind: feature.kind, from });
        }
        if need.labels && schema.label().is_none() {
            return Err(Error::Schema("the schema names no label; add `label = \"COLUMN\"`".to_owned()));
        }
        let label_name = schema.label().filter(|_| need.labels);
        let weight_name = schema.weight().filter(|_| need.labels);
        let time_name = schema.time().filter(|_| need.times);
        let time = named(time_name, "a time (an integer, date or timestamp)", TimeColumn::fits)?;
        Ok(Self {
            features,
            label: named(label_name, "a label (0/1, a boolean, or yes/no)", convert::is_categorical)?,
            weight: named(weight_name, "a weight (a number)", convert::is_numeric)?,
            time: time.map(|(name, index)| TimeColumn::new(name, index, schema.time_unit())),
            carried: need
                .carried
                .iter()
                .map(|name| Ok((name.clone(), find(name, "a column to carry", |_| true)?)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Shares the unit of integer times with the other files of a data set, so that files of different units are an error.
    #[must_use]
    pub fn with_time_unit(mut self, unit: &InferredTimeUnit) -> Self {
        if let Some(time) = &mut self.time {
            time.share(unit);
        }
        self
    }

    /// Views a record batch of the file; `first_row` is the index of its first row in the file, from 0.
    ///
    /// # Errors
    /// [`Error::Value`] for a label that is not 0 or 1, a weight that is negative or not finite, or a time that is
    /// missing, out of range or of another unit than those before it.
    pub fn batch(&self, batch: &RecordBatch, first_row: u64) -> Result<Batch, Error> {
        let features = self.features.iter().map(|feature| feature.column(batch)).collect::<Result<_, _>>()?;
        let labels = self.label.as_ref().map(|(name, index)| labels(name, batch.column(*index), first_row));
        let weights = self.weight.as_ref().map(|(name, index)| weights(name, batch.column(*index), first_row));
        let times = self.time.as_ref().map(|time| times(time, batch.column(time.index), first_row));
        Ok(Batch {
            rows: batch.num_rows(),
            first_row,
            features,
            labels: labels.transpose()?,
            weights: weights.transpose()?,
            times: times.transpose()?,
            carried: self.carried.iter().map(|(name, index)| (name.clone(), batch.column(*index).clone())).collect(),
        })
    }
}

impl Bound {
    fn column(&self, batch: &RecordBatch) -> Result<Column, Error> {
        let (derive, sources) = match &self.from {
            From::Derived(derive, sources) => (derive, sources),
            From::Column(index) => {
                let array = batch.column(*index);
                let column = match self.kind {
                    Kind::Numeric => convert::numeric(array).map(Column::Numeric),
                    Kind::Categorical => convert::categorical(array).map(Column::Categorical),
                    Kind::Multi => convert::multi(array).map(Column::Multi),
                };
                return column.ok_or_else(|| changed_type(&self.name, array));
            }
        };
        let read = sources.iter().map(|source| {
            let array = batch.column(source.index);
            let mut read = Source::default();
            if source.as_number {
                read.numbers = convert::numeric(array).ok_or_else(|| changed_type(&source.name, array))?;
            }
            if source.as_category {
                read.categories = convert::categorical(array).ok_or_else(|| changed_type(&source.name, array))?;
            }
            Ok(read)
        });
        Ok(derive.compute(self.kind, &read.collect::<Result<Vec<_>, _>>()?, batch.num_rows()))
    }
}

/// Finds the columns that a derived feature reads, and checks their types.
fn sources(feature: &Feature, derive: &Expression, file: &arrow_schema::Schema) -> Result<Vec<SourceColumn>, Error> {
    let refuse =
        |problem: String| Error::Derived { feature: feature.name.clone(), derive: derive.text().to_owned(), problem };
    let find = |name: &String| {
        let Some((index, _)) = file.column_with_name(name) else {
            let present = file.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
            return Err(refuse(format!("column `{name}` is missing; the data has: {present}")));
        };
        Ok(SourceColumn { name: name.clone(), index, as_number: false, as_category: false })
    };
    let mut sources = derive.columns().iter().map(find).collect::<Result<Vec<_>, _>>()?;
    for (place, by) in derive.uses() {
        let data_type = |place: usize| file.field(sources[place].index).data_type();
        let found = data_type(place);
        let as_number = match by {
            Use::Number => true,
            Use::Category => false,
            Use::Either(other) => !convert::is_text(found) && !convert::is_text(data_type(other)),
        };
        let fits = if as_number { convert::is_numeric(found) } else { convert::is_categorical(found) };
        if !fits {
            let (name, found) = (&sources[place].name, type_name(found));
            let expected = if as_number { "a number" } else { "a category (text, an integer or boolean)" };
            return Err(refuse(format!("column `{name}` is {found}; {expected} is needed")));
        }
        let source = &mut sources[place];
        (source.as_number, source.as_category) = (source.as_number || as_number, source.as_category || !as_number);
    }
    Ok(sources)
}

/// Returns a type as a person reads it; for a dictionary, the type of its values.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Dictionary(_, values) => type_name(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        other => other.to_string(),
    }
}

fn changed_type(name: &str, array: &ArrayRef) -> Error {
    Error::ColumnType {
        column: name.to_owned(),
        expected: "the type at the file's head".to_owned(),
        found: type_name(array.data_type()),
    }
}

fn value_error(column: &str, row: u64, problem: String) -> Error {
    Error::Value { column: column.to_owned(), row: row + 1, problem }
}

fn labels(name: &str, array: &ArrayRef, first_row: u64) -> Result<Vec<bool>, Error> {
    let problem = |row: usize, found: &str| {
        value_error(
            name,
            first_row + row as u64,
            format!("the label is {found}; it must be 0 or 1 (or yes/no, true/false)"),
        )
    };
    if convert::is_text(array.data_type()) {
        let column = convert::categorical(array).ok_or_else(|| changed_type(name, array))?;
        let mut labels = Vec::new();
        column.map_into(&mut labels, |category| category.and_then(text_label));
        return labels
            .iter()
            .enumerate()
            .map(|(row, label)| {
                label.ok_or_else(|| match column.get(row) {
                    Some(crate::Category::Text(text)) => problem(row, &format!("`{text}`")),
                    _ => problem(row, "missing"),
                })
            })
            .collect();
    }
    let numbers = convert::numeric(array).ok_or_else(|| changed_type(name, array))?;
    (0..numbers.len())
        .map(|row| match numbers.get(row) {
            1.0 => Ok(true),
            0.0 => Ok(false),
            value if value.is_nan() => Err(problem(row, "missing")),
            value => Err(problem(row, &value.to_string())),
        })
        .collect()
}

fn text_label(category: crate::Category<'_>) -> Option<bool> {
    let crate::Category::Text(text) = category else {
        return None;
    };
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" | "yes" | "y" | "t" => Some(true),
        "0" | "0.0" | "false" | "no" | "n" | "f" => Some(false),
        _ => None,
    }
}

fn weights(name: &str, array: &ArrayRef, first_row: u64) -> Result<Vec<f32>, Error> {
    let numbers = convert::numeric(array).ok_or_else(|| changed_type(name, array))?;
    let weight = |row| match numbers.get(row) {
        value if value.is_finite() && value >= 0.0 && value <= f64::from(f32::MAX) => Ok(value as f32),
        value => {
            let found = if value.is_nan() { "missing or NaN".to_owned() } else { value.to_string() };
            Err(value_error(
                name,
                first_row + row as u64,
                format!("the weight is {found}; it must be finite and not negative"),
            ))
        }
    };
    (0..numbers.len()).map(weight).collect()
}

fn times(column: &TimeColumn, array: &ArrayRef, first_row: u64) -> Result<Vec<Time>, Error> {
    let times = column.read(array).ok_or_else(|| changed_type(&column.name, array))?;
    times.map_err(|(row, problem)| value_error(&column.name, first_row + row as u64, problem))
}
