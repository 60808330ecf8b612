//! Judges models, inputs and runs before delivery: statistics measured in one pass, verdicts as pure functions of them.

pub mod audit;
pub mod compare;
mod judge;
pub mod measure;
mod pairing;
pub mod scores;
mod verdict;

pub use judge::{Backtested, Described, Drift, Evidence, drifts, judge};
pub use pairing::reading_schema;
pub use scores::Scores;
pub use verdict::{Check, Judgement, Verdict};
