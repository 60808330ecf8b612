//! Judges models, inputs and runs before delivery: statistics measured in one pass, verdicts as pure functions of them.

mod verdict;

pub use verdict::{Check, Judgement, Verdict};
