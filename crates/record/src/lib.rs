//! Records: the feature schema, and batches of records as typed views over Arrow arrays.
//!
//! One [`Schema`] drives training, batch and online scoring. A [`Binding`] checks a file's column
//! types against it once; [`Binding::batch`] then turns each Arrow record batch into a [`Batch`]
//! of numbers, with NaN for missing, and of categories as codes into a dictionary. So work that depends on one value
//! alone is done once for each distinct value. Times are normalized here, once; see [`Time`].

mod batch;
mod binding;
mod convert;
mod expression;
pub mod hash;
mod kind;
mod precision;
pub mod random;
mod schema;
mod time;

pub use batch::{Batch, Categorical, Categories, Category, Column, Multi, Numeric};
pub use binding::{Binding, Need};
pub use expression::Expression;
pub use kind::Kind;
pub use precision::{Precision, UnknownPrecision};
pub use schema::{Feature, Roles, Schema, Side};
pub use time::{InferredTimeUnit, Time, TimeUnit};

/// An error in a schema, a file's columns or a value. Repeating the request does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The schema is not valid.
    #[error("{0}")]
    Schema(String),
    /// The data lacks a column that the schema names.
    #[error("column `{column}` is missing; the data has: {present}")]
    MissingColumn {
        /// The column asked for.
        column: String,
        /// The columns of the data, for comparison.
        present: String,
    },
    /// The type of a column does not fit the schema.
    #[error("column `{column}` is {found}, but the schema says {expected}")]
    ColumnType {
        /// The column.
        column: String,
        /// The expected type, in words.
        expected: String,
        /// The Arrow type found.
        found: String,
    },
    /// A derived feature cannot be computed from its columns.
    #[error("feature `{feature}` (`derive = \"{derive}\"`): {problem}")]
    Derived {
        /// The feature.
        feature: String,
        /// Its expression.
        derive: String,
        /// The column at fault, and what is wrong with it.
        problem: String,
    },
    /// A value that its column cannot hold.
    #[error("column `{column}`, row {row}: {problem}")]
    Value {
        /// The column.
        column: String,
        /// The row in the file, from 1.
        row: u64,
        /// What is wrong, and what to do.
        problem: String,
    },
}
