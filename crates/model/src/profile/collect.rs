//! Makes a profile in one pass.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use clickcast_record::hash::integer as mix;
use clickcast_record::random::INCREMENT;
use clickcast_record::{Batch, Categorical, Column, Feature, Numeric, Time};

use super::sample::Sample;
use super::{Day, FeatureProfile, Fingerprints, Profile, Values, bins, pairs};

/// Rows that can be recognized: a share of one in 1,000 shows as eight.
const FINGERPRINTS_MAX: usize = 1 << 13;
/// Columns that a row is recognized by, beside its time: hashing all would cost as much as learning.
const FINGERPRINT_COLUMNS_MAX: usize = 12;
/// Distinct values listed for each feature: one in 100 unknown is found with a deviation of one in 640.
const VALUES_MAX: usize = 1 << 12;
/// Days told apart; the older ones are one.
const DAYS_MAX: usize = 64;

/// Makes the profile of rows: less than 64 MB for 100 features, a nanosecond or two for each value.
#[derive(Debug, Clone)]
pub struct Collector {
    features: Vec<Feature>,
    rows: u64,
    positives: Option<u64>,
    times: Option<(Time, Time)>,
    days: BTreeMap<i64, (u64, u64)>,
    sample: Sample,
    values: Vec<Distinct>,
    fingerprints: BTreeMap<u64, (u32, u32)>,
    fingerprint_max: u64,
}

/// The distinct values of one feature with the lowest hashes.
#[derive(Debug, Clone)]
pub struct Distinct {
    hash_max: u64,
    /// All up to that hash; up to twice as many as are kept in the end.
    hashes: HashSet<u64, BuildHasherDefault<Itself>>,
}

/// The hash of a hash: of the low ones that are kept the upper bits are all alike, and the table looks at those too.
#[derive(Debug, Clone, Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash.wrapping_mul(INCREMENT);
    }
}

impl Collector {
    /// Returns a collector of rows with these features.
    #[must_use]
    pub fn new(features: &[Feature]) -> Self {
        Self {
            features: features.to_vec(),
            rows: 0,
            positives: None,
            times: None,
            days: BTreeMap::new(),
            sample: Sample::new(features),
            values: vec![Distinct::default(); features.len()],
            fingerprints: BTreeMap::new(),
            fingerprint_max: u64::MAX,
        }
    }

    /// Takes the next rows. A batch of other features than the collector's counts as rows alone.
    pub fn add(&mut self, batch: &Batch) {
        self.add_rows(batch);
        if batch.features.len() == self.features.len() {
            for (index, column) in batch.features.iter().enumerate() {
                match column {
                    Column::Categorical(values) => self.values[index].add_all(values),
                    Column::Multi(lists) => self.values[index].add_all(&lists.values),
                    Column::Numeric(_) => {}
                }
            }
        }
    }

    /// As [`Collector::add`], for a caller that collects the distinct values itself and passes them to
    /// [`Collector::profile_with`].
    pub fn add_rows(&mut self, batch: &Batch) {
        let days = self.count(batch);
        if batch.features.len() == self.features.len() {
            self.recognize(batch);
            self.sample.draw(batch, self.rows, &days);
        }
        self.rows += batch.rows as u64;
    }

    /// Counts rows by day; gives each row's day.
    fn count(&mut self, batch: &Batch) -> Vec<i64> {
        let label = |row: usize| batch.labels.as_ref().is_some_and(|labels| labels[row]);
        if let Some(labels) = &batch.labels {
            *self.positives.get_or_insert(0) += labels.iter().filter(|&&label| label).count() as u64;
        }
        let days: Vec<i64> = match &batch.times {
            Some(times) => times.iter().map(|time| time.day()).collect(),
            None => vec![0; batch.rows],
        };
        for &time in batch.times.iter().flatten() {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
        let mut row = 0;
        for run in days.chunk_by(|a, b| a == b) {
            let clicked = (row..row + run.len()).filter(|&row| label(row)).count() as u64;
            let counted = self.days.entry(run[0]).or_default();
            counted.0 += run.len() as u64;
            counted.1 += clicked;
            row += run.len();
        }
        // Times that are not timestamps may give too many days.
        while self.days.len() > 4 * DAYS_MAX {
            fold_oldest(&mut self.days);
        }
        days
    }

    /// Lists rows by the hash of what is in them.
    fn recognize(&mut self, batch: &Batch) {
        let mut hashes: Vec<u64> = match &batch.times {
            Some(times) => times.iter().map(|time| mix(time.as_ms())).collect(),
            None => vec![0; batch.rows],
        };
        // Without times only all columns together tell rows apart.
        let columns_max = if batch.times.is_some() { FINGERPRINT_COLUMNS_MAX } else { self.features.len().max(1) };
        let step = self.features.len().div_ceil(columns_max).max(1);
        let mut values = Vec::new();
        for column in batch.features.iter().step_by(step) {
            cell_hashes(column, batch.rows, &mut values);
            for (hash, value) in hashes.iter_mut().zip(&values) {
                *hash = (hash.rotate_left(23) ^ value).wrapping_mul(INCREMENT);
            }
        }
        for (row, hash) in hashes.into_iter().enumerate() {
            let hash = mix(hash.cast_signed());
            if hash <= self.fingerprint_max {
                let clicked = batch.labels.as_ref().is_some_and(|labels| labels[row]);
                let counted = self.fingerprints.entry(hash).or_default();
                counted.0 += 1;
                counted.1 += u32::from(clicked);
                if self.fingerprints.len() > FINGERPRINTS_MAX {
                    self.fingerprints.pop_last();
                    self.fingerprint_max = self.fingerprints.last_key_value().map_or(u64::MAX, |(&hash, _)| hash);
                }
            }
        }
    }

    /// Returns the profile of all rows so far.
    #[must_use]
    pub fn profile(mut self) -> Profile {
        let values = std::mem::take(&mut self.values);
        self.profile_with(values)
    }

    /// As [`Collector::profile`], with each feature's distinct values.
    #[must_use]
    pub fn profile_with(mut self, values: Vec<Distinct>) -> Profile {
        while self.days.len() > DAYS_MAX {
            fold_oldest(&mut self.days);
        }
        let kept: Vec<i64> = self.days.keys().copied().collect();
        // A day that was folded is found in the oldest one kept.
        let place = |day: &i64| kept.binary_search(day).unwrap_or(0);
        let places: Vec<usize> = self.sample.days.iter().map(place).collect();
        let mut days: Vec<Day> =
            self.days.iter().map(|(&day, &(rows, positives))| Day::new(day, rows, positives)).collect();
        for (&place, &label) in places.iter().zip(&self.sample.labels) {
            let day = &mut days[place];
            day.sampled += 1;
            day.sampled_positives += u64::from(label);
        }
        let mut determines = pairs::determines(&self.sample).into_iter();
        let sample = &self.sample;
        let values: Vec<Values> = values.into_iter().map(Distinct::lowest).collect();
        let features = self.features.iter().zip(values).enumerate().map(|(index, (feature, values))| {
            let mut cells = vec![vec![(0u32, 0u32); bins::count(feature.kind)]; days.len()];
            for ((&place, &label), bin) in places.iter().zip(&sample.labels).zip(sample.bins(index)) {
                let cell = &mut cells[place][usize::from(bin)];
                cell.0 += 1;
                cell.1 += u32::from(label);
            }
            let listed_cells = |day: Vec<(u32, u32)>| {
                let held = day.into_iter().enumerate().filter(|(_, (rows, _))| *rows > 0);
                held.map(|(bin, (rows, positives))| (bin as u16, rows, positives)).collect()
            };
            let (alike, determines) = determines.next().unwrap_or_default();
            FeatureProfile {
                name: feature.name.clone(),
                kind: feature.kind,
                days: cells.into_iter().map(listed_cells).collect(),
                values,
                determines,
                alike,
            }
        });
        Profile {
            rows: self.rows,
            positives: self.positives,
            times: self.times,
            features: features.collect(),
            days,
            fingerprints: fingerprints(&self.fingerprints, self.fingerprint_max),
        }
    }
}

impl Day {
    fn new(day: i64, rows: u64, positives: u64) -> Self {
        Self { day, rows, positives, sampled: 0, sampled_positives: 0 }
    }
}

impl Default for Distinct {
    fn default() -> Self {
        Self { hash_max: u64::MAX, hashes: HashSet::default() }
    }
}

impl Distinct {
    /// Takes the values of a column.
    fn add_all(&mut self, values: &Categorical) {
        match values {
            Categorical::Coded { codes, categories } => {
                let mut used = vec![false; categories.len() + 1];
                codes.iter().for_each(|&code| used[code as usize] = true);
                let held = used.iter().enumerate().skip(1).filter(|(_, used)| **used);
                held.for_each(|(code, _)| self.add(categories.get(code - 1).hash()));
            }
            Categorical::Integers { values: integers, nulls } => {
                for (row, &value) in integers.iter().enumerate() {
                    if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                        self.add(mix(value));
                    }
                }
            }
        }
    }

    /// Takes a value by its hash.
    #[inline]
    pub fn add(&mut self, hash: u64) {
        if hash <= self.hash_max && self.hashes.insert(hash) && self.hashes.len() > 2 * VALUES_MAX {
            self.thin();
        }
    }

    /// Removes the highest hashes.
    fn thin(&mut self) {
        if self.hashes.len() > VALUES_MAX {
            let mut all: Vec<u64> = self.hashes.iter().copied().collect();
            self.hash_max = *all.select_nth_unstable(VALUES_MAX - 1).1;
            self.hashes.retain(|&hash| hash <= self.hash_max);
        }
    }

    fn lowest(mut self) -> Values {
        self.thin();
        let mut hashes: Vec<u64> = self.hashes.into_iter().collect();
        hashes.sort_unstable();
        Values { hash_max: self.hash_max, hashes }
    }
}

/// A hash of each row's value: cheap, for it is mixed with others.
fn cell_hashes(column: &Column, rows: usize, out: &mut Vec<u64>) {
    out.clear();
    match column {
        Column::Numeric(Numeric::F32(values)) => out.extend(values.iter().map(|&value| f64::from(value).to_bits())),
        Column::Numeric(Numeric::F64(values)) => out.extend(values.iter().map(|value| value.to_bits())),
        Column::Categorical(values) => values.map_into(out, |value| value.map_or(0, |value| value.hash())),
        Column::Multi(_) => out.extend((0..rows).map(|row| bins::hash(column, row).unwrap_or(0))),
    }
}

fn fingerprints(counted: &BTreeMap<u64, (u32, u32)>, hash_max: u64) -> Fingerprints {
    Fingerprints {
        hash_max,
        hashes: counted.keys().copied().collect(),
        rows: counted.values().map(|&(rows, _)| u64::from(rows)).sum(),
        positives: counted.values().map(|&(_, positives)| u64::from(positives)).sum(),
        positives_repeated: counted.values().map(|&(_, positives)| u64::from(positives.saturating_sub(1))).sum(),
    }
}

/// Merges the two oldest days.
fn fold_oldest(days: &mut BTreeMap<i64, (u64, u64)>) {
    if let Some((_, oldest)) = days.pop_first()
        && let Some(mut next) = days.first_entry()
    {
        next.get_mut().0 += oldest.0;
        next.get_mut().1 += oldest.1;
    }
}
