//! Runs of predictions: staged, closed, audited, then published.
//!
//! ```text
//! runs/<run>/run.json           the model, pinned for the whole run; created once
//! runs/<run>/ctr/...            the predictions: the output is the commit
//! runs/<run>/errors/...json     an input that can never be scored, and why
//! runs/<run>/manifest.json      what the run consists of; created once, when it is closed
//! runs/<run>/audit.json         what the audit says of this very manifest
//! published.json                a pointer to a run, with its history
//! ```

use clickcast_record::Precision;
use clickcast_storage::{Object, Store, absolute, key_below};
use clickcast_verdict::{Judgement, OutputRecord, Verdict, covers};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::output_names::output_name;
use crate::pointer::{Change, Fence, Moved, Moves, Pointer};
use crate::records::{bytes, create, read};
use crate::{Error, Kind, Name, RunName};

const PUBLISHED: &str = "published.json";
const OUTPUTS: &str = "ctr/";
const ERRORS: &str = "errors/";

/// The runs below an output folder or prefix.
#[derive(Debug, Clone)]
pub struct Runs {
    store: Store,
}

/// The model of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedModel {
    /// The registry that it was found in, from the root on where it is a path; none where it came from a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// Its name and version, where it comes from a registry.
    pub name: Option<Name>,
    /// See `name`.
    pub version: Option<u64>,
    /// The artifact's hash.
    pub artifact: String,
}

/// What decides an output's bytes beside the model and the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSettings {
    /// The precision of the predictions.
    pub precision: Precision,
    /// Columns carried beside the schema's ids.
    pub keep: Vec<String>,
}

/// `run.json`: created once, by whoever comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run.
    pub run: RunName,
    /// The model that scores all of it.
    pub model: PinnedModel,
    /// The folder or prefix of its inputs, from the root on where it is a path.
    pub input: String,
    /// Settings.
    pub settings: RunSettings,
    /// When, by the clock of who came first.
    pub created: Timestamp,
}

impl RunRecord {
    /// Whether this is the folder, prefix or file of the run's inputs, however it is written.
    #[must_use]
    pub fn has_input(&self, uri: &str) -> bool {
        self.input == uri || key_below(&self.input, uri).is_ok_and(|key| key.is_some_and(|key| key.is_empty()))
    }

    /// The same record with places that whoever works elsewhere finds, too: workers and auditors have folders of their own.
    fn with_absolute_places(mut self) -> Result<Self, Error> {
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
    /// Its rows; none where its format doesn't tell without reading it.
    pub rows: Option<u64>,
    /// Its row groups, where it has such.
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
pub struct Manifest {
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
    /// Rows of the inputs; none where an input's format doesn't tell.
    pub rows_in: Option<u64>,
    /// Rows of the outputs.
    pub rows_out: u64,
    /// What was looked at, and what follows.
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

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    store: Store,
    record: RunRecord,
}

impl Runs {
    /// The runs below an output folder.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Begins a run, or joins the one of this name.
    ///
    /// # Errors
    /// [`Kind::Refused`] where it has another model, input or settings; [`Kind::Damaged`]; or where the store fails.
    pub async fn begin(&self, record: RunRecord) -> Result<Run, Error> {
        let run = self.begin_or_join(record.clone()).await?;
        let found = &run.record;
        let other = |what: &str| Error::refused(format!("run `{}` has another {what}; name another run", record.run));
        if found.model.artifact != record.model.artifact {
            return Err(other("model, which is pinned for the whole run"));
        }
        if found.settings != record.settings {
            return Err(other("precision or other columns to keep"));
        }
        if !found.has_input(&record.input) {
            return Err(other(&format!("input, `{}`", found.input)));
        }
        Ok(run)
    }

    /// Begins a run, or joins the one of this name with whatever model and settings it was begun with.
    ///
    /// # Errors
    /// [`Kind::Damaged`], or where the store fails.
    pub async fn begin_or_join(&self, record: RunRecord) -> Result<Run, Error> {
        let record = record.with_absolute_places()?;
        let key = run_key(&record.run, "run.json");
        if create(&self.store, &key, &record, |found| *found == record).await? {
            return Ok(Run { store: self.store.clone(), record });
        }
        self.open(&record.run).await
    }

    /// Opens a run that was begun.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Damaged`], or where the store can't be read.
    pub async fn open(&self, run: &RunName) -> Result<Run, Error> {
        let record = read::<RunRecord>(&self.store, &run_key(run, "run.json")).await?;
        let record = record.ok_or_else(|| {
            let place = self.store.uri("runs");
            Error::new(Kind::NotFound, format!("there is no run `{run}` in `{place}`; `runs list` shows what there is"))
        })?;
        Ok(Run { store: self.store.clone(), record: record.value })
    }

    /// The names of all runs, by rising name.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub async fn names(&self) -> Result<Vec<RunName>, Error> {
        let name_of = |object: Object| {
            let name = object.key.strip_prefix("runs/")?.strip_suffix("/run.json")?;
            name.parse().ok()
        };
        Ok(self.store.list_below("runs").await?.into_iter().filter_map(name_of).collect())
    }

    /// The published run and its history; none where none was.
    ///
    /// # Errors
    /// [`Kind::Damaged`], or where the store can't be read.
    pub async fn published(&self) -> Result<Option<Moves<Published>>, Error> {
        self.pointer().read().await
    }

    /// Publishes a run whose manifest has passed its audit, or is held by it where the change is forced; one that was closed before
    /// the published one only with a reason.
    ///
    /// # Errors
    /// [`Kind::NotPassed`] where its audit failed, or holds it and nothing is forced; [`Kind::Refused`] where it is open or published already, is older than
    /// the published one and no reason is given, or where a newer leader has published; [`Kind::Conflict`] where the pointer was moved at the same moment.
    pub async fn publish(&self, run: &Run, change: Change) -> Result<Moved<Published>, Error> {
        let name = &run.record.run;
        let refused = |why: &str| Error::refused(format!("run `{name}` {why}"));
        let still_open = || refused("is still open; `runs close` fixes what it consists of");
        let closed = run.closed().await?.ok_or_else(still_open)?;
        match run.audited().await?.filter(|audited| audited.manifest_sha256 == closed.sha256) {
            None => return Err(Error::not_passed(format!("run `{name}` was not audited; `runs audit` does that"))),
            Some(audited) => match audited.judgement.verdict {
                Verdict::Pass => {}
                // What is held is a person's decision; what is wrong is nobody's.
                Verdict::Hold if change.forced => {}
                Verdict::Hold => {
                    return Err(Error::not_passed(format!(
                        "run `{name}` is held by its audit; `runs show` says why, and --force --reason TEXT publishes it all the same"
                    )));
                }
                Verdict::Fail => {
                    let sentence = format!("run `{name}` has not passed its audit; `runs show` says why");
                    return Err(Error::not_passed(sentence));
                }
            },
        }
        let manifest = run_key(name, "manifest.json");
        let to =
            Published { run: name.clone(), manifest, manifest_sha256: closed.sha256, closed: closed.manifest.closed };
        let (fence, has_reason) = (change.fence, change.reason.is_some());
        let may = |moves: Option<&Moves<Published>>| match moves {
            Some(moves) if moves.current == to => Err(refused("is published already")),
            Some(moves) if moves.current.closed > to.closed && !has_reason => Err(refused(&format!(
                "was closed before the published run `{}`; `runs rollback` goes back, or --reason TEXT says why it is published",
                moves.current.run
            ))),
            Some(moves) => check_fence(moves, fence),
            None => Ok(()),
        };
        self.pointer().promote(to.clone(), change, may).await
    }

    /// Publishes again what was before the last publication.
    ///
    /// # Errors
    /// [`Kind::Refused`] where there is nothing before it, or a newer leader has published; [`Kind::Conflict`].
    pub async fn roll_back(&self, change: Change) -> Result<Moved<Published>, Error> {
        let fence = change.fence;
        self.pointer().roll_back(change, |moves| check_fence(moves, fence)).await
    }

    fn pointer(&self) -> Pointer<'_> {
        Pointer::new(&self.store, PUBLISHED.to_owned())
    }
}

/// Once a token was used, none and an older one are refused.
fn check_fence(moves: &Moves<Published>, fence: Option<Fence>) -> Result<(), Error> {
    let newest = moves.history.iter().filter_map(|moved| moved.fence).max();
    match (newest, fence) {
        (Some(Fence(newest)), None) => {
            Err(Error::refused(format!("publishing needs a fencing token of {newest} or above")))
        }
        (Some(Fence(newest)), Some(Fence(fence))) if fence < newest => {
            Err(Error::refused(format!("fencing token {fence} is older than {newest}: somebody else leads by now")))
        }
        _ => Ok(()),
    }
}

/// A closed run's manifest and its hash.
pub(crate) struct Closed {
    manifest: Manifest,
    sha256: String,
}

impl Run {
    /// What it was begun with.
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
    /// Where the store can't be read.
    pub async fn outputs(&self) -> Result<Vec<Object>, Error> {
        let prefix = self.key(OUTPUTS);
        let found = self.store.list_below(prefix.trim_end_matches('/')).await?;
        let below = |object: Object| Some(Object { key: object.key.strip_prefix(&prefix)?.to_owned(), ..object });
        Ok(found.into_iter().filter_map(below).collect())
    }

    /// Notes that an input can never be scored.
    ///
    /// # Errors
    /// Where the store can't be written.
    pub async fn reject(&self, rejected: &Rejected) -> Result<(), Error> {
        Ok(self.store.put(&self.key(&format!("{ERRORS}{}.json", rejected.key)), bytes(rejected)).await?)
    }

    /// Forgets that an input could not be scored: it has been, or is gone.
    ///
    /// # Errors
    /// Where the store can't be written.
    pub async fn absolve(&self, input: &str) -> Result<(), Error> {
        Ok(self.store.delete(&self.key(&format!("{ERRORS}{input}.json"))).await?)
    }

    /// Inputs that can never be scored, by key.
    ///
    /// # Errors
    /// [`Kind::Damaged`], or where the store can't be read.
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
    /// [`Kind::Refused`] where it is closed with other contents; or where the store fails.
    pub async fn close(&self, manifest: &Manifest) -> Result<(), Error> {
        let same = |found: &Manifest| *found == Manifest { closed: found.closed, ..manifest.clone() };
        if create(&self.store, &self.key("manifest.json"), manifest, same).await? {
            return Ok(());
        }
        Err(Error::refused(format!("run `{}` is closed already, with other contents", self.record.run)))
    }

    /// What the run consists of; none while it is open.
    ///
    /// # Errors
    /// [`Kind::Damaged`], or where the store can't be read.
    pub async fn manifest(&self) -> Result<Option<Manifest>, Error> {
        Ok(self.closed().await?.map(|closed| closed.manifest))
    }

    /// Whether the run is closed, which costs less than [`Run::manifest`].
    ///
    /// # Errors
    /// Where the store can't be read.
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
    /// [`Kind::Refused`] while the run is open; or where the store fails.
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

    /// What the last audit said; none where there was none.
    ///
    /// # Errors
    /// [`Kind::Damaged`], or where the store can't be read.
    pub async fn audited(&self) -> Result<Option<Audited>, Error> {
        Ok(read(&self.store, &self.key("audit.json")).await?.map(|read| read.value))
    }

    /// How far it has come.
    ///
    /// # Errors
    /// [`Kind::Damaged`], or where the store can't be read.
    pub async fn state(&self) -> Result<State, Error> {
        let Some(closed) = self.closed().await? else { return Ok(State::Open) };
        let published = Pointer::new(&self.store, PUBLISHED.to_owned()).read::<Published>().await?;
        if published.is_some_and(|moves| moves.current.run == self.record.run) {
            return Ok(State::Published);
        }
        let is_audited = self.audited().await?.is_some_and(|audited| audited.manifest_sha256 == closed.sha256);
        Ok(if is_audited { State::Audited } else { State::Closed })
    }

    async fn closed(&self) -> Result<Option<Closed>, Error> {
        let key = self.key("manifest.json");
        let found = match self.store.get(&key).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = |error: serde_json::Error| Error::damaged(&self.store.uri(&key), &error.to_string());
        let manifest = serde_json::from_slice(&found).map_err(damaged)?;
        let sha256 = Sha256::digest(&found).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Some(Closed { manifest, sha256 }))
    }
}

fn run_key(run: &RunName, file: &str) -> String {
    format!("runs/{run}/{file}")
}
