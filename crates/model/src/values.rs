//! A feature's values apart from any batch: they can be kept, gathered and joined, whatever dictionaries they came from.

use std::collections::BTreeMap;

use arrow_array::StringArray;
use clickcast_record::{Batch, Categorical, Categories, Category, Column, Multi, Numeric};
use serde::{Deserialize, Serialize};

/// One feature's values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Values {
    /// The bits of 64-bit floats, for JSON has neither NaN nor infinities.
    NumberBits(Vec<u64>),
    Categories(Vec<Option<Item>>),
    Lists(Vec<Vec<Option<Item>>>),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Item {
    Integer(i64),
    Text(String),
}

/// Returns the number of a column's rows.
pub(crate) fn rows_of(column: &Column) -> usize {
    match column {
        Column::Numeric(values) => values.len(),
        Column::Categorical(values) => values.len(),
        Column::Multi(lists) => lists.offsets.len() - 1,
    }
}

/// Returns a batch of features alone.
pub(crate) fn batch_of(rows: usize, features: Vec<Column>) -> Batch {
    Batch { rows, first_row: 0, features, labels: None, weights: None, times: None, carried: Vec::new() }
}

impl Values {
    /// Takes the values of some rows of a column.
    pub(crate) fn of(column: &Column, rows: impl Iterator<Item = usize>) -> Self {
        match column {
            Column::Numeric(numbers) => Self::NumberBits(rows.map(|row| numbers.get(row).to_bits()).collect()),
            Column::Categorical(values) => Self::Categories(rows.map(|row| values.get(row).map(Item::from)).collect()),
            Column::Multi(lists) => {
                let items = |row: usize| lists.offsets[row]..lists.offsets[row + 1];
                let list = |row| items(row).map(|place| lists.values.get(place).map(Item::from)).collect();
                Self::Lists(rows.map(list).collect())
            }
        }
    }

    /// Returns the number of rows.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::NumberBits(bits) => bits.len(),
            Self::Categories(items) => items.len(),
            Self::Lists(lists) => lists.len(),
        }
    }

    /// Returns the values of some rows, in any order.
    pub(crate) fn gathered(&self, rows: &[usize]) -> Self {
        match self {
            Self::NumberBits(bits) => Self::NumberBits(rows.iter().map(|&row| bits[row]).collect()),
            Self::Categories(items) => Self::Categories(rows.iter().map(|&row| items[row].clone()).collect()),
            Self::Lists(lists) => Self::Lists(rows.iter().map(|&row| lists[row].clone()).collect()),
        }
    }

    /// Adds the rows of another; returns whether both are of one kind.
    pub(crate) fn append(&mut self, more: Self) -> bool {
        match (self, more) {
            (Self::NumberBits(bits), Self::NumberBits(more)) => bits.extend(more),
            (Self::Categories(items), Self::Categories(more)) => items.extend(more),
            (Self::Lists(lists), Self::Lists(more)) => lists.extend(more),
            _ => return false,
        }
        true
    }

    /// Returns the values as scoring takes them.
    pub(crate) fn column(&self) -> Column {
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

/// Makes a column of texts or of integers; a file that has both is read as texts.
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
