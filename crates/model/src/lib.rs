//! placeholder
pub mod trees;
