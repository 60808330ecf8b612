//! How stores and queues fail, by what the caller can do about it.

use std::error::Error as StdError;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The object does not exist.
    NotFound,
    /// The object exists already, or has changed.
    Conflict,
    /// The credentials do not allow it, or there are none.
    Denied,
    /// No space is left.
    Full,
    /// The store asks for fewer requests.
    Throttled,
    /// The store failed, can't be reached, or broke off.
    Unavailable,
    /// The request can never succeed.
    Invalid,
}

impl Kind {
    /// Whether repeating the same request may succeed.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Unavailable | Self::Throttled | Self::Full)
    }
}

/// A failed operation on an object or a queue.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation} `{object}`")]
pub struct Error {
    kind: Kind,
    operation: &'static str,
    object: String,
    #[source]
    source: Option<Source>,
}

type Source = Box<dyn StdError + Send + Sync>;

impl Error {
    /// Returns what kind of failure it was.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether repeating the same request may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind.is_transient()
    }

    /// Whether the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }

    /// From the object store's error. Its own text often holds its sources': so it becomes one sentence here.
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
        let problem = match &error {
            // These say again what failed and on which object, before they come to the reason.
            E::Generic { source, .. }
            | E::NotFound { source, .. }
            | E::AlreadyExists { source, .. }
            | E::PermissionDenied { source, .. }
            | E::Unauthenticated { source, .. }
            | E::NotSupported { source } => flattened(&**source),
            other => flattened(other),
        };
        Self::with(kind, operation, object, problem)
    }

    pub(crate) fn io(operation: &'static str, object: &str, error: std::io::Error) -> Self {
        Self::with(kind_of(&error), operation, object, error)
    }

    pub(crate) fn invalid(operation: &'static str, object: &str, problem: &str) -> Self {
        Self::with(Kind::Invalid, operation, object, problem)
    }

    /// For a URI of a service that the build was made without.
    #[allow(dead_code, reason = "unused in a build with all services")]
    pub(crate) fn absent(uri: &str, service: &str, feature: &str) -> Self {
        Self::invalid("open", uri, &format!("this build has no {service}; build it with the cargo feature `{feature}`"))
    }

    pub(crate) fn unavailable(operation: &'static str, object: &str, problem: &str) -> Self {
        Self::with(Kind::Unavailable, operation, object, problem)
    }

    pub(crate) fn conflict(operation: &'static str, object: &str) -> Self {
        Self::with(Kind::Conflict, operation, object, "it was changed in the meantime")
    }

    pub(crate) fn incomplete(operation: &'static str, object: &str, kind: Kind) -> Self {
        Self::with(kind, operation, object, "an earlier part could not be written; start the object again")
    }

    pub(crate) fn with(kind: Kind, operation: &'static str, object: &str, source: impl Into<Source>) -> Self {
        Self { kind, operation, object: object.to_owned(), source: Some(source.into()) }
    }
}

/// Returns another library's error and its sources as one sentence. Some libraries print their sources, some do not:
/// what was said is not said again.
pub(crate) fn flattened(error: &(dyn StdError + 'static)) -> String {
    let mut sentence = error.to_string();
    for source in chain(error).skip(1) {
        let said = source.to_string();
        if !sentence.contains(&said) {
            sentence = format!("{sentence}: {said}");
        }
    }
    sentence
}

/// An error and its sources, outermost first.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Returns the operating system's error in a chain.
fn io_beneath<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a std::io::Error> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// Returns the kind of failure by the answer's status, which only the error's text tells. A request that was wrong once
/// stays wrong.
fn kind_of_answer(error: &(dyn StdError + 'static)) -> Kind {
    let text = chain(error).map(ToString::to_string).collect::<String>();
    let answer = text.split_once("status code: ").or_else(|| text.split_once("error response: "));
    let Some((_, answer)) = answer else { return Kind::Unavailable };
    // S3 sends it with a 503, and at the end of a copy or an upload even with a 200; Azure has another name for it.
    let throttled = ["SlowDown", "Slow Down", "ServerBusy"].iter().any(|said| answer.contains(said));
    match answer.get(..3).and_then(|status| status.parse::<u16>().ok()) {
        Some(429) => Kind::Throttled,
        // The request took too long, or came too early.
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

    #[test]
    fn nothing_is_said_twice_along_the_chain() {
        #[derive(Debug, thiserror::Error)]
        #[error("{text}")]
        struct Layer {
            text: &'static str,
            source: Option<Box<Layer>>,
        }
        let layer = |text, source: Option<Layer>| Layer { text, source: source.map(Box::new) };
        let reset = layer("connection reset", None);
        let silent = layer("error sending request", Some(reset));
        let speaking = layer("GET failed: error sending request", Some(silent));
        let error = object_store::Error::Generic { store: "S3", source: speaking.into() };
        let error = Error::new("read", "s3://b/k", error);
        let said: Vec<_> = chain(&error).map(ToString::to_string).collect();
        assert_eq!(said, ["can't read `s3://b/k`", "GET failed: error sending request: connection reset"]);
    }
}
