//! Judges models and runs before delivery.
//!
//! Two halves share nothing but a way to compare scores: [`model`] judges a candidate before it is promoted, [`run`] audits a
//! closed run before it is published. In both, statistics are measured in one pass over the rows, and a pure function turns
//! them into a [`Judgement`](clickcast_verdict::Judgement).

pub mod model;
mod page;
pub mod run;
pub mod scores;
