//! How predicted probabilities are distributed: a histogram that can be merged, stored and compared.

use serde::{Deserialize, Serialize};

use crate::calibration::logistic;
use crate::metrics::{LogOddsBins, log_odds};

/// Bins of 0.25 log-odds: a quarter more odds. Two models that agree within that agree.
const BINS: LogOddsBins = LogOddsBins::new(128);

/// A histogram of scores in fixed bins of log-odds. It takes 1 KiB, however many scores it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Scores from 0 to 1, by their log-odds from -16 to 16.
    counts: Vec<u64>,
    /// Scores that are NaN.
    pub not_a_number: u64,
    /// Scores that are infinite, below 0 or above 1.
    pub out_of_range: u64,
    /// Scores of exactly 0 or 1. The outermost bins count them, too.
    pub certain: u64,
    sum: f64,
    sum_squares: f64,
    lowest: f64,
    highest: f64,
}

impl Default for Scores {
    fn default() -> Self {
        Self {
            counts: vec![0; BINS.count()],
            not_a_number: 0,
            out_of_range: 0,
            certain: 0,
            sum: 0.0,
            sum_squares: 0.0,
            lowest: 1.0,
            highest: 0.0,
        }
    }
}

impl Scores {
    /// Number of bins.
    pub const BINS: usize = BINS.count();

    /// Adds one score.
    pub fn add(&mut self, score: f64) {
        if score.is_nan() {
            self.not_a_number += 1;
            return;
        }
        if !(0.0..=1.0).contains(&score) {
            self.out_of_range += 1;
            return;
        }
        self.certain += u64::from(score == 0.0 || score == 1.0);
        self.counts[bin(score)] += 1;
        self.sum += score;
        self.sum_squares += score * score;
        self.lowest = self.lowest.min(score);
        self.highest = self.highest.max(score);
    }

    /// Adds all scores of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.not_a_number += other.not_a_number;
        self.out_of_range += other.out_of_range;
        self.certain += other.certain;
        self.sum += other.sum;
        self.sum_squares += other.sum_squares;
        self.lowest = self.lowest.min(other.lowest);
        self.highest = self.highest.max(other.highest);
    }

    /// Returns the number of scores from 0 to 1.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the number of scores that are not probabilities.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.not_a_number + self.out_of_range
    }

    /// Returns the mean score, or `None` without scores.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let rows = self.rows();
        (rows > 0).then(|| self.sum / rows as f64)
    }

    /// Returns the standard deviation of the scores, or `None` without scores.
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        let mean = self.mean()?;
        Some((self.sum_squares / self.rows() as f64 - mean * mean).max(0.0).sqrt())
    }

    /// Returns whether there are several scores and all of them are equal.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.rows() > 1 && self.lowest == self.highest
    }

    /// Returns the score below which this share of the scores lies, interpolated within a bin; `None` without scores.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rows = self.rows();
        let wanted = share.clamp(0.0, 1.0) * rows as f64;
        let mut below = 0.0;
        for (index, &count) in self.counts.iter().enumerate() {
            let next = below + count as f64;
            if count > 0 && next >= wanted {
                let within = ((wanted - below) / count as f64).clamp(0.0, 1.0);
                let score = logistic(BINS.edge(index) + within * (BINS.edge(index + 1) - BINS.edge(index)));
                return Some(score.clamp(self.lowest, self.highest));
            }
            below = next;
        }
        None
    }

    /// Returns the number of scores in each of [`Scores::BINS`] bins, by rising log-odds.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Returns the probability at which a bin begins; for [`Scores::BINS`], where the last one ends.
    #[must_use]
    pub fn bin_start(bin: usize) -> f64 {
        logistic(BINS.edge(bin))
    }

    /// Returns each bin that holds scores: its lower and upper probability, and its count.
    pub fn bins(&self) -> impl Iterator<Item = (f64, f64, u64)> {
        let held = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        held.map(|(index, &count)| (logistic(BINS.edge(index)), logistic(BINS.edge(index + 1)), count))
    }
}

fn bin(score: f64) -> usize {
    BINS.bin(log_odds(score))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn scores(all: impl IntoIterator<Item = f64>) -> Scores {
        let mut scores = Scores::default();
        all.into_iter().for_each(|score| scores.add(score));
        scores
    }

    /// Scores spread evenly over log-odds, shifted.
    fn spread(rows: usize, shift: f64) -> Scores {
        scores((0..rows).map(|row| logistic(row as f64 / rows as f64 * 4.0 - 5.0 + shift)))
    }

    #[test]
    fn what_is_no_probability_is_counted_apart() {
        let odd = scores([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 1.5, 0.0, 1.0, 0.5]);
        assert_eq!((odd.not_a_number, odd.out_of_range, odd.certain), (1, 4, 2));
        assert_eq!((odd.rows(), odd.invalid(), odd.mean()), (3, 5, Some(0.5)));
        assert_eq!(Scores::default().mean(), None);
        assert_eq!(Scores::default().quantile(0.5), None);
    }

    #[test]
    fn moments_and_quantiles_are_those_of_the_scores() {
        let even = scores((1..1000).map(|index| f64::from(index) / 1000.0));
        assert!((even.mean().unwrap() - 0.5).abs() < 1e-9);
        assert!((even.deviation().unwrap() - 0.288).abs() < 1e-3);
        for share in [0.01, 0.1, 0.5, 0.9, 0.99] {
            assert!((even.quantile(share).unwrap() - share).abs() < 0.005, "{share}");
        }
        assert!(!even.is_constant());
        assert!(scores([0.2, 0.2]).is_constant());
        assert!(!scores([0.2]).is_constant());
    }

    #[test]
    fn merging_is_adding_all() {
        let mut left = spread(1000, 0.0);
        let right = spread(500, 2.0);
        let whole = scores(
            (0..1000)
                .map(|row| logistic(f64::from(row) / 1000.0 * 4.0 - 5.0))
                .chain((0..500).map(|row| logistic(f64::from(row) / 500.0 * 4.0 - 3.0))),
        );
        left.merge(&right);
        assert_eq!(left.counts, whole.counts);
        assert!((left.mean().unwrap() - whole.mean().unwrap()).abs() < 1e-12);
    }

    #[test]
    fn a_histogram_reads_back_as_it_was_written() {
        let written = spread(100, 0.0);
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(serde_json::from_str::<Scores>(&text).unwrap(), written);
    }
}
