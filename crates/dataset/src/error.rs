//! How reading or writing a file fails.

use std::error::Error as StdError;
use std::fmt;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The file's content is not what it should be, or can't be written in its format.
    Content,
    /// The file's columns or values do not fit the schema.
    Schema,
    /// The store that the file is in failed.
    Storage(clickcast_storage::Kind),
}

/// Why a file can't be read or written.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    /// The file, as a person would type it; empty if the store failed, whose error names the object.
    file: String,
    source: Box<dyn StdError + Send + Sync>,
}

impl Error {
    /// Creates an error of a file's content: what is wrong, and what to do.
    pub fn file(file: &str, problem: impl fmt::Display) -> Self {
        Self { kind: Kind::Content, file: file.to_owned(), source: problem.to_string().into() }
    }

    /// Returns what kind of failure it was.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the file itself is at fault: its content, or its columns and values.
    #[must_use]
    pub fn is_of_file(&self) -> bool {
        matches!(self.kind, Kind::Content | Kind::Schema)
    }

    /// Whether repeating the same request may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        use clickcast_storage::Kind as Store;
        match self.kind {
            Kind::Content | Kind::Schema => false,
            // A file that was replaced while it was read exists in its new version for the next run.
            Kind::Storage(kind) => kind.is_transient() || kind == Store::Conflict,
        }
    }

    pub(crate) fn record(file: &str, source: clickcast_record::Error) -> Self {
        Self { kind: Kind::Schema, file: file.to_owned(), source: source.into() }
    }

    /// Returns the same error, said of another file.
    pub(crate) fn of(self, file: &str) -> Self {
        Self { file: file.to_owned(), ..self }
    }

    /// Returns the same error with this before its reason.
    pub(crate) fn within(self, what: &str) -> Self {
        match self.kind {
            Kind::Content => Self::file(&self.file, format!("{what}: {}", self.source)),
            Kind::Schema | Kind::Storage(_) => self,
        }
    }

    /// For a file that has a column twice.
    pub(crate) fn repeated(file: &str, column: &str) -> Self {
        Self::file(file, format!("column `{column}` is there twice; rename one"))
    }

    /// From what Parquet's reader says.
    pub(crate) fn damaged(file: &str, problem: &dyn fmt::Display) -> Self {
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

impl From<clickcast_storage::Error> for Error {
    fn from(error: clickcast_storage::Error) -> Self {
        Self { kind: Kind::Storage(error.kind()), file: String::new(), source: error.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Content | Kind::Schema => write!(out, "`{}`", self.file),
            Kind::Storage(_) => self.source.fmt(out),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.kind {
            Kind::Content | Kind::Schema => Some(&*self.source),
            // The store's own text is said above.
            Kind::Storage(_) => self.source.source(),
        }
    }
}
