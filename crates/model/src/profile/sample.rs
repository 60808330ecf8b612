//! An even sample of rows.

use clickcast_record::hash::integer as mix;
use clickcast_record::{Batch, Feature, Kind};

use super::bins;

/// Rows that features are counted in: seven days of 18,000 each. With 40 features 23 MB.
const SAMPLE_ROWS_MAX: usize = 1 << 17;

/// An even sample of rows: those with the lowest hashes of their numbers.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    hash_max: u64,
    hashes: Vec<u64>,
    pub(super) days: Vec<i64>,
    pub(super) labels: Vec<bool>,
    /// What tells values apart: for each feature one a row.
    pub(super) codes: Vec<Vec<u32>>,
    kinds: Vec<Kind>,
}

impl Sample {
    /// Returns an empty sample of rows with these features.
    pub(super) fn new(features: &[Feature]) -> Self {
        Self {
            hash_max: u64::MAX,
            hashes: Vec::new(),
            days: Vec::new(),
            labels: Vec::new(),
            codes: vec![Vec::new(); features.len()],
            kinds: features.iter().map(|feature| feature.kind).collect(),
        }
    }

    /// Takes rows of a batch, whose first one is the data's `first_row`-th.
    pub(super) fn draw(&mut self, batch: &Batch, first_row: u64, days: &[i64]) {
        let mut taken = Vec::new();
        for (row, &day) in days.iter().enumerate() {
            let hash = mix((first_row + row as u64).cast_signed());
            if hash <= self.hash_max {
                taken.push(row);
                self.hashes.push(hash);
                self.days.push(day);
                self.labels.push(batch.labels.as_ref().is_some_and(|labels| labels[row]));
            }
        }
        for (codes, column) in self.codes.iter_mut().zip(&batch.features) {
            bins::codes(column, &taken, codes);
        }
        while self.hashes.len() > SAMPLE_ROWS_MAX {
            self.thin();
        }
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> usize {
        self.hashes.len()
    }

    /// Returns the bins of a feature's values, one a row.
    pub(super) fn bins(&self, feature: usize) -> impl Iterator<Item = u16> {
        self.codes[feature].iter().map(move |&code| bins::of_code(self.kinds[feature], code))
    }

    /// Leaves out about half of the rows.
    fn thin(&mut self) {
        self.hash_max /= 2;
        let keep: Vec<bool> = self.hashes.iter().map(|&hash| hash <= self.hash_max).collect();
        self.codes.iter_mut().for_each(|codes| retain(codes, &keep));
        retain(&mut self.hashes, &keep);
        retain(&mut self.days, &keep);
        retain(&mut self.labels, &keep);
    }
}

fn retain<T: Copy>(values: &mut Vec<T>, keep: &[bool]) {
    let mut kept = keep.iter();
    values.retain(|_| kept.next().copied().unwrap_or(false));
}
