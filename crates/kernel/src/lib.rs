//! The hot loops: free functions over slices, dispatched by what the processor can do, each beside its
//! scalar oracle. The only crate with `unsafe`.

pub mod factors;
pub mod trees;
