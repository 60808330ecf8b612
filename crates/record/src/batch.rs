//! A batch of records: columns in the form in which they are scored.

use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::{NullBuffer, ScalarBuffer};

use crate::Time;

/// Some rows of one file, checked against a schema.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Number of rows.
    pub rows: usize,
    /// The index of the first row in its file, from 0.
    pub first_row: u64,
    /// One column for each feature, in the schema's order, each of `rows` values.
    pub features: Vec<Column>,
    /// Whether each impression was clicked, if labels were asked for.
    pub labels: Option<Vec<bool>>,
    /// Sample weights, finite and not negative, if the schema names them and labels were asked for.
    pub weights: Option<Vec<f32>>,
    /// Times, if the schema names them and they were asked for.
    pub times: Option<Vec<Time>>,
    /// Columns to carry to the output unchanged, by name.
    pub carried: Vec<(String, ArrayRef)>,
}

/// A feature's values in one batch.
#[derive(Debug, Clone)]
pub enum Column {
    /// Quantities.
    Numeric(Numeric),
    /// One category for each row.
    Categorical(Categorical),
    /// A list of categories for each row.
    Multi(Multi),
}

/// Quantities; NaN means missing. Types whose values f32 holds exactly stay f32.
#[derive(Debug, Clone)]
pub enum Numeric {
    /// From f32, f16 and integers of up to 16 bits.
    F32(ScalarBuffer<f32>),
    /// From all wider types.
    F64(ScalarBuffer<f64>),
}

/// One category for each row.
#[derive(Debug, Clone)]
pub enum Categorical {
    /// Codes into the batch's distinct values: 0 means missing, `code` means `categories.get(code - 1)`.
    Coded {
        /// One code for each row.
        codes: ScalarBuffer<u32>,
        /// The distinct values. A dictionary may hold values that no row uses, or the same value twice.
        categories: Categories,
    },
    /// Integers without a dictionary; null means missing.
    Integers {
        /// One value for each row.
        values: ScalarBuffer<i64>,
        /// Which rows are present; `None` if all are.
        nulls: Option<NullBuffer>,
    },
}

/// The distinct values of a [`Categorical::Coded`] column.
#[derive(Debug, Clone)]
pub enum Categories {
    /// Text.
    Text(StringArray),
    /// Integers.
    Integers(ScalarBuffer<i64>),
}

/// One category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category<'a> {
    /// Text.
    Text(&'a str),
    /// An integer.
    Integer(i64),
}

/// A list of categories for each row; an empty list means missing.
#[derive(Debug, Clone)]
pub struct Multi {
    /// `rows + 1` positions in `values`; row `r` has the items `offsets[r]..offsets[r + 1]`.
    pub offsets: Vec<usize>,
    /// The items of all lists, one after another.
    pub values: Categorical,
}

impl Batch {
    /// Estimates the memory of the columns in bytes; memory that batches share counts for each of them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let carried = self.carried.iter().map(|(_, array)| array.get_array_memory_size());
        // A label, a weight and a time.
        self.features.iter().map(Column::bytes).sum::<usize>() + carried.sum::<usize>() + self.rows * 13
    }
}

impl Column {
    /// Estimates the memory of the values in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Numeric(Numeric::F32(values)) => size_of_val(values.as_ref()),
            Self::Numeric(Numeric::F64(values)) => size_of_val(values.as_ref()),
            Self::Categorical(values) => values.bytes(),
            Self::Multi(lists) => size_of_val(lists.offsets.as_slice()) + lists.values.bytes(),
        }
    }
}

impl Numeric {
    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Converts the values to f32 if f32 holds each of them exactly.
    #[must_use]
    pub fn narrowed(self) -> Self {
        let Self::F64(values) = &self else { return self };
        let is_held = |&value: &f64| f64::from(value as f32) == value || value.is_nan();
        if values.iter().all(is_held) { Self::F32(values.iter().map(|&value| value as f32).collect()) } else { self }
    }

    /// Returns the value of one row, NaN if it is missing.
    #[inline]
    #[must_use]
    pub fn get(&self, row: usize) -> f64 {
        match self {
            Self::F32(values) => f64::from(values[row]),
            Self::F64(values) => values[row],
        }
    }
}

impl Categorical {
    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Coded { codes, .. } => codes.len(),
            Self::Integers { values, .. } => values.len(),
        }
    }

    /// Returns whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Coded { codes, categories: Categories::Text(texts) } => {
                size_of_val(codes.as_ref()) + texts.get_array_memory_size()
            }
            Self::Coded { codes, categories: Categories::Integers(values) } => {
                size_of_val(codes.as_ref()) + size_of_val(values.as_ref())
            }
            Self::Integers { values, .. } => size_of_val(values.as_ref()),
        }
    }

    /// Returns the category of one row, or `None` if it is missing.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<Category<'_>> {
        match self {
            Self::Coded { codes, categories } => {
                (codes[row] as usize).checked_sub(1).map(|index| categories.get(index))
            }
            Self::Integers { values, nulls } => {
                let present = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                present.then(|| Category::Integer(values[row]))
            }
        }
    }

    /// Maps every value by a function of its category, or of `None` if it is missing: `out[row] = map(category)`. With a
    /// dictionary, calls the function once for each entry.
    pub fn map_into<T: Copy>(&self, out: &mut Vec<T>, mut map: impl FnMut(Option<Category<'_>>) -> T) {
        out.clear();
        match self {
            Self::Coded { codes, categories } => {
                let table = categories.map(map);
                out.extend(codes.iter().map(|&code| table[code as usize]));
            }
            Self::Integers { values, nulls: None } => {
                out.extend(values.iter().map(|&value| map(Some(Category::Integer(value)))));
            }
            Self::Integers { values, nulls: Some(nulls) } => {
                out.extend(
                    values
                        .iter()
                        .zip(nulls.iter())
                        .map(|(&value, present)| map(present.then_some(Category::Integer(value)))),
                );
            }
        }
    }
}

impl Categories {
    /// Maps every code by a function of its category, or of `None` for the first code, which means missing.
    pub fn map<T>(&self, mut map: impl FnMut(Option<Category<'_>>) -> T) -> Vec<T> {
        let missing = map(None);
        std::iter::once(missing).chain((0..self.len()).map(|index| map(Some(self.get(index))))).collect()
    }

    /// Returns the number of dictionary entries.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Integers(values) => values.len(),
        }
    }

    /// Returns whether the dictionary is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a dictionary entry.
    #[must_use]
    pub fn get(&self, index: usize) -> Category<'_> {
        match self {
            Self::Text(values) => Category::Text(values.value(index)),
            Self::Integers(values) => Category::Integer(values[index]),
        }
    }
}

impl Category<'_> {
    /// Returns the frozen hash; see [`crate::hash`].
    #[inline]
    #[must_use]
    pub fn hash(self) -> u64 {
        match self {
            Self::Text(value) => crate::hash::text(value),
            Self::Integer(value) => crate::hash::integer(value),
        }
    }
}
