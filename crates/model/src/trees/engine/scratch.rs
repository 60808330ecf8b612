//! Working memory of the engine.

use clickcast_kernel::trees::{ROW_BYTES, Reach, Words};

/// Working memory of [`Plan::score`](super::Plan::score), reused from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) planes: Words,
    pub(super) equal: Words,
    pub(super) reach: Reach,
    pub(super) row: Row,
    /// For each column of the plan the codes of a dictionary's entries, where that pays.
    pub(super) entries: Vec<Vec<u32>>,
}

/// A row as the trees see it; as much of it is used as the plan needs.
#[derive(Debug)]
pub(super) struct Row {
    /// For every `BYTE_PLANES` predicates of a group, column after column: the bin, less the predicates before them.
    pub(super) bytes: Box<[u8; ROW_BYTES]>,
    /// Of a block the most, where `bytes` are the least.
    pub(super) bytes_high: Box<[u8; ROW_BYTES]>,
    /// One bit for each predicate: whether the row passes.
    pub(super) bits: Vec<u64>,
    /// One code for each numeric column.
    pub(super) codes: Vec<u32>,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            bytes: Box::new([0; ROW_BYTES]),
            bytes_high: Box::new([0; ROW_BYTES]),
            bits: Vec::new(),
            codes: Vec::new(),
        }
    }
}
