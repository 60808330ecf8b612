//! Finds out how many threads learn best together: if other programs use the processors, one waiting thread stops them all.

use std::time::Duration;

/// The slower number of threads is tried again after this many blocks.
const BLOCKS_UNTIL_RETRIED: u32 = 16;
/// The time of fewer rows says little.
const ROWS_MIN: usize = 1000;

/// Seconds a row, of one thread and of all. What is learned does not depend on which it is.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    one: Option<f64>,
    all: Option<f64>,
    blocks: u32,
}

impl Pace {
    /// Threads for the next block, one or all.
    pub(crate) fn threads(&self, all_threads: usize) -> usize {
        let all = match (self.all, self.one) {
            (None, _) => true,
            (_, None) => false,
            (Some(all), Some(one)) => (all <= one) != self.blocks.is_multiple_of(BLOCKS_UNTIL_RETRIED),
        };
        if all { all_threads } else { 1 }
    }

    /// Notes what a block took.
    pub(crate) fn add(&mut self, threads: usize, rows: usize, time: Duration) {
        if rows >= ROWS_MIN {
            self.blocks += 1;
            let row_s = Some(time.as_secs_f64() / rows as f64);
            if threads == 1 { self.one = row_s } else { self.all = row_s }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_way_is_taken_and_the_slower_one_tried_again() {
        for (one_ms, all_ms, faster) in [(10, 6, 4), (10, 30, 1)] {
            let mut pace = Pace::default();
            let mut taken = Vec::new();
            for _ in 0..64 {
                let threads = pace.threads(4);
                taken.push(threads);
                let time = if threads == 1 { one_ms } else { all_ms };
                pace.add(threads, ROWS_MIN, Duration::from_millis(time));
            }
            assert_eq!(taken[..2], [4, 1]);
            let slower = taken[2..].iter().filter(|&&threads| threads != faster).count();
            assert_eq!(slower, 3, "{taken:?}");
        }
    }

    #[test]
    fn one_thread_is_one_whatever_was_measured() {
        let mut pace = Pace::default();
        for _ in 0..40 {
            assert_eq!(pace.threads(1), 1);
            pace.add(1, ROWS_MIN, Duration::from_millis(1));
        }
    }
}
