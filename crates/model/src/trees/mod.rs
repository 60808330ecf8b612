//! Decision-tree ensembles, read exactly and scored exactly.
//!
//! Readers such as [`lightgbm::parse`] turn a file into the intermediate representation, an [`Ensemble`], whose
//! [`Ensemble::raw_score`] is the scalar oracle. [`Plan`] is the fast path for rows; [`CrossPlan`] scores every pair of two
//! sides, such as users and ads. Both are bit-equal to the oracle.

mod engine;
mod ir;
pub mod lightgbm;

pub use clickcast_kernel::trees::Form;
pub use engine::{CrossLeft, CrossPlan, CrossRight, CrossScratch, Plan, PlanError, Scratch, TreeColumn};
pub use ir::{
    Category, CategorySet, Child, Comparison, Ensemble, Feature, FeatureKind, Invalid, LinearLeaf, Link, Missing, Node,
    Parts, SumWidth, Test, Tree,
};
