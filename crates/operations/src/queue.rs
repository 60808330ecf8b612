//! What a person does with a queue: send work, count messages, list dead letters and send them again.

use clickcast_dataset::discover;
use clickcast_job::message::{SUCCESS, Task};
use clickcast_registry::RunName;
use clickcast_storage::absolute;
use clickcast_storage::queue::Queue;
use serde::Serialize;

use crate::{Error, Resources};

/// Messages sent at once: what a queue takes in one go, many times over.
const SENT_AT_ONCE: usize = 1000;

/// What to ask workers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendRequest {
    /// The queue.
    pub queue: String,
    /// The folder or prefix whose files are to be scored.
    pub data: String,
    /// The run; `None` names it after the folder.
    pub run: Option<RunName>,
    /// Whether to close the run when all files are scored.
    pub close: bool,
}

/// What was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SendReport {
    /// Messages.
    pub sent: usize,
    /// Files that they ask for.
    pub files: usize,
    /// The run.
    pub run: RunName,
    /// The queue.
    pub queue: String,
}

/// Sends a message for each file of a folder, as the clouds' events do. Makes the queue if it is a file that does not exist.
///
/// # Errors
/// If there are no files, the folder names no run, or a store or the queue fails.
pub fn send(resources: &Resources, request: &SendRequest) -> Result<SendReport, Error> {
    let inputs = resources.wait(discover(&request.data))?;
    let Some(first) = inputs.first() else {
        return Err(Error::invalid(format!("`{}` has no files", request.data)));
    };
    // Workers may run in other folders than this process.
    let folder = absolute(&first.store.uri(""))?;
    let task = |key: &str| Task {
        folder: Some(folder.clone()),
        run: request.run.clone(),
        ..Task::new(format!("{folder}/{key}"))
    };
    let mut tasks: Vec<Task> = inputs.iter().map(|input| task(&input.object.key)).collect();
    let run = tasks[0].run().map_err(|problem| Error::invalid(format!("{problem}; give --run NAME")))?;
    if request.close {
        tasks.push(task(SUCCESS));
    }
    let bodies: Vec<String> = tasks.iter().map(Task::body).collect();
    let queue = resources.wait(Queue::open(&request.queue))?;
    for some in bodies.chunks(SENT_AT_ONCE) {
        resources.wait(queue.send(some))?;
    }
    Ok(SendReport { sent: bodies.len(), files: inputs.len(), run, queue: request.queue.clone() })
}

/// How many messages a queue has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StatsReport {
    /// Messages that wait for a worker.
    pub visible: u64,
    /// Messages that workers hold.
    pub in_flight: u64,
    /// Messages that were left for later.
    pub delayed: u64,
    /// Dead letters.
    pub dead: u64,
    /// The age of the oldest message; `None` if there is none, or the queue does not tell.
    pub oldest_age_seconds: Option<f64>,
}

/// Counts a queue's messages.
///
/// # Errors
/// If there is no such queue, or it fails.
pub fn stats(resources: &Resources, queue: &str) -> Result<StatsReport, Error> {
    let depth = resources.wait(open_existing(resources, queue)?.depth())?;
    Ok(StatsReport {
        visible: depth.visible,
        in_flight: depth.in_flight,
        delayed: depth.delayed,
        dead: depth.dead,
        oldest_age_seconds: depth.oldest_age.map(|age| age.as_secs_f64()),
    })
}

/// A queue's dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadReport {
    /// The letters, oldest first.
    pub dead: Vec<DeadLetter>,
}

/// A message that no worker can do anything with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The message.
    pub body: String,
    /// Why it is dead; `None` if the queue buried it.
    pub reason: Option<String>,
    /// How often it was received; `None` if the queue does not tell.
    pub received: Option<u32>,
}

/// Lists up to `limit` of a queue's dead letters.
///
/// # Errors
/// If there is no such queue, or it fails.
pub fn dead(resources: &Resources, queue: &str, limit: usize) -> Result<DeadReport, Error> {
    let dead = resources.wait(open_existing(resources, queue)?.dead(limit))?;
    let letters =
        dead.into_iter().map(|dead| DeadLetter { body: dead.body, reason: dead.reason, received: dead.receive_count });
    Ok(DeadReport { dead: letters.collect() })
}

/// What was sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RedriveReport {
    /// Messages.
    pub redriven: u64,
}

/// Sends a queue's dead letters again.
///
/// # Errors
/// If there is no such queue, or it fails.
pub fn redrive(resources: &Resources, queue: &str) -> Result<RedriveReport, Error> {
    let redriven = resources.wait(open_existing(resources, queue)?.redrive())?;
    Ok(RedriveReport { redriven })
}

/// Opens a queue without making it: looking into a mistyped one is an error.
fn open_existing(resources: &Resources, queue: &str) -> Result<Queue, Error> {
    Ok(resources.wait(Queue::open_existing(queue))?)
}
