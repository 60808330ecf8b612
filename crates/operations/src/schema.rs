//! Guesses a schema from data, to be edited.

use serde::Serialize;

use crate::data::{Data, write_object};
use crate::{Error, Resources, guess};

/// Rows that are looked at: enough to tell an id from a category, and read in a second.
const SAMPLE_ROWS: usize = 100_000;

/// The data to look at, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaRequest {
    /// Impressions, labelled.
    pub data: String,
    /// The column that tells whether an impression was clicked.
    pub label: String,
    /// Columns that are carried to the predictions.
    pub id: Vec<String>,
    /// Columns to leave out.
    pub drop: Vec<String>,
    /// The file that the schema is written to; `None` writes none.
    pub out: Option<String>,
}

/// A first draft of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaReport {
    /// Rows that were looked at.
    pub rows: usize,
    /// The file that was written.
    pub schema: Option<String>,
    /// The `features.toml`, with what was seen of each column in comments.
    pub text: String,
    /// What to check, one sentence each.
    pub warnings: Vec<String>,
}

/// Guesses the schema of some data.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if a named column is missing, the label is not 0 or 1, or no column is left to
/// learn from.
pub fn schema(resources: &Resources, request: &SchemaRequest) -> Result<SchemaReport, Error> {
    let sample = Data::open(resources, &request.data)?.sample(SAMPLE_ROWS)?;
    let (text, warnings) = guess::guess(&sample, &request.label, &request.id, &request.drop)
        .map_err(|error| Error::about(format!("`{}`", request.data), error))?;
    if let Some(out) = &request.out {
        write_object(resources, out, text.as_str())?;
    }
    Ok(SchemaReport { rows: sample.num_rows(), schema: request.out.clone(), text, warnings })
}
