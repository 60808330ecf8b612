//! What a run's files hold.

use clickcast_record::Precision;
use clickcast_storage::{absolute, key_below};
use clickcast_verdict::{Judgement, OutputRecord, covers};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, Name, RunName};

/// The model of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedModel {
    /// The registry that it was found in, as an absolute path or a URI; `None` if it came from a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// Its name in the registry; `None` if it came from a folder.
    pub name: Option<Name>,
    /// See `name`.
    pub version: Option<u64>,
    /// The artifact's hash.
    pub artifact: String,
}

/// The settings that decide an output's bytes, besides the model and the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSettings {
    /// The precision of the predictions.
    pub precision: Precision,
    /// Columns to carry, besides the schema's ids.
    pub keep: Vec<String>,
}

/// `run.json`: created once, by the first process that works on the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run.
    pub run: RunName,
    /// The model that scores all of it.
    pub model: PinnedModel,
    /// The folder or prefix of its inputs, as an absolute path or a URI.
    pub input: String,
    /// Settings.
    pub settings: RunSettings,
    /// The time of the creation, by the clock of the process that created it.
    pub created: Timestamp,
}

impl RunRecord {
    /// Whether this is the folder, prefix or file of the run's inputs, however it is written.
    #[must_use]
    pub fn has_input(&self, uri: &str) -> bool {
        self.input == uri || key_below(&self.input, uri).is_ok_and(|key| key.is_some_and(|key| key.is_empty()))
    }

    /// Makes relative paths absolute, because other processes that read the record work in other folders.
    pub(super) fn with_absolute_places(mut self) -> Result<Self, Error> {
        self.input = absolute(&self.input)?;
        self.model.registry = self.model.registry.as_deref().map(absolute).transpose()?;
        Ok(self)
    }
}

/// An input of a closed run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRecord {
    /// Its key below the run's input.
    pub key: String,
    /// As it was when the run was closed.
    pub etag: String,
    /// Its number of rows; `None` if that is unknown without reading the whole file.
    pub rows: Option<u64>,
    /// Its number of row groups; `None` if its format has no row groups.
    pub row_groups: Option<u64>,
}

/// An input that can never be scored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Its key below the run's input.
    pub key: String,
    /// Its ETag.
    pub etag: String,
    /// Why, in one sentence.
    pub reason: String,
}

/// `manifest.json`: what a run consists of; created once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunManifest {
    /// The run.
    pub run: RunName,
    /// When it was closed.
    pub closed: Timestamp,
    /// The model it was pinned to.
    pub model: PinnedModel,
    /// Every input, by key.
    pub inputs: Vec<InputRecord>,
    /// Every output, by key.
    pub outputs: Vec<OutputRecord>,
    /// Outputs of older versions of inputs that have outputs of their newest: they lie there, and are nobody's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded: Vec<String>,
    /// Inputs that can never be scored, by key.
    pub errors: Vec<Rejected>,
}

impl InputRecord {
    /// Whether outputs of this version of it cover it once.
    #[must_use]
    pub fn is_covered_by<'a>(&self, outputs: impl IntoIterator<Item = &'a OutputRecord>) -> bool {
        let own = outputs.into_iter().filter(|output| output.input == self.key && output.input_etag == self.etag);
        covers(&own.map(|output| output.row_groups).collect::<Vec<_>>(), || self.row_groups)
    }
}

/// `audit.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Audited {
    /// SHA-256 of the manifest that was audited.
    pub manifest_sha256: String,
    /// When.
    pub at: Timestamp,
    /// The number of rows of all inputs; `None` if that of an input is unknown.
    pub rows_in: Option<u64>,
    /// Rows of the outputs.
    pub rows_out: u64,
    /// The checks and the verdict.
    pub judgement: Judgement,
}

/// What `published.json` points to: enough for a reader to need no listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The run.
    pub run: RunName,
    /// Its manifest, below the output folder.
    pub manifest: String,
    /// SHA-256 of the manifest.
    pub manifest_sha256: String,
    /// When the run was closed.
    pub closed: Timestamp,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Outputs may be added.
    Open,
    /// What it consists of is fixed.
    Closed,
    /// It was audited as it is.
    Audited,
    /// Readers see it.
    Published,
}
