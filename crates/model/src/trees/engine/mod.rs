//! Scores ensembles in bulk: bit-sliced, compiled once a model, and bit-equal to the oracle.

mod columns;
mod compile;
mod cross;
mod plan;
mod row;
mod scratch;

pub use columns::TreeColumn;
pub use cross::{CrossLeft, CrossPlan, CrossRight, CrossScratch};
pub use plan::{Plan, PlanError};
pub use scratch::Scratch;
