//! Small texts: a schema's file, and who is at work.

use std::path::Path;

use clickcast_record::Schema;

use crate::Error;

/// Reads a `features.toml`.
pub(crate) fn read_schema(path: &Path) -> Result<Schema, Error> {
    let subject = format!("schema `{}`", path.display());
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::invalid(format!("{subject}: {error}; `clickcast schema` guesses one")))?;
    Schema::from_toml(&text).map_err(|error| Error::about(subject, error))
}
