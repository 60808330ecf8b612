//! What can go wrong with a store, by what the caller may do.

use std::error::Error as StdError;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The object isn't there.
    NotFound,
    /// The object is there already, or is another by now.
    Conflict,
    /// The credentials don't allow it, or there are none.
    Denied,
    /// No space is left.
    Full,
    /// The store asks for fewer requests.
    Throttled,
    /// The store can't be reached, failed, or broke off.
    Unavailable,
    /// The request can never succeed.
    Invalid,
}

/// A failed operation on an object.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation} `{object}`")]
pub struct Error {
    kind: Kind,
    operation: &'static str,
    object: String,
    #[source]
    source: Box<dyn StdError + Send + Sync>,
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
        matches!(self.kind, Kind::Unavailable | Kind::Throttled | Kind::Full)
    }

    /// Whether the object isn't there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }

    pub(crate) fn new(operation: &'static str, object: &str, error: object_store::Error) -> Self {
        use object_store::Error as E;
        let kind = match &error {
            // Its own text speaks of headers.
            E::Precondition { .. } => return Self::conflict(operation, object),
            E::NotFound { .. } => Kind::NotFound,
            E::AlreadyExists { .. } => Kind::Conflict,
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => Kind::Denied,
            E::InvalidPath { .. }
            | E::NotSupported { .. }
            | E::NotImplemented { .. }
            | E::UnknownConfigurationKey { .. } => Kind::Invalid,
            other => io_beneath(other).map_or_else(|| kind_of_answer(other), kind_of),
        };
        Self { kind, operation, object: object.to_owned(), source: Box::new(error) }
    }

    pub(crate) fn io(operation: &'static str, object: &str, error: std::io::Error) -> Self {
        Self { kind: kind_of(&error), operation, object: object.to_owned(), source: Box::new(error) }
    }

    pub(crate) fn invalid(operation: &'static str, object: &str, problem: &str) -> Self {
        Self { kind: Kind::Invalid, operation, object: object.to_owned(), source: problem.into() }
    }

    /// For a URI of a service that the build was made without.
    #[allow(dead_code, reason = "unused in a build with all services")]
    pub(crate) fn absent(uri: &str, service: &str, feature: &str) -> Self {
        Self::invalid("open", uri, &format!("this build has no {service}; build it with the cargo feature `{feature}`"))
    }

    pub(crate) fn unavailable(operation: &'static str, object: &str, problem: &str) -> Self {
        Self { kind: Kind::Unavailable, operation, object: object.to_owned(), source: problem.into() }
    }

    pub(crate) fn conflict(operation: &'static str, object: &str) -> Self {
        let source = "it was changed in the meantime".into();
        Self { kind: Kind::Conflict, operation, object: object.to_owned(), source }
    }

    pub(crate) fn queue(
        operation: &'static str,
        queue: &str,
        kind: Kind,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind, operation, object: queue.to_owned(), source: source.into() }
    }

    pub(crate) fn incomplete(operation: &'static str, object: &str, kind: Kind) -> Self {
        let source = "an earlier part of it could not be written; begin it anew".into();
        Self { kind, operation, object: object.to_owned(), source }
    }
}

/// The system's error at the bottom of a chain.
fn io_beneath<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a std::io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        next = error.source();
    }
    None
}

/// By the answer's status, which only the text of the error tells: what is wrong with a request stays wrong.
fn kind_of_answer(error: &(dyn StdError + 'static)) -> Kind {
    let text = std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<String>();
    let answer = text.split_once("status code: ").or_else(|| text.split_once("error response: "));
    let Some((_, answer)) = answer else { return Kind::Unavailable };
    // S3 says it with a 503, and at the end of a copy or an upload even with a 200; Azure names it otherwise.
    let throttled = ["SlowDown", "Slow Down", "ServerBusy"].iter().any(|said| answer.contains(said));
    match answer.get(..3).and_then(|status| status.parse::<u16>().ok()) {
        Some(429) => Kind::Throttled,
        // Took too long, too early.
        Some(408 | 425) => Kind::Unavailable,
        Some(400..500) => Kind::Invalid,
        _ if throttled => Kind::Throttled,
        _ => Kind::Unavailable,
    }
}

fn kind_of(error: &std::io::Error) -> Kind {
    use std::io::ErrorKind as E;
    match error.kind() {
        E::NotFound => Kind::NotFound,
        E::PermissionDenied | E::ReadOnlyFilesystem => Kind::Denied,
        E::StorageFull | E::QuotaExceeded => Kind::Full,
        E::AlreadyExists => Kind::Conflict,
        E::NotADirectory | E::IsADirectory | E::InvalidFilename | E::InvalidInput => Kind::Invalid,
        _ => Kind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_by_itself_is_transient() {
        use std::io::ErrorKind as E;
        let said = |text: String| object_store::Error::Generic { store: "S3", source: text.into() };
        let answer = |status: &str| said(format!("Server returned non-2xx status code: {status}: <Error/>"));
        let system = |kind: E| {
            let source = Box::new(std::io::Error::new(kind, "down"));
            object_store::Error::Generic { store: "S3", source }
        };
        for (error, kind, transient) in [
            (answer("500 Internal Server Error"), Kind::Unavailable, true),
            (answer("503 Service Unavailable"), Kind::Unavailable, true),
            (answer("503 Service Unavailable: <Code>SlowDown</Code>"), Kind::Throttled, true),
            (answer("503 Slow Down"), Kind::Throttled, true),
            (answer("503 The server is busy: <Code>ServerBusy</Code>"), Kind::Throttled, true),
            (answer("429 Too Many Requests"), Kind::Throttled, true),
            (answer("408 Request Timeout"), Kind::Unavailable, true),
            (answer("400 Bad Request"), Kind::Invalid, false),
            (said("Server returned error response: <Code>SlowDown</Code>".to_owned()), Kind::Throttled, true),
            (said("Server returned error response: <Code>InternalError</Code>".to_owned()), Kind::Unavailable, true),
            (said("the key `SlowDown` broke off".to_owned()), Kind::Unavailable, true),
            (system(E::TimedOut), Kind::Unavailable, true),
            (system(E::ConnectionReset), Kind::Unavailable, true),
            (system(E::StorageFull), Kind::Full, true),
            (system(E::PermissionDenied), Kind::Denied, false),
        ] {
            let error = Error::new("read", "s3://b/k", error);
            assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{error:?}");
        }
    }
}
