//! What went wrong, as one sentence, and whether it may pass.

use std::error::Error as StdError;

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Problem {
    /// What, where, and what to do.
    pub sentence: String,
    /// Whether repeating it may succeed.
    pub is_transient: bool,
    /// Whether it is the message that asks for what can't be.
    pub is_refusal: bool,
}

impl Problem {
    /// From an error, with what lies beneath it.
    #[must_use]
    pub fn new(error: &(dyn StdError + 'static), is_transient: bool) -> Self {
        let mut sentence = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Some libraries repeat their source; a reader wants each thing once.
            if !sentence.contains(&text) {
                sentence.push_str(": ");
                sentence.push_str(&text);
            }
            source = cause.source();
        }
        Self { sentence, is_transient, is_refusal: false }
    }

    /// What the message asks for can't be.
    pub(super) fn refusal(sentence: String) -> Self {
        Self { sentence, is_transient: false, is_refusal: true }
    }
}

impl From<clickcast_storage::Error> for Problem {
    fn from(error: clickcast_storage::Error) -> Self {
        Self::new(&error, error.is_transient())
    }
}

impl From<clickcast_dataset::Error> for Problem {
    fn from(error: clickcast_dataset::Error) -> Self {
        Self::new(&error, error.is_transient())
    }
}

impl From<clickcast_registry::Error> for Problem {
    fn from(error: clickcast_registry::Error) -> Self {
        Self::new(&error, error.is_transient())
    }
}
