//! Why an operation on a registry failed, by what the caller may do.

use std::error::Error as StdError;
use std::fmt;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is nothing of that name.
    NotFound,
    /// Another process was faster. Read again, then decide anew.
    Conflict,
    /// The current state does not allow it.
    Refused,
    /// It did not pass a gate or an audit.
    NotPassed,
    /// The bytes that were read are not those that were written.
    Damaged,
    /// The request can never succeed.
    Invalid,
    /// The store failed.
    Storage,
}

/// A failed operation on a registry.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    /// One sentence: what, where, and what to do.
    Sentence(String),
    /// What is damaged, and how.
    About { subject: String, source: Box<dyn StdError + Send + Sync> },
    /// The store's error, shown as it is.
    Storage(clickcast_storage::Error),
}

impl Error {
    /// Returns what kind of failure it was.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns whether repeating the same request may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match &self.cause {
            Cause::Storage(error) => error.is_transient(),
            Cause::Sentence(_) | Cause::About { .. } => self.kind == Kind::Conflict,
        }
    }

    pub(crate) fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        Self { kind, cause: Cause::Sentence(sentence.into()) }
    }

    pub(crate) fn refused(sentence: impl Into<String>) -> Self {
        Self::new(Kind::Refused, sentence)
    }

    pub(crate) fn not_passed(sentence: impl Into<String>) -> Self {
        Self::new(Kind::NotPassed, sentence)
    }

    /// The bytes at `uri` are not what was written: `source` says what is wrong with them.
    pub(crate) fn damaged(uri: &str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::damaged_subject(format!("`{uri}` is damaged"), source)
    }

    /// As [`Error::damaged`], with a subject in words.
    pub(crate) fn damaged_subject(
        subject: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind: Kind::Damaged, cause: Cause::About { subject: subject.into(), source: source.into() } }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Sentence(sentence) => formatter.write_str(sentence),
            Cause::About { subject, .. } => formatter.write_str(subject),
            Cause::Storage(error) => error.fmt(formatter),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.cause {
            Cause::Sentence(_) => None,
            Cause::About { source, .. } => Some(source.as_ref()),
            // Display shows the store's error itself; the chain goes on below it.
            Cause::Storage(error) => error.source(),
        }
    }
}

impl From<clickcast_storage::Error> for Error {
    fn from(error: clickcast_storage::Error) -> Self {
        let kind = if error.is_not_found() { Kind::NotFound } else { Kind::Storage };
        Self { kind, cause: Cause::Storage(error) }
    }
}
