//! What can go wrong with a registry, by what the caller may do.

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is nothing of that name.
    NotFound,
    /// Somebody else was faster: look again, then decide anew.
    Conflict,
    /// It is not allowed as things are.
    Refused,
    /// A gate or an audit has not passed it.
    NotPassed,
    /// What is there is not what was written.
    Damaged,
    /// The request can never succeed.
    Invalid,
    /// The store failed; see the source.
    Storage,
}

/// A failed operation on a registry.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
    #[source]
    source: Option<clickcast_storage::Error>,
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
        self.kind == Kind::Conflict || self.source.as_ref().is_some_and(clickcast_storage::Error::is_transient)
    }

    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    pub(crate) fn not_passed(message: impl Into<String>) -> Self {
        Self::new(Kind::NotPassed, message)
    }

    pub(crate) fn damaged(place: &str, problem: &str) -> Self {
        Self::new(Kind::Damaged, format!("`{place}` is damaged: {problem}"))
    }
}

impl From<clickcast_storage::Error> for Error {
    fn from(error: clickcast_storage::Error) -> Self {
        let kind = if error.is_not_found() { Kind::NotFound } else { Kind::Storage };
        Self { kind, message: error.to_string(), source: Some(error) }
    }
}
