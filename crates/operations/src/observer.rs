//! How far an operation has come, and whether it should go on.

use crate::Error;

/// Is told what an operation is doing, and may cancel it.
///
/// All methods do nothing by default; `()` observes nothing.
pub trait Observer: Sync {
    /// A stage begins. One stage runs at a time.
    fn begin(&self, _stage: &Stage) {}

    /// More of the stage's units are done.
    fn advance(&self, _count: u64) {}

    /// The stage has ended.
    fn end(&self) {}

    /// Something that a person should know, in one sentence.
    fn note(&self, _sentence: &str) {}

    /// Whether the operation should stop with [`Kind::Cancelled`](crate::Kind::Cancelled). Asked at each batch.
    fn is_cancelled(&self) -> bool {
        false
    }
}

impl Observer for () {}

/// A part of an operation whose progress can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// What is being done, such as `predict`.
    pub name: &'static str,
    /// What is counted.
    pub unit: Unit,
    /// How many there are, where that is known.
    pub total: Option<u64>,
}

/// What a stage counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Rows of files.
    Rows,
    /// Pairs of a user and an ad.
    Pairs,
}

/// A stage under way: it ends when this is dropped.
pub(crate) struct Progress<'a> {
    observer: &'a dyn Observer,
}

impl<'a> Progress<'a> {
    /// Begins a stage that counts rows.
    pub(crate) fn rows(observer: &'a dyn Observer, name: &'static str, total: Option<u64>) -> Self {
        Self::begin(observer, Stage { name, unit: Unit::Rows, total })
    }

    /// Begins a stage.
    pub(crate) fn begin(observer: &'a dyn Observer, stage: Stage) -> Self {
        observer.begin(&stage);
        Self { observer }
    }

    /// Counts more units.
    ///
    /// # Errors
    /// [`Kind::Cancelled`](crate::Kind::Cancelled) if the observer says so.
    pub(crate) fn advance(&self, count: u64) -> Result<(), Error> {
        self.observer.advance(count);
        if self.observer.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.observer.end();
    }
}
