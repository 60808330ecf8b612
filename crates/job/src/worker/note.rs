//! What a worker has to say to a person.

use std::fmt;

/// A sentence, and what it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// What there is to say.
    pub message: String,
    /// The run.
    pub run: Option<String>,
    /// The input, or its range, by its output's key.
    pub partition: Option<String>,
    /// The model that the run is pinned to: its name and version, or its hash.
    pub model: Option<String>,
}

impl Note {
    /// A sentence about the worker as a whole.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}
