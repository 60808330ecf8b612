//! Decision-tree ensembles: LightGBM's text format read exactly, and scored exactly.
//!
//! [`Ensemble::parse`] reads a model; [`Ensemble::raw_score`] is the scalar oracle that every faster path is held against.
//! [`Plan`] is the fast path: bit-sliced, compiled once a model, and bit-equal to the oracle.
//! [`CrossPlan`] scores every pair of two sides, users and ads say, likewise.
//!
//! # Source
//! LightGBM 4, `src/boosting/gbdt_model_text.cpp`, `src/io/tree.cpp`, `include/LightGBM/tree.h`.

mod compile;
mod cross;
mod ensemble;
mod error;
mod pandas;
mod plan;
mod read;
mod read_tree;
mod row;
mod section;

pub use clickcast_kernel::trees::Form;
pub use cross::{CrossLeft, CrossPlan, CrossRight, CrossScratch};
pub use ensemble::{CategorySet, Child, Ensemble, Feature, FeatureKind, LinearLeaf, Link, Missing, Node, Test, Tree};
pub use error::{Kind, ParseError};
pub use pandas::Category;
pub use plan::{Plan, PlanError, Scratch, TreeColumn};
