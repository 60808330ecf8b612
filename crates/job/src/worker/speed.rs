//! How fast rows were scored of late.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What lies further back says nothing of now: long enough that a slow row group shows in it.
const WINDOW: Duration = Duration::from_secs(60);
/// Rows of so long are told as one, so that there are sixty such at most.
const STEP: Duration = Duration::from_secs(1);

/// The rows of the last minute.
#[derive(Debug)]
pub struct Speed {
    start: Instant,
    /// When each step began, and its rows; oldest first.
    steps: VecDeque<(Instant, u64)>,
}

impl Speed {
    /// Of a worker that began so.
    #[must_use]
    pub fn since(start: Instant) -> Self {
        Self { start, steps: VecDeque::new() }
    }

    /// So many rows were scored by now.
    pub fn beat(&mut self, rows: u64, now: Instant) {
        match self.steps.back_mut().filter(|(began, _)| now.saturating_duration_since(*began) < STEP) {
            Some((_, of_step)) => *of_step += rows,
            None => self.steps.push_back((now, rows)),
        }
        self.forget(now);
    }

    /// Rows a second over the last minute, or since the start where that is less ago.
    pub fn rows_per_second(&mut self, now: Instant) -> f64 {
        self.forget(now);
        let seen = now.saturating_duration_since(self.start).clamp(STEP, WINDOW);
        self.steps.iter().map(|(_, rows)| rows).sum::<u64>() as f64 / seen.as_secs_f64()
    }

    fn forget(&mut self, now: Instant) {
        while self.steps.front().is_some_and(|(began, _)| now.saturating_duration_since(*began) >= WINDOW) {
            self.steps.pop_front();
        }
    }
}

impl Default for Speed {
    fn default() -> Self {
        Self::since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_that_of_the_last_minute() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        // Rows scored by a time, and what is told at another.
        let steady: Vec<(f64, u64)> = (1..=120).map(|second| (f64::from(second), 10)).collect();
        let dense: Vec<(f64, u64)> = (1..=6_000).map(|beat| (f64::from(beat) / 100.0, 1)).collect();
        for (beats, asked_s, expected) in [
            (vec![], 0.0, 0.0),
            (vec![(0.1, 50)], 0.2, 50.0),
            (vec![(5.0, 300)], 10.0, 30.0),
            (vec![(5.0, 300)], 60.0, 5.0),
            (vec![(5.0, 300)], 65.0, 0.0),
            (vec![(5.0, 300), (70.0, 60)], 100.0, 1.0),
            (steady, 120.0, 10.0),
            (dense, 60.0, 100.0),
        ] {
            let mut speed = Speed::since(start);
            beats.iter().for_each(|&(second, rows)| speed.beat(rows, at(second)));
            assert_eq!(speed.rows_per_second(at(asked_s)), expected, "{asked_s} s: {beats:?}");
            assert!(speed.steps.len() <= 60);
        }
    }
}
