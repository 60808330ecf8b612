//! What a model is: families, scoring, calibration, metrics, artifact bytes, importers.

pub mod artifact;
pub mod calibration;
pub mod cross;
pub mod encode;
pub mod factors;
mod family;
mod forest;
pub mod golden;
mod log_odds;
pub mod metrics;
mod model;
pub mod profile;
pub mod scores;
pub mod tensor;
pub mod trees;
mod weights;

pub use family::{Family, UnknownFamily};
pub use model::{Model, Scratch};

/// Why a model can't be read or used. Repeating the request won't help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The artifact's bytes are not what was written.
    #[error("the model is damaged: {0}; write or copy it again")]
    Damaged(String),
    /// The artifact was written by a newer program.
    #[error("the model is of format {found}, and this program reads up to {known}; use a newer clickcast")]
    Newer {
        /// The artifact's format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The model can't do what is asked of it.
    #[error("{0}")]
    Unfit(String),
}
