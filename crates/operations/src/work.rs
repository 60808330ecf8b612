//! The worker: scores what a queue asks for, until it is told to end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clickcast_job::worker::{Counters, Drain, Setup, Worker, WorkerConfig};
use clickcast_record::Precision;
use clickcast_registry::{ModelCache, Reference, RunName, RunSettings};
use clickcast_storage::Store;
use clickcast_storage::queue::Queue;
use serde::Serialize;

use crate::artifacts::open_registry;
use crate::resources::pace;
use crate::{Error, Resources, peak_memory_bytes};

/// What a worker works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkRequest {
    /// The queue.
    pub queue: String,
    /// The registry of models.
    pub registry: String,
    /// The model of runs that begin now.
    pub model: Reference,
    /// The folder or prefix that runs are staged below.
    pub out: String,
    /// The run of all messages; `None` takes the one that a message names, or its input's folder.
    pub run: Option<RunName>,
    /// The type of the predictions in runs that begin now.
    pub precision: Precision,
    /// Columns to carry beside the schema's ids in runs that begin now.
    pub keep: Vec<String>,
    /// How long a message is hidden from other workers at a time; `None` takes the queue's own.
    pub visibility: Option<Duration>,
    /// The folder that models are kept in; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// Bytes of models to keep there.
    pub cache_bytes: u64,
}

/// A worker that has its queue and its model, and can begin.
pub struct Ready {
    worker: Worker,
    queue: Queue,
    model: String,
    start: Instant,
}

/// What a worker has done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkReport {
    /// Rows scored.
    pub rows: u64,
    /// Messages whose output was written here.
    pub written: u64,
    /// Messages whose output was already there.
    pub found_done: u64,
    /// Messages for ranges of an input that was overwritten since.
    pub overwritten: u64,
    /// Messages that asked for nothing.
    pub ignored: u64,
    /// Messages that were sent again as others.
    pub handed_on: u64,
    /// Messages moved to the dead letters.
    pub buried: u64,
    /// Messages left for a later attempt.
    pub left: u64,
    /// Messages given back when the worker ended.
    pub released: u64,
    /// Messages lost to another worker.
    pub lost: u64,
    /// Runs closed.
    pub closed: u64,
    /// Wall time.
    pub seconds: f64,
    /// Rows by the wall time.
    pub rows_per_second: f64,
    /// The most memory that the process has held.
    pub peak_memory_bytes: Option<u64>,
    /// The model of runs that began.
    pub model: String,
}

/// Opens the queue and the registry, and loads the model: a worker without one is of no use.
///
/// # Errors
/// If the queue or the registry cannot be used, or there is no such model.
pub fn prepare(resources: &Resources, request: &WorkRequest, drain: Arc<Drain>) -> Result<Ready, Error> {
    let start = Instant::now();
    let mut queue = resources.wait(Queue::open(&request.queue))?;
    if let Some(visibility) = request.visibility {
        queue = queue.with_visibility(visibility);
    }
    let setup = Setup {
        out: Store::open(&request.out)?,
        registry: open_registry(&request.registry)?,
        reference: request.model.clone(),
        settings: RunSettings { precision: request.precision, keep: request.keep.clone() },
        cache: request.cache.clone().map(|folder| ModelCache::new(folder, request.cache_bytes)),
    };
    let config = WorkerConfig {
        queue: queue.clone(),
        setup,
        run: request.run.clone(),
        threads: resources.threads(),
        handle: resources.handle().clone(),
        drain,
    };
    let worker = Worker::new(config);
    let model = worker.check_model()?;
    if !queue.has_dead_letters() {
        tracing::warn!(
            "`{}` has no queue for dead letters: what can't be scored comes back until it expires; set its attribute \
             RedrivePolicy, with a deadLetterTargetArn and a maxReceiveCount of 5",
            request.queue
        );
    }
    Ok(Ready { worker, queue, model, start })
}

impl Ready {
    /// The name and version of the model of runs that begin now.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// What the worker has done so far.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.worker.counters()
    }

    /// Works until it is told to end or, with `until_idle`, until nothing is left in the queue.
    ///
    /// # Errors
    /// If the queue cannot be used at all.
    pub fn work(self, until_idle: bool) -> Result<WorkReport, Error> {
        self.worker.work(until_idle)?;
        let counters = self.worker.counters();
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (seconds, rows_per_second) = pace(self.start, of(&counters.rows));
        Ok(WorkReport {
            rows: of(&counters.rows),
            written: of(&counters.written),
            found_done: of(&counters.found_done),
            overwritten: of(&counters.overwritten),
            ignored: of(&counters.ignored),
            handed_on: of(&counters.handed_on),
            buried: of(&counters.buried),
            left: of(&counters.left),
            released: of(&counters.released),
            lost: of(&counters.lost),
            closed: of(&counters.closed),
            seconds,
            rows_per_second,
            peak_memory_bytes: peak_memory_bytes(),
            model: self.model,
        })
    }
}
