//! The first pass: which values each feature takes, and how often.

use clickcast_kernel::factors::prefetch;
use clickcast_model::encode::Slots;
use clickcast_model::profile::Distinct;
use clickcast_record::{Batch, Categorical, Column, Feature, Kind, Numeric, Time};
use rayon::prelude::*;

use crate::Error;
use crate::random::hash;

/// Rows whose numbers are kept to find quantiles: their error is below 1 / sqrt(2^15), half a percent.
const SAMPLE_ROWS_MAX: usize = 1 << 15;
/// Distinct values counted over all features together; beyond it the rarest are forgotten. Each
/// takes at most 64 bytes (tables are a quarter to half full), so 256 MB.
const VALUES_MAX: usize = 1 << 22;
/// Values whose places are asked for together.
const AHEAD: usize = 32;
/// The number that stands for a missing value.
const MISSING: u32 = 0;

/// The result of the first pass.
pub(crate) struct Survey {
    pub(crate) rows: u64,
    pub(crate) positives: u64,
    /// Rows whose label is not the one of the row before.
    label_changes: u64,
    label_last: Option<bool>,
    pub(crate) weight: f64,
    pub(crate) positive_weight: f64,
    pub(crate) time_range: Option<(Time, Time)>,
    /// Whether every number that was given still stands for its value: no value was forgotten.
    pub(crate) numbers_hold: bool,
    pub(crate) fields: Vec<Field>,
    sample: Sample,
}

/// The values of one feature.
pub(crate) struct Field {
    pub(crate) feature: Feature,
    pub(crate) values: Values,
}

pub(crate) enum Values {
    /// Numbers of the sampled rows.
    Numbers(Vec<f64>),
    Counts(Counts),
}

/// An even sample of rows: those whose hash is lowest.
struct Sample {
    /// Rows are taken where their hash is at most this.
    hash_max: u64,
    hashes: Vec<u64>,
    times: Vec<Time>,
    seed: u64,
}

/// How often each hash occurred, and the number it was given: an open-addressing table at most half full.
#[derive(Default)]
pub(crate) struct Counts {
    entries: Vec<Entry>,
    used: usize,
    /// The highest number given; they count from 1.
    number_max: u32,
    distinct: Distinct,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    hash: u64,
    /// 0 where the entry is empty.
    count: u32,
    number: u32,
}

impl Survey {
    pub(crate) fn new(features: &[Feature], seed: u64) -> Self {
        let field = |feature: &Feature| Field {
            feature: feature.clone(),
            values: match feature.kind {
                Kind::Numeric => Values::Numbers(Vec::new()),
                Kind::Categorical | Kind::Multi => Values::Counts(Counts::default()),
            },
        };
        Self {
            rows: 0,
            positives: 0,
            label_changes: 0,
            label_last: None,
            weight: 0.0,
            positive_weight: 0.0,
            time_range: None,
            numbers_hold: true,
            fields: features.iter().map(field).collect(),
            sample: Sample { hash_max: u64::MAX, hashes: Vec::new(), times: Vec::new(), seed },
        }
    }

    /// Adds a batch, whose first row is the data's `self.rows`-th, and returns its columns of categories as numbers.
    pub(crate) fn add(&mut self, batch: &Batch) -> Result<Vec<Option<Slots>>, Error> {
        let labels = batch.labels.as_ref().ok_or(Error::NoLabels)?;
        self.positives += labels.iter().filter(|&&label| label).count() as u64;
        for (row, &label) in labels.iter().enumerate() {
            self.label_changes += u64::from(self.label_last.replace(label).is_some_and(|last| last != label));
            let weight = batch.weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]));
            self.weight += weight;
            self.positive_weight += if label { weight } else { 0.0 };
        }
        for &time in batch.times.iter().flatten() {
            let (low, high) = self.time_range.unwrap_or((time, time));
            self.time_range = Some((low.min(time), high.max(time)));
        }
        let taken = self.sample.take(self.rows, batch);
        let columns = self.fields.par_iter_mut().zip(&batch.features);
        let numbers = columns.map(|(field, column)| field.values.add(column, &taken)).collect();
        self.rows += batch.rows as u64;
        self.thin_sample();
        self.forget_rare();
        Ok(numbers)
    }

    /// Returns each field's distinct values.
    pub(crate) fn distinct(&self) -> Vec<Distinct> {
        let distinct = self.fields.iter().map(|field| match &field.values {
            Values::Numbers(_) => Distinct::default(),
            Values::Counts(counts) => counts.distinct.clone(),
        });
        distinct.collect()
    }

    /// Returns whether equal labels stand together far more than chance, or drift, would have them: less than half the changes
    /// from row to row that rows in random order have (Wald and Wolfowitz's runs, 1940).
    pub(crate) fn is_sorted_by_label(&self) -> bool {
        let rate = self.positives as f64 / self.rows as f64;
        (self.label_changes as f64) < rate * (1.0 - rate) * self.rows as f64
    }

    fn thin_sample(&mut self) {
        while self.sample.hashes.len() > SAMPLE_ROWS_MAX {
            self.sample.hash_max /= 2;
            let keep: Vec<bool> = self.sample.hashes.iter().map(|&hash| hash <= self.sample.hash_max).collect();
            for field in &mut self.fields {
                if let Values::Numbers(numbers) = &mut field.values {
                    retain(numbers, &keep);
                }
            }
            retain(&mut self.sample.hashes, &keep);
            retain(&mut self.sample.times, &keep);
        }
    }

    fn forget_rare(&mut self) {
        let used = |field: &Field| if let Values::Counts(counts) = &field.values { counts.used } else { 0 };
        let mut count_min = 2;
        while self.fields.iter().map(used).sum::<usize>() > VALUES_MAX {
            self.numbers_hold = false;
            for field in &mut self.fields {
                if let Values::Counts(counts) = &mut field.values {
                    counts.forget(count_min);
                }
            }
            count_min *= 2;
        }
    }

    /// Returns the time from which on about a share of the rows lies, and the share found, or `None` if there are no older rows.
    pub(crate) fn newest(&self, share: f64) -> Option<(Time, f64)> {
        let (first, _) = self.time_range?;
        let mut times = self.sample.times.clone();
        times.sort_unstable();
        let quantile = *times.get((times.len() as f64 * (1.0 - share)) as usize)?;
        let from = if quantile > first { quantile } else { *times.iter().find(|&&time| time > first)? };
        let found = times.len() - times.partition_point(|&time| time < from);
        Some((from, found as f64 / times.len() as f64))
    }
}

impl Sample {
    /// Returns the rows of a batch that are in the sample, and records them.
    fn take(&mut self, first_row: u64, batch: &Batch) -> Vec<usize> {
        let mut taken = Vec::new();
        for row in 0..batch.rows {
            let hash = hash(self.seed, first_row + row as u64);
            if hash <= self.hash_max {
                taken.push(row);
                self.hashes.push(hash);
                self.times.extend(batch.times.as_ref().map(|times| times[row]));
            }
        }
        taken
    }
}

impl Values {
    fn add(&mut self, column: &Column, taken: &[usize]) -> Option<Slots> {
        match (self, column) {
            (Self::Numbers(numbers), Column::Numeric(values)) => {
                numbers.extend(taken.iter().map(|&row| Numeric::get(values, row)));
                None
            }
            (Self::Counts(counts), Column::Categorical(values)) => Some(Slots::One(counts.add_all(values))),
            (Self::Counts(counts), Column::Multi(lists)) => {
                let items = counts.add_all(&lists.values);
                let (mut offsets, mut slots) = (vec![0], Vec::with_capacity(items.len()));
                for bounds in lists.offsets.windows(2) {
                    match &items[bounds[0]..bounds[1]] {
                        [] => slots.push(MISSING),
                        list => slots.extend_from_slice(list),
                    }
                    offsets.push(slots.len() as u32);
                }
                Some(Slots::Many { offsets, slots })
            }
            // A column of another kind is refused when it is encoded.
            _ => None,
        }
    }
}

impl Counts {
    /// Counts values, and returns their numbers.
    fn add_all(&mut self, values: &Categorical) -> Vec<u32> {
        match values {
            Categorical::Coded { codes, categories } => {
                let mut counts = vec![0u32; categories.len() + 1];
                for &code in codes {
                    counts[code as usize] += 1;
                }
                let mut numbers = vec![MISSING; counts.len()];
                for (code, &count) in counts.iter().enumerate().skip(1) {
                    if count > 0 {
                        numbers[code] = self.add(categories.get(code - 1).hash(), count);
                    }
                }
                codes.iter().map(|&code| numbers[code as usize]).collect()
            }
            Categorical::Integers { values: integers, nulls } => {
                let mut numbers = Vec::with_capacity(integers.len());
                let mut hashes = [0; AHEAD];
                for (chunk, integers) in integers.chunks(AHEAD).enumerate() {
                    for (hash, &value) in hashes.iter_mut().zip(integers) {
                        *hash = clickcast_record::hash::integer(value);
                        self.fetch(*hash);
                    }
                    for (row, &hash) in (chunk * AHEAD..).zip(&hashes[..integers.len()]) {
                        let present = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                        numbers.push(if present { self.add(hash, 1) } else { MISSING });
                    }
                }
                numbers
            }
        }
    }

    /// Asks for the place of a hash ahead of its use; tables may be larger than caches.
    #[inline]
    fn fetch(&self, hash: u64) {
        let index = hash as usize & self.entries.len().wrapping_sub(1);
        prefetch(self.entries.get(index).map_or(&[], std::slice::from_ref));
    }

    /// Counts a hash `count` times, and returns its number.
    #[inline]
    fn add(&mut self, hash: u64, count: u32) -> u32 {
        if self.used * 2 >= self.entries.len() {
            self.rebuild((self.entries.len() * 2).max(64), 1);
        }
        let entry = self.find(hash);
        let entry = &mut self.entries[entry];
        if entry.count == 0 {
            // So many that they run out have long been forgotten in part, and no number holds.
            self.number_max = self.number_max.saturating_add(1);
            *entry = Entry { hash, count, number: self.number_max };
            self.used += 1;
            self.distinct.add(hash);
        } else {
            entry.count = entry.count.saturating_add(count);
        }
        entry.number
    }

    /// Returns where a hash is, or would be.
    #[inline]
    fn find(&self, hash: u64) -> usize {
        let mask = self.entries.len() - 1;
        let mut index = hash as usize & mask;
        while self.entries[index].count > 0 && self.entries[index].hash != hash {
            index = (index + 1) & mask;
        }
        index
    }

    /// Returns the highest number given.
    pub(crate) fn number_max(&self) -> u32 {
        self.number_max
    }

    /// Returns each hash with its number.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.entries.iter().filter(|entry| entry.count > 0).map(|entry| (entry.hash, entry.number))
    }

    fn rebuild(&mut self, size: usize, count_min: u32) {
        let old = std::mem::replace(&mut self.entries, vec![Entry::default(); size]);
        self.used = 0;
        for entry in old.into_iter().filter(|entry| entry.count >= count_min) {
            let place = self.find(entry.hash);
            self.entries[place] = entry;
            self.used += 1;
        }
    }

    fn forget(&mut self, count_min: u32) {
        self.rebuild(self.entries.len().max(64), count_min);
    }

    /// Returns the hashes that occurred at least `count_min` times, rising.
    pub(crate) fn frequent(&self, count_min: u32) -> Vec<u64> {
        let kept = self.entries.iter().filter(|entry| entry.count >= count_min.max(1));
        let mut hashes: Vec<u64> = kept.map(|entry| entry.hash).collect();
        hashes.sort_unstable();
        hashes
    }
}

fn retain<T: Copy>(values: &mut Vec<T>, keep: &[bool]) {
    let mut kept = keep.iter();
    values.retain(|_| kept.next().copied().unwrap_or(false));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn counts_are_exact_and_the_rare_are_forgotten() {
        let mut counts = Counts::default();
        for round in 0..3u64 {
            for value in 0..1000 * (round + 1) {
                counts.add(hash(7, value), 1);
            }
        }
        assert_eq!((counts.frequent(1).len(), counts.frequent(2).len(), counts.frequent(3).len()), (3000, 2000, 1000));
        counts.forget(2);
        assert_eq!(counts.used, 2000);
    }
}
