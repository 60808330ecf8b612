//! Why impressions can't be made, or can't be used.

/// An error of this crate. None is transient: the same call fails again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Error {
    kind: Kind,
    sentence: String,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A setting is out of its range.
    Settings,
    /// A batch has no usable column of true probabilities or of clicks.
    Data,
}

impl Error {
    /// Returns what is wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns whether the same call may succeed later: never.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        false
    }

    pub(crate) fn setting(sentence: String) -> Self {
        Self { kind: Kind::Settings, sentence }
    }

    pub(crate) fn data(sentence: String) -> Self {
        Self { kind: Kind::Data, sentence }
    }
}
