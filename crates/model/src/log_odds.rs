//! Bins of equal width in log-odds, and the histogram of scores in them.

/// Log-odds beyond this share the outermost bins: probabilities of 1e-7 and 1 - 1e-7.
const LOG_ODDS_MAX: f64 = 16.0;
/// Bins of a [`ScoreHistogram`], of 0.1 log-odds each.
const HISTOGRAM_BINS: LogOddsBins = LogOddsBins::new(320);

/// Bins of equal width from -16 to 16 log-odds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOddsBins {
    count: usize,
}

/// How often scores fell into each bin of 0.1 log-odds. Its size is constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreHistogram {
    counts: Vec<u64>,
    not_probabilities: u64,
}

/// Returns the log-odds of a probability; infinite at 0 and 1.
#[inline]
#[must_use]
pub fn log_odds(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

impl LogOddsBins {
    /// Divides the range into `count` bins, at least one.
    #[must_use]
    pub const fn new(count: usize) -> Self {
        Self { count }
    }

    /// Returns the number of bins.
    #[must_use]
    pub const fn count(self) -> usize {
        self.count
    }

    /// Returns the bin of some log-odds. Values beyond the range count in the outermost bins, and NaN in the first.
    #[inline]
    #[must_use]
    pub fn bin(self, log_odds: f64) -> usize {
        let position = (log_odds + LOG_ODDS_MAX) / (2.0 * LOG_ODDS_MAX) * self.count as f64;
        // The cast turns negative numbers and NaN into 0.
        (position as usize).min(self.count - 1)
    }

    /// Returns the log-odds at which a bin begins; that of `count` is the end of the last.
    #[must_use]
    pub fn edge(self, bin: usize) -> f64 {
        bin as f64 / self.count as f64 * 2.0 * LOG_ODDS_MAX - LOG_ODDS_MAX
    }
}

impl Default for ScoreHistogram {
    fn default() -> Self {
        Self { counts: vec![0; HISTOGRAM_BINS.count()], not_probabilities: 0 }
    }
}

impl ScoreHistogram {
    /// Counts a score. A score that is not a probability is counted apart.
    pub fn add(&mut self, probability: f64) {
        if (0.0..=1.0).contains(&probability) {
            self.counts[HISTOGRAM_BINS.bin(log_odds(probability))] += 1;
        } else {
            self.not_probabilities += 1;
        }
    }

    /// Returns the number of scores in each bin.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Returns the probabilities between which the bins lie: one more than there are bins.
    #[must_use]
    pub fn edges() -> Vec<f64> {
        (0..=HISTOGRAM_BINS.count()).map(|bin| crate::calibration::logistic(HISTOGRAM_BINS.edge(bin))).collect()
    }

    /// Returns the number of scores that were no probabilities.
    #[must_use]
    pub fn not_probabilities(&self) -> u64 {
        self.not_probabilities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_bin_whose_edges_enclose_it() {
        let bins = LogOddsBins::new(128);
        for (log_odds, bin) in [
            (f64::NEG_INFINITY, 0),
            (f64::NAN, 0),
            (-16.0, 0),
            (-0.01, 63),
            (0.0, 64),
            (15.99, 127),
            (16.0, 127),
            (f64::INFINITY, 127),
        ] {
            assert_eq!(bins.bin(log_odds), bin, "{log_odds}");
        }
        assert_eq!([bins.edge(0), bins.edge(64), bins.edge(128)], [-16.0, 0.0, 16.0]);
    }

    #[test]
    fn a_histogram_counts_probabilities_by_bin_and_all_else_apart() {
        let mut histogram = ScoreHistogram::default();
        [0.0, 0.5, 1.0, f64::NAN, -0.1, 1.1].into_iter().for_each(|score| histogram.add(score));
        let counts = histogram.counts();
        assert_eq!((counts[0], counts[160], counts[319], histogram.not_probabilities()), (1, 1, 1, 3));
        let edges = ScoreHistogram::edges();
        assert_eq!((edges.len(), edges[160]), (counts.len() + 1, 0.5));
    }
}
