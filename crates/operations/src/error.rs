//! Why an operation failed, by what its caller may do.

use std::error::Error as StdError;
use std::fmt;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A store, a queue or the machine failed: the same request may succeed later.
    Unavailable,
    /// The request or its input is wrong: repeating it will not help.
    Invalid,
    /// A gate or an audit did not pass what was asked for.
    Refused,
    /// The observer cancelled it.
    Cancelled,
}

/// A failed operation.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    /// One sentence: what, where, and what to do.
    Sentence(String),
    /// A library's error, shown as it is.
    Library(Box<dyn StdError + Send + Sync>),
    /// What the error is about, such as a file that the library's error does not name.
    About { subject: String, error: Box<dyn StdError + Send + Sync> },
}

impl Error {
    /// What kind of failure it was.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether repeating the same request may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == Kind::Unavailable
    }

    /// The request or its input is wrong.
    pub(crate) fn invalid(sentence: impl Into<String>) -> Self {
        Self { kind: Kind::Invalid, cause: Cause::Sentence(sentence.into()) }
    }

    /// The machine or a service failed.
    pub(crate) fn unavailable(sentence: impl Into<String>) -> Self {
        Self { kind: Kind::Unavailable, cause: Cause::Sentence(sentence.into()) }
    }

    /// The observer cancelled the operation.
    pub(crate) fn cancelled() -> Self {
        Self { kind: Kind::Cancelled, cause: Cause::Sentence("the operation was cancelled".to_owned()) }
    }

    /// Names what a library's error is about.
    pub(crate) fn about(subject: impl Into<String>, error: impl Into<Self>) -> Self {
        let error = error.into();
        Self { kind: error.kind, cause: Cause::About { subject: subject.into(), error: Box::new(error) } }
    }

    fn library(kind: Kind, error: impl StdError + Send + Sync + 'static) -> Self {
        Self { kind, cause: Cause::Library(Box::new(error)) }
    }

    fn stored(is_transient: bool, error: impl StdError + Send + Sync + 'static) -> Self {
        Self::library(if is_transient { Kind::Unavailable } else { Kind::Invalid }, error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Sentence(sentence) => formatter.write_str(sentence),
            Cause::Library(error) => error.fmt(formatter),
            Cause::About { subject, .. } => formatter.write_str(subject),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.cause {
            Cause::Sentence(_) => None,
            // Display shows the library's error itself: what lies below it comes next.
            Cause::Library(error) => error.source(),
            Cause::About { error, .. } => Some(error.as_ref()),
        }
    }
}

impl From<clickcast_storage::Error> for Error {
    fn from(error: clickcast_storage::Error) -> Self {
        Self::stored(error.is_transient(), error)
    }
}

impl From<clickcast_dataset::Error> for Error {
    fn from(error: clickcast_dataset::Error) -> Self {
        Self::stored(error.is_transient(), error)
    }
}

impl From<clickcast_job::Error> for Error {
    fn from(error: clickcast_job::Error) -> Self {
        Self::stored(error.is_transient(), error)
    }
}

impl From<clickcast_job::PieceError> for Error {
    fn from(error: clickcast_job::PieceError) -> Self {
        Self::stored(error.is_transient(), error)
    }
}

impl From<clickcast_registry::Error> for Error {
    fn from(error: clickcast_registry::Error) -> Self {
        match error.kind() {
            clickcast_registry::Kind::NotPassed => Self::library(Kind::Refused, error),
            _ => Self::stored(error.is_transient(), error),
        }
    }
}

impl From<clickcast_record::Error> for Error {
    fn from(error: clickcast_record::Error) -> Self {
        Self::library(Kind::Invalid, error)
    }
}

impl From<clickcast_model::Error> for Error {
    fn from(error: clickcast_model::Error) -> Self {
        Self::library(Kind::Invalid, error)
    }
}

impl From<clickcast_synth::Error> for Error {
    fn from(error: clickcast_synth::Error) -> Self {
        Self::library(Kind::Invalid, error)
    }
}

impl From<clickcast_learn::Error> for Error {
    fn from(error: clickcast_learn::Error) -> Self {
        Self::library(Kind::Invalid, error)
    }
}
