//! What a worker has done, for whoever watches it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers that only rise, but for the last.
#[derive(Debug, Default)]
pub struct Counters {
    /// Rows scored.
    pub rows: AtomicU64,
    /// Messages whose output was written here.
    pub written: AtomicU64,
    /// Messages whose work was found done.
    pub found_done: AtomicU64,
    /// Messages handed on as others.
    pub handed_on: AtomicU64,
    /// Messages buried.
    pub buried: AtomicU64,
    /// Messages left, to be tried again.
    pub left: AtomicU64,
    /// Messages made visible at once, since the worker ends.
    pub released: AtomicU64,
    /// Messages lost to another worker.
    pub lost: AtomicU64,
    /// Runs closed.
    pub closed: AtomicU64,
    /// Times that a message was kept from others.
    pub extensions: AtomicU64,
    /// When rows were last scored, in seconds since 1970; zero before the first.
    pub heartbeat_s: AtomicU64,
}

impl Counters {
    /// Adds one.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn beat(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.heartbeat_s.store(now, Ordering::Relaxed);
    }
}
