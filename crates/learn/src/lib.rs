//! How a model comes to be: logistic regression, FM and FFM learned from labelled batches.
//!
//! [`train`] reads the data once to survey its values, learns weights until rows held out stop improving, and fits a calibration
//! on those rows. What learners share stands apart from the factor models' own code.

mod barrier;
mod calibrate;
mod factors;
mod groundwork;
mod held_out;
mod random;
mod source;
mod split;
mod stopping;
mod survey;

pub use clickcast_model::factors::FactorFamily;
pub use factors::{Settings, train};
pub use source::{Phase, Source};

/// Why nothing was learned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to learn from.
    #[error("there are no rows to learn from")]
    NoRows,
    /// Batches came without labels.
    #[error("the batches have no labels")]
    NoLabels,
    /// All labels are the same.
    #[error("all {rows} rows {}; a model needs both kinds", if *.clicked { "were clicked" } else { "were not clicked" })]
    OneClass {
        /// How many rows.
        rows: u64,
        /// Which label they have.
        clicked: bool,
    },
    /// Every row weighs nothing, or the weights leave one class without any.
    #[error("the sample weights leave no weight to one of the classes")]
    NoWeight,
    /// The rows given to measure by tell nothing.
    #[error("{}", if *.rows == 0 { "there are no rows to validate by" } else { "the rows to validate by weigh nothing" })]
    NoValidRows {
        /// How many there are.
        rows: u64,
    },
    /// Numbers ran away.
    #[error("learning diverged to infinite weights; check the numeric columns and the sample weights")]
    Diverged,
    /// The model that would come of it is impossible.
    #[error(transparent)]
    Model(#[from] clickcast_model::Error),
}
