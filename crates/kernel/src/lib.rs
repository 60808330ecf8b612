//! The hot loops: free functions over slices, dispatched by what the processor can do, each beside its
//! scalar oracle. The only crate with `unsafe`.

#[macro_use]
mod dispatch;

pub mod cross;
pub mod factors;
pub mod trees;
