//! The hot loops: free functions over slices, dispatched by what the processor can do, each beside its scalar oracle.
pub mod trees;
