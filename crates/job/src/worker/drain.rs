//! The wish that a worker ends.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a piece may still be finished after the wish; then it is left to another worker.
const GRACE: Duration = Duration::from_secs(1);

/// Asked for once, by a signal or by the program that started the worker.
#[derive(Debug, Default)]
pub struct Drain(OnceLock<Instant>);

impl Drain {
    /// Asks for the end.
    pub fn ask(&self) {
        let _ = self.0.set(Instant::now());
    }

    /// Whether the end was asked for: nothing new is begun.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether what is at hand is to be given up.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.0.get().is_some_and(|since| since.elapsed() > GRACE)
    }
}
