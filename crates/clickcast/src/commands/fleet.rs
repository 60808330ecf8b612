//! The demo's workers: two share a day's files, and the first is killed before it is done.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clickcast_storage::queue::{Depth, Queue};
use serde_json::{Value, json};

use super::{Context, storage_failure};
use crate::failure::Failure;

/// Visibility timeout of the queue: the messages of the killed worker come back after this time.
pub(super) const VISIBILITY_S: u32 = 3;
/// The first worker is killed after this many files, while it holds more messages.
const FILES_BEFORE_KILL: u64 = 3;
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A worker that has done nothing for this long is considered stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// A queue with a message for each of a day's files, and the arguments of its workers.
pub(super) struct Fleet<'a> {
    pub(super) context: &'a Context,
    /// The workers' arguments besides the queue.
    pub(super) arguments: &'a [String],
    pub(super) queue: &'a str,
    /// The folder of the workers' logs.
    pub(super) logs: &'a Path,
}

/// A worker process that is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The worker has ended, or isn't needed any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Fleet<'_> {
    /// Runs both workers until the queue is empty. Returns whether the first worker was killed before that, and the report of the
    /// second.
    pub(super) fn work(&self) -> Result<(bool, Value), Failure> {
        let queue = self.context.runtime.block_on(Queue::open(self.queue)).map_err(|error| storage_failure(&error))?;
        let sent = waiting(&self.depth(&queue)?);
        let mut first = self.start("worker-1")?;
        self.wait_until(&queue, &mut first, |depth| depth.in_flight > 0)?;
        let mut second = self.start("worker-2")?;
        self.wait_until(&queue, &mut first, |depth| waiting(depth) + FILES_BEFORE_KILL <= sent)?;
        let is_killed = matches!(first.0.try_wait(), Ok(None));
        if is_killed {
            // SIGKILL: the worker can neither finish nor release its messages.
            let killed = first.0.kill().and_then(|()| first.0.wait());
            killed.map_err(|error| Failure::transient(format!("worker-1 can't be killed: {error}")))?;
        } else {
            self.report(&mut first, "worker-1")?;
        }
        Ok((is_killed, self.report(&mut second, "worker-2")?))
    }

    fn start(&self, name: &str) -> Result<Running, Failure> {
        let failed = |error: std::io::Error| Failure::transient(format!("{name} can't be started: {error}"));
        let log = File::create(self.logs.join(name).with_extension("log")).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(["worker", "--queue", self.queue, "--until-idle", "--json"]).args(self.arguments);
        command.args([
            "--visibility-s",
            &VISIBILITY_S.to_string(),
            "--threads",
            &self.context.resources.threads().to_string(),
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().map(Running).map_err(failed)
    }

    fn depth(&self, queue: &Queue) -> Result<Depth, Failure> {
        self.context.runtime.block_on(queue.depth()).map_err(|error| storage_failure(&error))
    }

    /// Polls the queue until the condition holds, or the worker has ended.
    fn wait_until(&self, queue: &Queue, worker: &mut Running, is_so: impl Fn(&Depth) -> bool) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        while !is_so(&self.depth(queue)?) && matches!(worker.0.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Waits for a worker to end, and reads its report.
    fn report(&self, worker: &mut Running, name: &str) -> Result<Value, Failure> {
        let mut report = String::new();
        let read = worker.0.stdout.take().map_or(Ok(0), |mut stdout| stdout.read_to_string(&mut report));
        let ended = read.and_then(|_| worker.0.wait());
        let report = serde_json::from_str(&report).unwrap_or_else(|_| json!({}));
        match ended {
            Ok(status) if status.success() => Ok(report),
            _ => Err(Failure::transient(format!("{name} failed; `{}/{name}.log` says why", self.logs.display()))),
        }
    }
}

/// Returns the number of messages that are not done.
fn waiting(depth: &Depth) -> u64 {
    depth.visible + depth.in_flight + depth.delayed
}
