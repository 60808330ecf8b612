//! Where labelled rows come from.

use clickcast_record::Batch;

/// Labelled rows that can be read several times, in the same order.
pub trait Source<E> {
    /// Reads all rows once, batch by batch.
    ///
    /// # Errors
    /// If reading fails, or `each` does.
    fn pass(&mut self, each: &mut dyn FnMut(Batch) -> Result<(), E>) -> Result<(), E>;

    /// Learns what the next pass is for.
    fn begin(&mut self, _phase: Phase) {}
}

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// To see which values there are.
    Profile,
    /// To encode the rows.
    Encode,
    /// To learn; passes are numbered from 1.
    Learn(usize),
}
