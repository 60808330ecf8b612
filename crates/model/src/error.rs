//! Why a model can't be read or used.

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The artifact's bytes are not what was written.
    Damaged,
    /// The artifact was written by a newer program.
    Newer,
    /// The model is sound, but this program can't use it.
    Unsupported,
    /// What was given to the model does not fit it.
    Invalid,
}

/// A refusal of a model, or of what was given to it. Repeating the request won't help.
///
/// The errors of the parsers below are part of the message: they say where the fault is, and have no sources of their own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
}

impl Error {
    /// Says which part of an artifact is damaged.
    #[must_use]
    pub fn damaged(what: impl std::fmt::Display) -> Self {
        let message = format!("the model is damaged: {what}; write or copy it again");
        Self { kind: Kind::Damaged, message }
    }

    /// Says that an artifact's format is newer than the newest one known.
    #[must_use]
    pub fn newer(found: u32, known: u32) -> Self {
        let message =
            format!("the model is of format {found}, and this program reads up to {known}; use a newer clickcast");
        Self { kind: Kind::Newer, message }
    }

    /// Says why a sound model can't be used.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self { kind: Kind::Unsupported, message: message.into() }
    }

    /// Says what does not fit the model.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { kind: Kind::Invalid, message: message.into() }
    }

    /// Returns what is wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns whether the same request may succeed later; it never does.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        false
    }
}
