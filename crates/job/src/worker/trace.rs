//! What became of a message, step by step, for whoever traces workers.

use std::time::SystemTime;

use super::note::Note;

/// A message's way through the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What it was about; its sentence is the last step's name.
    pub note: Note,
    /// How often it had been received.
    pub receive_count: u32,
    /// Whether another worker may have had it in the end.
    pub is_lost: bool,
    /// In order; none where it was lost before anything was done.
    pub steps: Vec<Step>,
}

/// One thing that was done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Such as `look`, `score` or `acknowledge`.
    pub name: &'static str,
    /// Its time.
    pub began: SystemTime,
    /// From then on the next one, or waiting for it.
    pub ended: SystemTime,
}

impl Step {
    /// A step that ends now.
    pub(super) fn since(name: &'static str, began: SystemTime) -> Self {
        Self { name, began, ended: SystemTime::now() }
    }
}
