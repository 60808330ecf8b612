//! Kinds of columns.

use serde::{Deserialize, Serialize};

/// The kind of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A quantity: integers, floats, booleans.
    Numeric,
    /// One of a set of values without an order: text, integers, booleans.
    Categorical,
    /// A list of categories; in text files separated by `|`.
    Multi,
}
