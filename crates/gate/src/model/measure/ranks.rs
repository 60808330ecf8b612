//! How two models' scores go together: in size, and in the order they put rows in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Rows whose order is compared, at most.
const ROWS_MAX: usize = 1 << 14;
/// A slice with fewer rows among them is not looked at: below, chance makes 0.9 of a correlation of 0.95.
const SLICE_ROWS_MIN: usize = 300;
/// Features with more bins are not sliced by: each slice would be an odd lot.
const BINS_MAX: usize = 32;

/// How two models' scores go together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// What the candidate's log loss would be above the champion's, in nats a row, if the champion's scores were true; to
    /// second order in the log-odds.
    pub divergence: f64,
    /// Spearman's rank correlation over all rows.
    pub correlation: f64,
    /// The slice where it is lowest.
    pub worst: Option<SliceAgreement>,
}

/// The order within a slice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SliceAgreement {
    /// The feature sliced by.
    pub feature: usize,
    /// The bin of its values.
    pub bin: u16,
    /// Rows compared.
    pub rows: usize,
    /// Spearman's rank correlation.
    pub correlation: f64,
}

/// Takes scores, and keeps some rows evenly.
#[derive(Debug)]
pub(super) struct Ranks {
    features: usize,
    step: u64,
    rows: Vec<(f64, f64)>,
    bins: Vec<u16>,
    divergence: f64,
    total: f64,
}

impl Ranks {
    pub(super) fn new(features: usize) -> Self {
        Self { features, step: 1, rows: Vec::new(), bins: Vec::new(), divergence: 0.0, total: 0.0 }
    }

    pub(super) fn add(&mut self, first_row: u64, candidate: &[f64], champion: &[f64], columns: &[Vec<u16>]) {
        for (row, (&one, &other)) in candidate.iter().zip(champion).enumerate() {
            let likelihood = 1.0 / (1.0 + (-other).exp());
            self.divergence += 0.5 * likelihood * (1.0 - likelihood) * (one - other).powi(2);
            self.total += 1.0;
            if (first_row + row as u64).is_multiple_of(self.step) {
                self.rows.push((one, other));
                self.bins.extend(columns.iter().map(|column| column[row]));
            }
        }
        while self.rows.len() > ROWS_MAX {
            self.step *= 2;
            let kept = self.rows.len().div_ceil(2);
            for row in 0..kept {
                self.rows[row] = self.rows[2 * row];
                self.bins.copy_within(2 * row * self.features..(2 * row + 1) * self.features, row * self.features);
            }
            self.rows.truncate(kept);
            self.bins.truncate(kept * self.features);
        }
    }

    pub(super) fn finish(self) -> Option<Agreement> {
        let correlation = spearman(&self.rows)?;
        let mut worst: Option<SliceAgreement> = None;
        for feature in 0..self.features {
            let mut slices: BTreeMap<u16, Vec<(f64, f64)>> = BTreeMap::new();
            for (row, &scores) in self.rows.iter().enumerate() {
                slices.entry(self.bins[row * self.features + feature]).or_default().push(scores);
            }
            if slices.len() > BINS_MAX {
                continue;
            }
            for (bin, rows) in slices.into_iter().filter(|(_, rows)| rows.len() >= SLICE_ROWS_MIN) {
                let Some(correlation) = spearman(&rows) else { continue };
                if worst.is_none_or(|worst| correlation < worst.correlation) {
                    worst = Some(SliceAgreement { feature, bin, rows: rows.len(), correlation });
                }
            }
        }
        Some(Agreement { divergence: self.divergence / self.total, correlation, worst })
    }
}

/// Spearman's rank correlation; none where one side is constant.
fn spearman(rows: &[(f64, f64)]) -> Option<f64> {
    let one = ranks(rows.iter().map(|row| row.0));
    let other = ranks(rows.iter().map(|row| row.1));
    let mean = (rows.len() as f64 - 1.0) / 2.0;
    let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    let spread = (sum(&one, &one) * sum(&other, &other)).sqrt();
    (spread > 0.0).then(|| sum(&one, &other) / spread)
}

/// Each value's rank from 0; ties share theirs.
fn ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<(f64, usize)> = values.enumerate().map(|(row, value)| (value, row)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = vec![0.0; sorted.len()];
    let mut below = 0;
    for ties in sorted.chunk_by(|a, b| a.0 == b.0) {
        let rank = below as f64 + (ties.len() as f64 - 1.0) / 2.0;
        ties.iter().for_each(|&(_, row)| ranks[row] = rank);
        below += ties.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn correlation_is_of_ranks_and_ties_share_theirs() {
        assert_eq!(ranks([3.0, 1.0, 3.0, 0.0].into_iter()), [2.5, 1.0, 2.5, 0.0]);
        let rising: Vec<(f64, f64)> = (0..50).map(|row| (f64::from(row), f64::from(row).exp())).collect();
        assert!((spearman(&rising).unwrap() - 1.0).abs() < 1e-12);
        let falling: Vec<(f64, f64)> = rising.iter().map(|&(one, other)| (one, -other)).collect();
        assert!((spearman(&falling).unwrap() + 1.0).abs() < 1e-12);
        assert_eq!(spearman(&[(1.0, 2.0), (1.0, 3.0)]), None);
    }

    #[test]
    fn one_shuffled_slice_is_found_however_many_rows_there_are() {
        let mut ranks = Ranks::new(1);
        for first in (0..60_000u64).step_by(10_000) {
            let rows: Vec<u64> = (first..first + 10_000).collect();
            let bins: Vec<u16> = rows.iter().map(|row| (row / 7 % 10) as u16).collect();
            let one: Vec<f64> = rows.iter().map(|row| (row * 7919 % 1000) as f64 / 100.0 - 8.0).collect();
            let other: Vec<f64> = rows
                .iter()
                .map(|row| (row * if row / 7 % 10 == 3 { 104_729 } else { 7919 } % 1000) as f64 / 100.0 - 8.0)
                .collect();
            ranks.add(first, &one, &other, &[bins]);
        }
        let worst = ranks.finish().unwrap().worst.unwrap();
        assert_eq!((worst.feature, worst.bin), (0, 3));
        assert!(worst.correlation < 0.5, "{}", worst.correlation);
    }
}
