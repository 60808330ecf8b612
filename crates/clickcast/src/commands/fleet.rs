//! The demo's workers: two share a day's files, and the first is killed on the way.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clickcast_storage::queue::{Depth, Queue};
use serde_json::{Value, json};

use super::{Context, storage_failure};
use crate::failure::Failure;

/// How long a worker's messages are kept from the other: what a killed one held comes back so soon.
pub(super) const VISIBILITY_S: u32 = 3;
/// Files after which the first worker is killed: it holds more by then.
const FILES_BEFORE_KILL: u64 = 3;
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A worker that has done nothing for so long never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// A queue that was sent a day's files, and what its workers are told.
pub(super) struct Fleet<'a> {
    pub(super) context: &'a Context,
    /// What the workers are called with beside the queue.
    pub(super) arguments: &'a [String],
    pub(super) queue: &'a str,
    /// Where they write what they have to say.
    pub(super) logs: &'a Path,
}

/// A worker that ends with its owner, whatever happens in between.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, or is of no use any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Fleet<'_> {
    /// Works until nothing is left; whether the first worker was killed before that, and what the second one reported.
    pub(super) fn work(&self) -> Result<(bool, Value), Failure> {
        let queue = self.context.runtime.block_on(Queue::open(self.queue)).map_err(|error| storage_failure(&error))?;
        let sent = waiting(&self.depth(&queue)?);
        let mut first = self.start("worker-1")?;
        self.wait_until(&queue, &mut first, |depth| depth.in_flight > 0)?;
        let mut second = self.start("worker-2")?;
        self.wait_until(&queue, &mut first, |depth| waiting(depth) + FILES_BEFORE_KILL <= sent)?;
        let is_killed = matches!(first.0.try_wait(), Ok(None));
        if is_killed {
            // SIGKILL: it can neither finish nor give back what it holds.
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

    /// Looks at the queue until it is so, or the worker has ended.
    fn wait_until(&self, queue: &Queue, worker: &mut Running, is_so: impl Fn(&Depth) -> bool) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        while !is_so(&self.depth(queue)?) && matches!(worker.0.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Waits for a worker's end, and reads what it reported.
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

/// Messages that are not done.
fn waiting(depth: &Depth) -> u64 {
    depth.visible + depth.in_flight + depth.delayed
}
