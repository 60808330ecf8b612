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

mod records;
mod run;

use clickcast_storage::{Object, Store};
use clickcast_verdict::Verdict;

use crate::pointer::{Change, Fence, Moved, Moves, Pointer};
use crate::records::{create, read};
use crate::{Error, Kind, RunName};

pub use records::{Audited, InputRecord, PinnedModel, Published, Rejected, RunManifest, RunRecord, RunSettings, State};
pub use run::Run;

const PUBLISHED: &str = "published.json";

/// The runs below an output folder or prefix.
#[derive(Debug, Clone)]
pub struct Runs {
    store: Store,
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
    /// [`Kind::Refused`] if it has another model, input or settings; [`Kind::Damaged`]; or if the store fails.
    pub async fn begin(&self, record: RunRecord) -> Result<Run, Error> {
        let run = self.begin_or_join(record.clone()).await?;
        let found = run.record();
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
    /// [`Kind::Damaged`], or if the store fails.
    pub async fn begin_or_join(&self, record: RunRecord) -> Result<Run, Error> {
        let record = record.with_absolute_places()?;
        let key = run_key(&record.run, "run.json");
        if create(&self.store, &key, &record, |found| *found == record).await? {
            return Ok(Run::new(self.store.clone(), record));
        }
        self.open(&record.run).await
    }

    /// Opens a run that was begun.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Damaged`], or if the store can't be read.
    pub async fn open(&self, run: &RunName) -> Result<Run, Error> {
        let record = read::<RunRecord>(&self.store, &run_key(run, "run.json")).await?;
        let record = record.ok_or_else(|| {
            let place = self.store.uri("runs");
            Error::new(Kind::NotFound, format!("there is no run `{run}` in `{place}`; `runs list` shows what there is"))
        })?;
        Ok(Run::new(self.store.clone(), record.value))
    }

    /// The names of all runs, by rising name.
    ///
    /// # Errors
    /// If the store can't be read.
    pub async fn names(&self) -> Result<Vec<RunName>, Error> {
        let name_of = |object: Object| {
            let name = object.key.strip_prefix("runs/")?.strip_suffix("/run.json")?;
            name.parse().ok()
        };
        Ok(self.store.list_below("runs").await?.into_iter().filter_map(name_of).collect())
    }

    /// Returns the published run and its history; `None` if no run was ever published.
    ///
    /// # Errors
    /// [`Kind::Damaged`], or if the store can't be read.
    pub async fn published(&self) -> Result<Option<Moves<Published>>, Error> {
        self.pointer().read().await
    }

    /// Publishes a run whose manifest has passed its audit, or is held by it where the change is forced; one that was closed before
    /// the published one only with a reason.
    ///
    /// # Errors
    /// [`Kind::NotPassed`] if its audit failed, or holds it and nothing is forced; [`Kind::Refused`] if it is open or published already, is older than
    /// the published one and no reason is given, or if a newer leader has published; [`Kind::Conflict`] if the pointer was moved at the same moment.
    pub async fn publish(&self, run: &Run, change: Change) -> Result<Moved<Published>, Error> {
        let name = &run.record().run;
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
    /// [`Kind::Refused`] if there is nothing before it, or a newer leader has published; [`Kind::Conflict`].
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

fn run_key(run: &RunName, file: &str) -> String {
    format!("runs/{run}/{file}")
}
