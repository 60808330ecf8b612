//! What can go wrong with a file.

use std::error::Error as _;

use clickcast_storage::Kind;

/// Why a file can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file's content is not what it should be.
    #[error("`{file}`: {problem}")]
    File {
        /// The file, as a person would type it.
        file: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The file's columns or values don't fit the schema.
    #[error("`{file}`")]
    Record {
        /// The file, as a person would type it.
        file: String,
        /// Which column or value.
        #[source]
        source: clickcast_record::Error,
    },
    /// The place where the file is, or is to be.
    #[error(transparent)]
    Storage(#[from] clickcast_storage::Error),
}

impl Error {
    /// Whether repeating the same request may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::File { .. } | Self::Record { .. } => false,
            // A file that was replaced while it was read is there, anew, for the next run.
            Self::Storage(error) => error.is_transient() || error.kind() == Kind::Conflict,
        }
    }

    pub(crate) fn file(file: &str, problem: impl std::fmt::Display) -> Self {
        Self::File { file: file.to_owned(), problem: problem.to_string() }
    }

    /// From what Parquet's reader says.
    pub(crate) fn damaged(file: &str, problem: &dyn std::fmt::Display) -> Self {
        Self::file(file, format!("not readable as Parquet: {problem}; write the file again"))
    }

    /// From what Parquet's writer says.
    pub(crate) fn unwritten(file: &str, error: &parquet::errors::ParquetError) -> Self {
        Self::file(file, format!("can't be written as Parquet: {error}"))
    }

    /// From a stream's error.
    pub(crate) fn stream(file: &str, error: std::io::Error) -> Self {
        Self::file(file, error)
    }

    /// From Arrow's error while reading text.
    pub(crate) fn arrow(file: &str, error: arrow_schema::ArrowError) -> Self {
        match error {
            arrow_schema::ArrowError::IoError(_, inner) => Self::stream(file, inner),
            arrow_schema::ArrowError::CsvError(problem) => Self::file(file, problem),
            other => Self::file(file, other.source().map_or_else(|| other.to_string(), ToString::to_string)),
        }
    }
}
