//! Why a job failed, by what its caller may do, and the sentence that tells a person.

use std::error::Error as StdError;
use std::fmt;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A store or a queue failed: repeating the request may succeed.
    Unavailable,
    /// Repeating the request will not help, and no message is to blame.
    Invalid,
    /// The message or the request asks for what cannot be done.
    Refused,
    /// The input can never be scored.
    Input,
    /// The caller told it to stop.
    Stopped,
}

/// A failed step of a job.
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
}

impl Error {
    /// Returns what kind of failure it was.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether repeating the same request may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::Stopped)
    }

    pub(crate) fn refused(sentence: impl Into<String>) -> Self {
        Self { kind: Kind::Refused, cause: Cause::Sentence(sentence.into()) }
    }

    pub(crate) fn stopped() -> Self {
        Self { kind: Kind::Stopped, cause: Cause::Sentence("stopped".to_owned()) }
    }

    /// The library says that the input can never be scored.
    pub(crate) fn input(error: impl StdError + Send + Sync + 'static) -> Self {
        Self { kind: Kind::Input, cause: Cause::Library(Box::new(error)) }
    }

    pub(crate) fn invalid(error: impl StdError + Send + Sync + 'static) -> Self {
        Self::library(false, error)
    }

    fn library(is_transient: bool, error: impl StdError + Send + Sync + 'static) -> Self {
        let kind = if is_transient { Kind::Unavailable } else { Kind::Invalid };
        Self { kind, cause: Cause::Library(Box::new(error)) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Sentence(sentence) => formatter.write_str(sentence),
            Cause::Library(error) => error.fmt(formatter),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.cause {
            Cause::Sentence(_) => None,
            // Display shows the library's error itself: what lies below it comes next.
            Cause::Library(error) => error.source(),
        }
    }
}

impl From<clickcast_storage::Error> for Error {
    fn from(error: clickcast_storage::Error) -> Self {
        Self::library(error.is_transient(), error)
    }
}

impl From<clickcast_registry::Error> for Error {
    fn from(error: clickcast_registry::Error) -> Self {
        Self::library(error.is_transient(), error)
    }
}

impl From<clickcast_dataset::Error> for Error {
    fn from(error: clickcast_dataset::Error) -> Self {
        if error.is_of_file() { Self::input(error) } else { Self::library(error.is_transient(), error) }
    }
}

/// Puts an error and its sources into one sentence, joined by `: `.
///
/// No error in a chain may repeat its source in its own text.
#[must_use]
pub fn sentence(error: &(dyn StdError + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("can't read `a`")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_sentence_has_every_error_of_the_chain_once() {
        let outer = Outer(std::io::Error::other("the disk is gone"));
        assert_eq!(sentence(&outer), "can't read `a`: the disk is gone");
        assert_eq!(sentence(&Error::library(true, outer)), "can't read `a`: the disk is gone");
        assert_eq!(sentence(&Error::refused("`b` is gone")), "`b` is gone");
    }
}
