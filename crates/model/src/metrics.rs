//! How good predictions are, measured in one pass and bounded memory.

use serde::{Deserialize, Serialize};

pub use crate::log_odds::{LogOddsBins, ScoreHistogram, log_odds};

/// 2^16 bins of 0.0005 log-odds. Ties within a bin count half, which changes AUC by less than 1e-6.
const BINS: LogOddsBins = LogOddsBins::new(1 << 16);
/// Probabilities are clipped to this before a logarithm.
const PROBABILITY_MIN: f64 = 1e-15;

/// What is measured over labelled rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Number of rows.
    pub rows: u64,
    /// Number of clicked rows.
    pub positives: u64,
    /// Area under the ROC curve, with ties counted half, or `None` if one class is absent.
    pub auc: Option<f64>,
    /// Mean negative log-likelihood, in nats.
    pub logloss: f64,
    /// Log loss over the entropy of the mean label; below 1 is better than knowing the CTR alone.
    ///
    /// # Source
    /// He et al., "Practical lessons from predicting clicks on ads at Facebook", ADKDD 2014, eq. 1.
    pub normalized_entropy: Option<f64>,
    /// Mean prediction over mean label, or `None` if nothing was clicked.
    pub calibration: Option<f64>,
}

/// Rows with about the same prediction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Weight of the rows.
    pub weight: f64,
    /// Mean prediction.
    pub predicted: f64,
    /// Mean label.
    pub observed: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    weight: f64,
    positive_weight: f64,
    predicted_weight: f64,
}

/// Accumulates predictions and labels.
///
/// Rows are kept one by one up to a bound, so that AUC is exact there; beyond it they are folded
/// into a histogram over log-odds.
#[derive(Debug, Clone)]
pub struct Accumulator {
    rows_exact_max: usize,
    rows: u64,
    positives: u64,
    loss: f64,
    total: Cell,
    exact: Vec<(f64, f32, bool)>,
    folded: Vec<Cell>,
}

impl Accumulator {
    /// Returns an empty accumulator that keeps up to `rows_exact_max` rows (16 bytes each) one by one.
    #[must_use]
    pub fn new(rows_exact_max: usize) -> Self {
        Self {
            rows_exact_max,
            rows: 0,
            positives: 0,
            loss: 0.0,
            total: Cell::default(),
            exact: Vec::new(),
            folded: Vec::new(),
        }
    }

    /// Takes one row: its predicted probability, label and weight.
    pub fn add(&mut self, probability: f64, label: bool, weight: f32) {
        self.rows += 1;
        self.positives += u64::from(label);
        self.loss += f64::from(weight) * logloss(probability, label);
        self.total.add(probability, label, weight);
        if self.folded.is_empty() && self.exact.len() < self.rows_exact_max {
            self.exact.push((probability, weight, label));
        } else {
            self.fold();
            self.folded[bin(probability)].add(probability, label, weight);
        }
    }

    /// Takes what another accumulator holds.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.positives += other.positives;
        self.loss += other.loss;
        self.total.merge(other.total);
        if self.folded.is_empty()
            && other.folded.is_empty()
            && self.exact.len() + other.exact.len() <= self.rows_exact_max
        {
            self.exact.extend(other.exact);
            return;
        }
        self.fold();
        for (probability, weight, label) in other.exact {
            self.folded[bin(probability)].add(probability, label, weight);
        }
        for (mine, theirs) in self.folded.iter_mut().zip(other.folded) {
            mine.merge(theirs);
        }
    }

    /// Returns the metrics so far, or `None` before the first row of positive weight.
    #[must_use]
    pub fn metrics(&self) -> Option<Metrics> {
        if self.total.weight <= 0.0 {
            return None;
        }
        let ctr = self.total.positive_weight / self.total.weight;
        let logloss = self.loss / self.total.weight;
        let entropy = -(ctr * ctr.ln() + (1.0 - ctr) * (1.0 - ctr).ln());
        Some(Metrics {
            rows: self.rows,
            positives: self.positives,
            auc: self.auc(),
            logloss,
            normalized_entropy: (entropy > 0.0).then(|| logloss / entropy),
            calibration: (ctr > 0.0).then(|| self.total.predicted_weight / self.total.positive_weight),
        })
    }

    /// Returns rows grouped by prediction into at most `count` bins of about equal weight, rising.
    #[must_use]
    pub fn bins(&self, count: usize) -> Vec<Bin> {
        let mut bins = Vec::new();
        let mut open = Cell::default();
        for cell in self.sorted() {
            open.merge(cell);
            if open.weight * count as f64 >= self.total.weight {
                bins.push(open.bin());
                open = Cell::default();
            }
        }
        if open.weight > 0.0 {
            bins.push(open.bin());
        }
        bins
    }

    /// Returns points of the ROC curve (false positive rate, true positive rate), about `count` of them.
    #[must_use]
    pub fn roc(&self, count: usize) -> Vec<(f64, f64)> {
        let negative_total = self.total.weight - self.total.positive_weight;
        if self.total.positive_weight <= 0.0 || negative_total <= 0.0 {
            return Vec::new();
        }
        let (mut negative, mut positive) = (0.0, 0.0);
        let mut points = vec![(0.0, 0.0)];
        for cell in self.sorted().into_iter().rev() {
            negative += cell.weight - cell.positive_weight;
            positive += cell.positive_weight;
            let point: (f64, f64) = (negative / negative_total, positive / self.total.positive_weight);
            let last = points[points.len() - 1];
            if (point.0 - last.0) + (point.1 - last.1) >= 2.0 / count as f64 {
                points.push(point);
            }
        }
        points.push((1.0, 1.0));
        points
    }

    /// Cells of equal prediction (or of one bin), by rising prediction.
    fn sorted(&self) -> Vec<Cell> {
        if !self.folded.is_empty() {
            return self.folded.iter().copied().filter(|cell| cell.weight > 0.0).collect();
        }
        let mut rows = self.exact.clone();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut cells: Vec<(f64, Cell)> = Vec::with_capacity(rows.len());
        for (probability, weight, label) in rows {
            match cells.last_mut() {
                Some((last, cell)) if *last == probability => cell.add(probability, label, weight),
                _ => {
                    let mut cell = Cell::default();
                    cell.add(probability, label, weight);
                    cells.push((probability, cell));
                }
            }
        }
        cells.into_iter().map(|(_, cell)| cell).collect()
    }

    /// Returns the Mann-Whitney statistic.
    fn auc(&self) -> Option<f64> {
        let negative_total = self.total.weight - self.total.positive_weight;
        if self.total.positive_weight <= 0.0 || negative_total <= 0.0 {
            return None;
        }
        let (mut negatives_below, mut area) = (0.0, 0.0);
        for cell in self.sorted() {
            let negatives = cell.weight - cell.positive_weight;
            area += cell.positive_weight * (negatives_below + 0.5 * negatives);
            negatives_below += negatives;
        }
        Some(area / (self.total.positive_weight * negative_total))
    }

    fn fold(&mut self) {
        if self.folded.is_empty() {
            self.folded = vec![Cell::default(); BINS.count()];
            for (probability, weight, label) in std::mem::take(&mut self.exact) {
                self.folded[bin(probability)].add(probability, label, weight);
            }
        }
    }
}

impl Cell {
    fn add(&mut self, probability: f64, label: bool, weight: f32) {
        let weight = f64::from(weight);
        self.weight += weight;
        self.predicted_weight += weight * probability;
        if label {
            self.positive_weight += weight;
        }
    }

    fn merge(&mut self, other: Self) {
        self.weight += other.weight;
        self.positive_weight += other.positive_weight;
        self.predicted_weight += other.predicted_weight;
    }

    fn bin(self) -> Bin {
        Bin {
            weight: self.weight,
            predicted: self.predicted_weight / self.weight,
            observed: self.positive_weight / self.weight,
        }
    }
}

fn bin(probability: f64) -> usize {
    let clipped = probability.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
    BINS.bin(log_odds(clipped))
}

/// Returns the negative log-likelihood of one row, in nats.
#[must_use]
pub fn logloss(probability: f64, label: bool) -> f64 {
    let likelihood = if label { probability } else { 1.0 - probability };
    -likelihood.max(PROBABILITY_MIN).ln()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// (prediction, label) of a few rows whose metrics are known by hand.
    const ROWS: [(f64, bool); 6] = [(0.1, false), (0.4, false), (0.35, true), (0.8, true), (0.4, true), (0.2, false)];

    fn accumulate(rows_exact_max: usize) -> Accumulator {
        let mut all = Accumulator::new(rows_exact_max);
        ROWS.iter().for_each(|&(probability, label)| all.add(probability, label, 1.0));
        all
    }

    #[test]
    fn the_metrics_of_a_few_rows_are_those_by_hand() {
        let metrics = accumulate(100).metrics().unwrap();
        // Of nine pairs seven are in order and one is tied.
        assert!((metrics.auc.unwrap() - 7.5 / 9.0).abs() < 1e-15);
        let by_hand: f64 = ROWS.iter().map(|&(p, label)| -(if label { p } else { 1.0 - p }).ln()).sum::<f64>() / 6.0;
        assert!((metrics.logloss - by_hand).abs() < 1e-15);
        assert!((metrics.normalized_entropy.unwrap() - by_hand / std::f64::consts::LN_2).abs() < 1e-15);
        assert!((metrics.calibration.unwrap() - 2.25 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn folding_and_merging_change_nothing_that_matters() {
        let exact = accumulate(100).metrics().unwrap();
        let folded = accumulate(2).metrics().unwrap();
        assert!((exact.auc.unwrap() - folded.auc.unwrap()).abs() < 1e-12);
        for (left_max, right_max) in [(100, 100), (2, 100), (100, 2)] {
            let (mut left, mut right) = (Accumulator::new(left_max), Accumulator::new(right_max));
            for (index, &(probability, label)) in ROWS.iter().enumerate() {
                if index % 2 == 0 { left.add(probability, label, 1.0) } else { right.add(probability, label, 1.0) }
            }
            left.merge(right);
            let merged = left.metrics().unwrap();
            assert!((exact.auc.unwrap() - merged.auc.unwrap()).abs() < 1e-12);
            assert!((exact.logloss - merged.logloss).abs() < 1e-12);
        }
    }

    #[test]
    fn a_weight_of_two_is_the_row_twice() {
        let (mut weighted, mut twice) = (Accumulator::new(100), Accumulator::new(100));
        for (probability, label) in ROWS {
            weighted.add(probability, label, 2.0);
            twice.add(probability, label, 1.0);
            twice.add(probability, label, 1.0);
        }
        let (weighted, twice) = (weighted.metrics().unwrap(), twice.metrics().unwrap());
        assert_eq!(weighted.auc, twice.auc);
        assert!((weighted.logloss - twice.logloss).abs() < 1e-15);
    }

    #[test]
    fn one_class_has_no_auc_and_no_rows_have_no_metrics() {
        let mut clicks = Accumulator::new(100);
        assert_eq!(clicks.metrics(), None);
        clicks.add(0.5, true, 1.0);
        let metrics = clicks.metrics().unwrap();
        assert_eq!((metrics.auc, metrics.normalized_entropy), (None, None));
    }

    #[test]
    fn bins_hold_every_row_and_rise() {
        let bins = accumulate(100).bins(3);
        assert!((bins.iter().map(|bin| bin.weight).sum::<f64>() - 6.0).abs() < 1e-12);
        assert!(bins.windows(2).all(|pair| pair[0].predicted < pair[1].predicted));
    }
}
