//! A day's predictions from staged to published: list, show, close, audit, publish, roll back.

mod audit;
mod measure;
mod rescore;
mod show;
mod slices;

use clickcast_job::closing::{contents, unfinished};
use clickcast_registry::{Change, Fence, Moved, Published, Run, RunName, Runs};
use clickcast_storage::Store;
use jiff::Timestamp;
use serde::Serialize;

pub use audit::{AuditReport, AuditRequest, audit};
pub use show::{ListReport, ListedRun, RunProgress, ShowReport, Watch, list, show};

use crate::{Error, Observer, Resources};

/// A run, by its name and the folder or prefix that it is below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLocation {
    /// The run's name.
    pub run: RunName,
    /// The folder or prefix that runs are staged below.
    pub out: String,
}

impl RunLocation {
    fn open(&self, resources: &Resources) -> Result<(Runs, Run), Error> {
        let runs = Runs::new(Store::open(&self.out)?);
        let run = resources.wait(runs.open(&self.run))?;
        Ok((runs, run))
    }
}

/// What a closed run consists of, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloseReport {
    /// The run.
    pub run: RunName,
    /// Its inputs.
    pub inputs: usize,
    /// Its outputs.
    pub outputs: usize,
    /// Inputs that can never be scored.
    pub errors: usize,
    /// Inputs that are neither scored whole nor known to be bad.
    pub missing: usize,
    /// Rows of the outputs.
    pub rows: u64,
    /// When it was closed.
    pub closed: Timestamp,
}

/// Fixes what a run consists of. Closing it again returns the same report.
///
/// # Errors
/// If there is no such run, it is closed with other contents, or a store fails.
pub fn close(resources: &Resources, location: &RunLocation, observer: &dyn Observer) -> Result<CloseReport, Error> {
    let (_, run) = location.open(resources)?;
    let name = &location.run;
    let Some(found) = resources.wait(contents(&run, Timestamp::now(), || !observer.is_cancelled()))? else {
        return Err(Error::cancelled());
    };
    resources.wait(run.close(&found))?;
    // Another process may have closed it first: that one's manifest counts.
    let manifest = resources.wait(run.manifest())?;
    let manifest = manifest.ok_or_else(|| Error::unavailable(format!("run `{name}` is not closed")))?;
    let (inputs, missing) = (manifest.inputs.len(), unfinished(&manifest).len());
    if missing > 0 {
        observer.note(&format!(
            "{missing} of {inputs} inputs are neither scored whole nor known to be bad; the audit of run `{name}` will say which"
        ));
    }
    Ok(CloseReport {
        run: name.clone(),
        inputs,
        outputs: manifest.outputs.len(),
        errors: manifest.errors.len(),
        missing,
        rows: manifest.outputs.iter().map(|output| output.rows).sum(),
        closed: manifest.closed,
    })
}

/// Which run to publish, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishRequest {
    /// The run.
    pub location: RunLocation,
    /// Who publishes it, for the history.
    pub by: String,
    /// Why, for the history.
    pub reason: Option<String>,
    /// Whether to publish a run that its audit holds. A run that failed its audit is never published.
    pub force: bool,
    /// The fencing token of a leader.
    pub fence: Option<Fence>,
}

/// Which publication to undo, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollBackRequest {
    /// The folder or prefix that runs are staged below.
    pub out: String,
    /// The run that must be the published one; `None` rolls back whichever is.
    pub expected: Option<RunName>,
    /// Who rolls back, for the history.
    pub by: String,
    /// Why, for the history.
    pub reason: Option<String>,
    /// The fencing token of a leader.
    pub fence: Option<Fence>,
}

/// What readers see now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicationReport {
    /// The published run.
    pub run: RunName,
    /// The run that was published before.
    pub previous: Option<RunName>,
    /// The published run's manifest, below the output folder.
    pub manifest: String,
}

impl From<Moved<Published>> for PublicationReport {
    fn from(moved: Moved<Published>) -> Self {
        Self { run: moved.to.run, previous: moved.from.map(|from| from.run), manifest: moved.to.manifest }
    }
}

/// Lets readers see a run that has passed its audit.
///
/// # Errors
/// [`Kind::Refused`](crate::Kind::Refused) if it has not passed; [`Kind::Invalid`](crate::Kind::Invalid) if it is open,
/// published already, or older than the published run and no reason is given.
pub fn publish(resources: &Resources, request: &PublishRequest) -> Result<PublicationReport, Error> {
    let (runs, run) = request.location.open(resources)?;
    let change = Change {
        by: request.by.clone(),
        at: Timestamp::now(),
        reason: request.reason.clone(),
        forced: request.force,
        fence: request.fence,
    };
    Ok(resources.wait(runs.publish(&run, change))?.into())
}

/// Publishes again what was published before the last publication.
///
/// # Errors
/// If nothing was published before, or another run than the expected one is published.
pub fn roll_back(resources: &Resources, request: &RollBackRequest) -> Result<PublicationReport, Error> {
    let runs = Runs::new(Store::open(&request.out)?);
    if let Some(expected) = &request.expected {
        let published = resources.wait(runs.published())?.map(|moves| moves.current.run);
        if published.as_ref() != Some(expected) {
            let now = published.map_or_else(|| "none".to_owned(), |run| format!("`{run}`"));
            return Err(Error::invalid(format!("run `{expected}` is not the published one, which is {now}")));
        }
    }
    let change = Change {
        by: request.by.clone(),
        at: Timestamp::now(),
        reason: request.reason.clone(),
        forced: false,
        fence: request.fence,
    };
    Ok(resources.wait(runs.roll_back(change))?.into())
}
