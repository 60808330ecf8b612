//! Working memory of scoring.

use crate::encode::Encoded;
use crate::trees;

/// What scoring keeps between batches, so that its large buffers are allocated once. Each thread has its own; a family uses
/// the part that it needs.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) encoded: Encoded,
    pub(crate) trees: trees::Scratch,
}
