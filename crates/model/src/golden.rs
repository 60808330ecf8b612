//! Golden rows: a few rows, and what the model said of them when it was made.
//!
//! Whoever loads the model can see that it still says so, on whatever machine, by whatever instructions, and with whatever
//! version of this program.

use std::collections::BTreeMap;

use arrow_array::StringArray;
use clickcast_record::{Batch, Categorical, Categories, Category, Column, Multi, Numeric};
use serde::{Deserialize, Serialize};

/// The payload's name.
pub(crate) const GOLDEN: &str = "golden.json";
/// Rows kept of a batch.
const ROWS_MAX: usize = 32;

/// Rows by their values, apart from any file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    rows: usize,
    features: Vec<Values>,
}

/// One feature's values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Values {
    /// The bits of 64-bit floats, for JSON has neither NaN nor infinities.
    NumberBits(Vec<u64>),
    Categories(Vec<Option<Item>>),
    Lists(Vec<Vec<Option<Item>>>),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
enum Item {
    Integer(i64),
    Text(String),
}

/// Rows, and the probability of each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Golden {
    pub(crate) rows: Rows,
    pub(crate) scores: Vec<f64>,
}

impl Rows {
    /// Rows with the values of a batch, evenly taken; each feature's of another row where there are several: hardly anybody's whole record is kept.
    #[must_use]
    pub fn of(batch: &Batch) -> Self {
        let step = batch.rows.div_ceil(ROWS_MAX).max(1);
        let taken: Vec<usize> = (0..batch.rows).step_by(step).collect();
        let values = |(feature, column): (usize, &Column)| {
            let from = |index: usize| taken[(index + feature) % taken.len()];
            let rows = (0..taken.len()).map(from);
            match column {
                Column::Numeric(numbers) => Values::NumberBits(rows.map(|row| numbers.get(row).to_bits()).collect()),
                Column::Categorical(values) => {
                    Values::Categories(rows.map(|row| values.get(row).map(Item::from)).collect())
                }
                Column::Multi(lists) => {
                    let items = |row: usize| lists.offsets[row]..lists.offsets[row + 1];
                    let list = |row| items(row).map(|place| lists.values.get(place).map(Item::from)).collect();
                    Values::Lists(rows.map(list).collect())
                }
            }
        };
        Self { rows: taken.len(), features: batch.features.iter().enumerate().map(values).collect() }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows as scorers want them.
    pub(crate) fn batch(&self) -> Batch {
        Batch {
            rows: self.rows,
            first_row: 0,
            features: self.features.iter().map(Values::column).collect(),
            labels: None,
            weights: None,
            times: None,
            carried: Vec::new(),
        }
    }

    /// Whether every feature has a value for each row: a file can claim anything.
    pub(crate) fn is_whole(&self) -> bool {
        self.features.iter().all(|values| {
            let rows = match values {
                Values::NumberBits(bits) => bits.len(),
                Values::Categories(items) => items.len(),
                Values::Lists(lists) => lists.len(),
            };
            rows == self.rows
        })
    }
}

impl Values {
    fn column(&self) -> Column {
        match self {
            Self::NumberBits(bits) => {
                Column::Numeric(Numeric::F64(bits.iter().map(|&bits| f64::from_bits(bits)).collect()))
            }
            Self::Categories(items) => Column::Categorical(categorical(items.iter())),
            Self::Lists(lists) => {
                let ends = lists.iter().scan(0, |end, list| {
                    *end += list.len();
                    Some(*end)
                });
                let offsets = std::iter::once(0).chain(ends).collect();
                Column::Multi(Multi { offsets, values: categorical(lists.iter().flatten()) })
            }
        }
    }
}

/// A column has texts or integers; a file that claims both is read as texts.
fn categorical<'a>(items: impl Iterator<Item = &'a Option<Item>> + Clone) -> Categorical {
    let integer = |item: &Option<Item>| match item {
        Some(Item::Integer(value)) => Some(*value),
        _ => None,
    };
    if !items.clone().any(|item| matches!(item, Some(Item::Text(_)))) {
        let nulls: Vec<bool> = items.clone().map(Option::is_some).collect();
        let values = items.map(|item| integer(item).unwrap_or(0)).collect();
        return Categorical::Integers { values, nulls: Some(nulls.into()) };
    }
    let mut distinct: BTreeMap<String, u32> = BTreeMap::new();
    let text = |item: &Item| match item {
        Item::Integer(value) => value.to_string(),
        Item::Text(text) => text.clone(),
    };
    let texts: Vec<Option<String>> = items.map(|item| item.as_ref().map(text)).collect();
    for text in texts.iter().flatten() {
        distinct.insert(text.clone(), 0);
    }
    distinct.values_mut().zip(1..).for_each(|(code, next)| *code = next);
    let codes = texts.iter().map(|text| text.as_ref().map_or(0, |text| distinct[text])).collect();
    Categorical::Coded { codes, categories: Categories::Text(StringArray::from_iter_values(distinct.keys())) }
}

impl From<Category<'_>> for Item {
    fn from(category: Category<'_>) -> Self {
        match category {
            Category::Integer(value) => Self::Integer(value),
            Category::Text(text) => Self::Text(text.to_owned()),
        }
    }
}
