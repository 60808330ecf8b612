//! Scores ensembles in bulk: bit-sliced, compiled once a model, and bit-equal to the oracle.

mod compile;
mod cross;
mod plan;
mod row;

pub use cross::{CrossLeft, CrossPlan, CrossRight, CrossScratch};
pub use plan::{Plan, PlanError, Scratch, TreeColumn};
