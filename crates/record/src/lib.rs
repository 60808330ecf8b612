//! What a record is: the feature schema, and a batch of records as typed views over Arrow arrays.
//!
//! One [`Schema`] drives training, batch and online scoring. A [`Binding`] checks a file's column
//! types against it once; [`Binding::batch`] then turns each Arrow record batch into a [`Batch`]
//! whose columns hold what scorers want: numbers with NaN for missing, and categories as codes into
//! a dictionary, so that whatever depends on one value alone is done once per distinct value.

mod batch;
mod binding;
mod convert;
mod expression;
pub mod hash;
mod precision;
mod schema;
mod time;

pub use batch::{Batch, Categorical, Categories, Category, Column, Multi, Numeric};
pub use binding::{Binding, Need};
pub use expression::Expression;
pub use precision::{Precision, UnknownPrecision};
pub use schema::{Feature, Kind, Roles, Schema, Side};
pub use time::{InferredTimeUnit, Time, TimeUnit};

/// What is wrong with a schema, a file's columns or a value. Repeating the request won't help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The schema file itself.
    #[error("{0}")]
    Schema(String),
    /// A column that the schema names is absent from the data.
    #[error("column `{column}` is missing; the data has: {present}")]
    MissingColumn {
        /// The column asked for.
        column: String,
        /// The columns there are, for the reader to compare.
        present: String,
    },
    /// A column's type can't be read as the schema's kind.
    #[error("column `{column}` is {found}, but the schema says {expected}")]
    ColumnType {
        /// The column.
        column: String,
        /// What the schema says, in words.
        expected: String,
        /// The Arrow type found.
        found: String,
    },
    /// A feature can't be computed from its columns.
    #[error("feature `{feature}` (`derive = \"{derive}\"`): {problem}")]
    Derived {
        /// The feature.
        feature: String,
        /// How it is computed.
        derive: String,
        /// Which column is wrong, and how.
        problem: String,
    },
    /// A value that its column can't hold.
    #[error("column `{column}`, row {row}: {problem}")]
    Value {
        /// The column.
        column: String,
        /// The row within the file, counted from 1.
        row: u64,
        /// What is wrong and what to do.
        problem: String,
    },
}
