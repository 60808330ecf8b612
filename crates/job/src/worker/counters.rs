//! What a worker has done so far, for its metrics and its report.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::speed::Speed;

/// Counts that only rise, two times, and a speed.
#[derive(Debug, Default)]
pub struct Counters {
    /// Rows scored.
    pub rows: AtomicU64,
    /// Messages whose output was written here.
    pub written: AtomicU64,
    /// Messages whose work was found done.
    pub found_done: AtomicU64,
    /// Messages for ranges of an input that was overwritten since.
    pub overwritten: AtomicU64,
    /// Messages of no interest: a bucket's test event, other events, what workers wrote themselves.
    pub ignored: AtomicU64,
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
    /// When the worker last asked for messages or scored rows, in seconds since 1970; zero before it begins.
    pub live_s: AtomicU64,
    /// Rows scored of late.
    pub speed: Mutex<Speed>,
}

/// A worker that neither asks for messages nor scores rows for so long is stuck: the largest row group takes a tenth of it.
const STUCK_S: u64 = 600;

/// Whether a worker is at work, by when it last was, in seconds of one clock; zero is before it began.
fn is_live(live_s: u64, now_s: u64) -> bool {
    live_s == 0 || now_s.saturating_sub(live_s) < STUCK_S
}

impl Counters {
    /// Adds one.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that so many rows were scored just now.
    pub(crate) fn beat(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.speed.lock().beat(rows, Instant::now());
        self.heartbeat_s.store(now_s(), Ordering::Relaxed);
        self.live();
    }

    /// Rows scored a second in the last minute.
    #[must_use]
    pub fn rows_per_second(&self) -> f64 {
        self.speed.lock().rows_per_second(Instant::now())
    }

    /// Notes that the worker is at work.
    pub(crate) fn live(&self) {
        self.live_s.store(now_s(), Ordering::Relaxed);
    }

    /// Whether it is at work, or not begun.
    #[must_use]
    pub fn is_live(&self) -> bool {
        is_live(self.live_s.load(Ordering::Relaxed), now_s())
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_stands_still_for_ten_minutes_is_stuck() {
        for (live_s, now_s, expected) in
            [(0, 5_000, true), (1_000, 1_000, true), (1_000, 1_599, true), (1_000, 1_600, false), (1_000, 900, true)]
        {
            assert_eq!(is_live(live_s, now_s), expected, "{live_s} {now_s}");
        }
    }
}
