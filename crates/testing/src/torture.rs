//! Tests that disturb workers at random, reproducible by their seed.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// The signal that ends a worker which has not yet begun to listen for signals.
const TERMINATED: i32 = 15;

/// Returns the number in an environment variable, or a default.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Calls `day` with one seed after the other until `CLICKCAST_TORTURE_S` seconds have passed, which is once by default.
/// The first seed is `CLICKCAST_TORTURE_SEED`.
pub fn each_day(day: impl Fn(u64)) {
    let first = setting("CLICKCAST_TORTURE_SEED", u64::from(std::process::id()));
    let (began, long_enough) = (Instant::now(), Duration::from_secs(setting("CLICKCAST_TORTURE_S", 0)));
    for seed in first.. {
        eprintln!("CLICKCAST_TORTURE_SEED={seed}");
        day(seed);
        eprintln!("a day had passed after {} s", began.elapsed().as_secs());
        if began.elapsed() >= long_enough {
            return;
        }
    }
}

/// Random numbers that follow from a seed.
pub struct Dice(fastrand::Rng);

impl Dice {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Returns a number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0.u64(..sides)
    }
}

/// Sends a signal, such as `TERM`, to a process.
pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap().success());
}

/// Waits for a worker that got a signal, and asserts that it ended with one of these codes, unless it was killed.
pub fn assert_ends_well(worker: &mut Child, signal: &str, codes: &[i32]) {
    let ended = worker.wait().unwrap();
    let is_well = ended.code().map_or(ended.signal() == Some(TERMINATED), |code| codes.contains(&code));
    assert!(signal == "KILL" || is_well, "{signal}: {ended}");
}
