//! Why a model file was refused.

/// Whether the file is damaged or merely asks for more than a click-through rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The text breaks the format: truncated, edited, or not a LightGBM model at all.
    Malformed,
    /// A sound model that does not predict a probability of a click, or of an unknown version.
    Unsupported,
}

/// A refusal of a model file: where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// Whether the file is damaged or unsupported.
    pub kind: Kind,
    /// Line of the file, from 1.
    pub line: usize,
    /// One sentence.
    pub message: String,
}

impl ParseError {
    pub(super) fn malformed(line: usize, message: impl Into<String>) -> Self {
        Self { kind: Kind::Malformed, line, message: message.into() }
    }

    pub(super) fn unsupported(line: usize, message: impl Into<String>) -> Self {
        Self { kind: Kind::Unsupported, line, message: message.into() }
    }
}

/// Shortens text of the file for a message; a damaged file may have lines of any length.
pub(super) fn excerpt(text: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    let mut short: String = text.chars().take(CHARACTERS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
