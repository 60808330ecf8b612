//! One run: its outputs, its rejected inputs, its manifest and its audit.

use clickcast_storage::{Object, Store};
use clickcast_verdict::Judgement;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::records::{Audited, Published, Rejected, RunManifest, RunRecord, State};
use super::{PUBLISHED, run_key};
use crate::Error;
use crate::output_names::output_name;
use crate::pointer::Pointer;
use crate::records::{bytes, create, read};

const OUTPUTS: &str = "ctr/";
const ERRORS: &str = "errors/";

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    store: Store,
    record: RunRecord,
}

/// A closed run's manifest and its hash.
pub(super) struct Closed {
    pub(super) manifest: RunManifest,
    pub(super) sha256: String,
}

impl Run {
    pub(super) fn new(store: Store, record: RunRecord) -> Self {
        Self { store, record }
    }

    /// Returns what the run was begun with.
    #[must_use]
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// Where all runs of its output folder are.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The key, in [`Run::store`], of what is made of an input, or of a range of its row groups, first and last.
    /// `output` is the input's key with the ending of predictions, `.parquet`.
    #[must_use]
    pub fn output_key(&self, output: &str, row_groups: Option<(u64, u64)>) -> String {
        self.key(&format!("{OUTPUTS}{}", output_name(output, row_groups)))
    }

    /// The key of a file of the run, such as `audit.html`.
    #[must_use]
    pub fn key(&self, file: &str) -> String {
        run_key(&self.record.run, file)
    }

    /// The outputs that are there, by key below `ctr/`.
    ///
    /// # Errors
    /// If the store can't be read.
    pub async fn outputs(&self) -> Result<Vec<Object>, Error> {
        let prefix = self.key(OUTPUTS);
        let found = self.store.list_below(prefix.trim_end_matches('/')).await?;
        let below = |object: Object| Some(Object { key: object.key.strip_prefix(&prefix)?.to_owned(), ..object });
        Ok(found.into_iter().filter_map(below).collect())
    }

    /// Records that an input can never be scored.
    ///
    /// # Errors
    /// If the store can't be written.
    pub async fn reject(&self, rejected: &Rejected) -> Result<(), Error> {
        Ok(self.store.put(&self.key(&format!("{ERRORS}{}.json", rejected.key)), bytes(rejected)).await?)
    }

    /// Removes the rejection of an input that has been scored since, or was deleted.
    ///
    /// # Errors
    /// If the store can't be written.
    pub async fn clear_rejection(&self, input: &str) -> Result<(), Error> {
        Ok(self.store.delete(&self.key(&format!("{ERRORS}{input}.json"))).await?)
    }

    /// Inputs that can never be scored, by key.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind::Damaged), or if the store can't be read.
    pub async fn rejected(&self) -> Result<Vec<Rejected>, Error> {
        let mut rejected = Vec::new();
        for object in self.store.list_below(self.key(ERRORS).trim_end_matches('/')).await? {
            rejected.extend(read::<Rejected>(&self.store, &object.key).await?.map(|read| read.value));
        }
        Ok(rejected)
    }

    /// Fixes what the run consists of; a run is closed once.
    ///
    /// # Errors
    /// [`Kind::Refused`](crate::Kind::Refused) if it is closed with other contents; or if the store fails.
    pub async fn close(&self, manifest: &RunManifest) -> Result<(), Error> {
        let same = |found: &RunManifest| *found == RunManifest { closed: found.closed, ..manifest.clone() };
        if create(&self.store, &self.key("manifest.json"), manifest, same).await? {
            return Ok(());
        }
        Err(Error::refused(format!("run `{}` is closed already, with other contents", self.record.run)))
    }

    /// Returns what the run consists of; `None` while it is open.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind::Damaged), or if the store can't be read.
    pub async fn manifest(&self) -> Result<Option<RunManifest>, Error> {
        Ok(self.closed().await?.map(|closed| closed.manifest))
    }

    /// Whether the run is closed, which costs less than [`Run::manifest`].
    ///
    /// # Errors
    /// If the store can't be read.
    pub async fn is_closed(&self) -> Result<bool, Error> {
        match self.store.head(&self.key("manifest.json")).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what an audit of the manifest, as it is, says.
    ///
    /// # Errors
    /// [`Kind::Refused`](crate::Kind::Refused) while the run is open; or if the store fails.
    pub async fn record_audit(
        &self,
        at: Timestamp,
        rows_in: Option<u64>,
        rows_out: u64,
        judgement: Judgement,
    ) -> Result<Audited, Error> {
        let Some(closed) = self.closed().await? else {
            return Err(Error::refused(format!("run `{}` is still open; close it first", self.record.run)));
        };
        let audited = Audited { manifest_sha256: closed.sha256, at, rows_in, rows_out, judgement };
        self.store.put(&self.key("audit.json"), bytes(&audited)).await?;
        Ok(audited)
    }

    /// Returns the last audit; `None` if the run was never audited.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind::Damaged), or if the store can't be read.
    pub async fn audited(&self) -> Result<Option<Audited>, Error> {
        Ok(read(&self.store, &self.key("audit.json")).await?.map(|read| read.value))
    }

    /// Returns how far the run has come.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind::Damaged), or if the store can't be read.
    pub async fn state(&self) -> Result<State, Error> {
        let Some(closed) = self.closed().await? else { return Ok(State::Open) };
        let published = Pointer::new(&self.store, PUBLISHED.to_owned()).read::<Published>().await?;
        if published.is_some_and(|moves| moves.current.run == self.record.run) {
            return Ok(State::Published);
        }
        let is_audited = self.audited().await?.is_some_and(|audited| audited.manifest_sha256 == closed.sha256);
        Ok(if is_audited { State::Audited } else { State::Closed })
    }

    pub(super) async fn closed(&self) -> Result<Option<Closed>, Error> {
        let key = self.key("manifest.json");
        let found = match self.store.get(&key).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = |error: serde_json::Error| Error::damaged(&self.store.uri(&key), error);
        let manifest = serde_json::from_slice(&found).map_err(damaged)?;
        let sha256 = Sha256::digest(&found).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Some(Closed { manifest, sha256 }))
    }
}
