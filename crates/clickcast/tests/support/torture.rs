//! Workers are tormented at random, and the same again by the same seed.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A number that an environment variable gives.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Goes through a day, and through others, each with the next seed, until `CLICKCAST_TORTURE_S` seconds have passed: through one
/// by default. The first seed is `CLICKCAST_TORTURE_SEED`.
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

/// Numbers that look random and follow from a seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap().success());
}

/// The number of the signal that comes before a worker has begun to listen to signals.
const TERMINATED: i32 = 15;

/// Unless it was killed, a worker that gets a signal says one of these codes.
pub fn assert_ends_well(worker: &mut Child, signal: &str, codes: &[i32]) {
    let ended = worker.wait().unwrap();
    let is_well = ended.code().map_or(ended.signal() == Some(TERMINATED), |code| codes.contains(&code));
    assert!(signal == "KILL" || is_well, "{signal}: {ended}");
}
