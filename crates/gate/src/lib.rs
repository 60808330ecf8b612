//! Judges models, inputs and runs before delivery: statistics measured in one pass, verdicts as pure functions of them.

pub mod audit;
pub mod scores;
mod verdict;

pub use scores::Scores;
pub use verdict::{Check, Judgement, Verdict};
