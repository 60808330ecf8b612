//! What operations compute with.

use std::num::NonZeroUsize;
use std::time::Instant;

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::runtime::Handle;

use crate::Error;

/// The threads that operations compute with, and the runtime that does their input and output.
#[derive(Debug)]
pub struct Resources {
    handle: Handle,
    threads: NonZeroUsize,
    pool: ThreadPool,
}

impl Resources {
    /// Resources of this many compute threads; requests to stores and queues go through the runtime of `handle`.
    ///
    /// # Errors
    /// [`Kind::Unavailable`](crate::Kind::Unavailable) if the system gives no threads.
    pub fn new(handle: Handle, threads: NonZeroUsize) -> Result<Self, Error> {
        let pool = ThreadPoolBuilder::new().num_threads(threads.get()).build();
        let pool = pool.map_err(|error| Error::unavailable(format!("no threads to compute with: {error}")))?;
        Ok(Self { handle, threads, pool })
    }

    /// The number of cores that this process may use.
    #[must_use]
    pub fn cores() -> NonZeroUsize {
        std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }

    /// The runtime that does input and output.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The number of threads that compute.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.get()
    }

    /// The same threads, for work that is cut by index.
    #[must_use]
    pub fn pool(&self) -> &ThreadPool {
        &self.pool
    }

    /// Waits for input or output.
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }
}

/// Returns the seconds since `start`, and how many of `rows` were done in each of them.
pub(crate) fn pace(start: Instant, rows: u64) -> (f64, f64) {
    let seconds = start.elapsed().as_secs_f64();
    (seconds, rows as f64 / seconds.max(1e-9))
}

/// Returns the most memory that this process has held so far, or `None` where the system does not tell.
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}
