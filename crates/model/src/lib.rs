//! What a model is: families, scoring, calibration, metrics, artifact bytes, importers.

pub mod artifact;
pub mod calibration;
pub mod cross;
pub mod encode;
mod error;
mod factor_model;
pub mod factors;
mod family;
mod family_model;
mod forest;
pub mod golden;
mod lightgbm;
mod log_odds;
pub mod metrics;
mod model;
pub mod profile;
pub mod scores;
mod scratch;
pub mod tensor;
pub mod trees;
mod values;
mod weights;

pub use error::{Error, Kind};
pub use family::{Family, UnknownFamily};
pub use model::Model;
pub use scratch::Scratch;
