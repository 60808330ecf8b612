//! Profiles of rows: a model keeps that of its training data, and the data it scores later gets another.
//!
//! Any two profiles can be compared without the rows they were made of. A value's bin follows from the value alone
//! ([`bins`]), days are counted one by one, and samples are drawn by hashes of what is in a row, so that two profiles hold
//! the same part of what they have in common. Memory is bounded whatever the rows: see [`Collector`].

pub mod bins;
mod collect;
mod pairs;
mod sample;

use std::collections::BTreeMap;

use clickcast_record::{Kind, Time};
use serde::{Deserialize, Serialize};

pub use collect::{Collector, Distinct};

/// The payload's name in an artifact.
pub const PROFILE: &str = "profile.json";

/// A summary of some rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// All rows.
    pub rows: u64,
    /// Clicked rows, or `None` if there were no labels.
    pub positives: Option<u64>,
    /// First and last time; `None` if the rows had no times.
    pub times: Option<(Time, Time)>,
    /// The days, oldest first; a single one of number 0 where there were no times.
    pub days: Vec<Day>,
    /// One a feature, in the schema's order.
    pub features: Vec<FeatureProfile>,
    /// Rows that can be recognized in other data.
    pub fingerprints: Fingerprints,
}

/// The rows of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// Days since 1970-01-01, in UTC; 0 if the rows had no times.
    pub day: i64,
    /// All rows.
    pub rows: u64,
    /// Clicked rows.
    pub positives: u64,
    /// Rows of the sample that features are counted in.
    pub sampled: u64,
    /// Clicked rows among them.
    pub sampled_positives: u64,
}

/// What one feature looked like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureProfile {
    /// The column.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
    /// The sampled rows of each day by the bin of the value, as (bin, rows, clicked rows).
    pub days: Vec<Vec<Cell>>,
    /// Its distinct values; empty for numbers.
    pub values: Values,
    /// How far this feature determines each other one: 0 for not at all, 1 for wholly (Cohen's kappa, "A coefficient of
    /// agreement for nominal scales", 1960, of the bins of two rows of a day that have the same value here). `None` if too
    /// few rows have the same value.
    pub determines: Vec<Option<f32>>,
    /// Rows that share their value with another row of the day: the basis of `determines`.
    pub alike: u32,
}

/// Rows of one bin: (bin, rows, clicked rows).
pub type Cell = (u16, u32, u32);

/// The distinct values of a feature with the lowest hashes.
///
/// # Source
/// Bar-Yossef et al., "Counting distinct elements in a data stream", RANDOM 2002: the k lowest hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values {
    /// Values up to this hash are listed.
    pub hash_max: u64,
    /// Their hashes, rising.
    pub hashes: Vec<u64>,
}

/// Rows with the lowest hashes of what is in them, so that the same row is in the samples of all data that has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprints {
    /// Rows up to this hash are listed.
    pub hash_max: u64,
    /// The rows' hashes, rising.
    pub hashes: Vec<u64>,
    /// Rows that have one of these hashes.
    pub rows: u64,
    /// Clicked rows among them.
    pub positives: u64,
    /// Clicked rows that repeat an earlier clicked row.
    pub positives_repeated: u64,
}

impl Profile {
    /// Returns the clicked share of all rows, or `None` without labels or rows.
    #[must_use]
    pub fn click_rate(&self) -> Option<f64> {
        let positives = self.positives?;
        (self.rows > 0).then(|| positives as f64 / self.rows as f64)
    }

    /// Returns the feature of this name.
    #[must_use]
    pub fn feature(&self, name: &str) -> Option<(usize, &FeatureProfile)> {
        self.features.iter().enumerate().find(|(_, feature)| feature.name == name)
    }

    /// Returns rows that are the same as another, as a share of all.
    #[must_use]
    pub fn repeated_share(&self) -> f64 {
        let Fingerprints { rows, hashes, .. } = &self.fingerprints;
        if *rows == 0 { 0.0 } else { 1.0 - hashes.len() as f64 / *rows as f64 }
    }

    /// Returns of this profile's distinct rows, the share that the other one's data has too, and how many were looked at.
    #[must_use]
    pub fn seen_share(&self, other: &Self) -> (f64, usize) {
        let (mine, theirs) = (&self.fingerprints, &other.fingerprints);
        shared(&mine.hashes, &theirs.hashes, mine.hash_max.min(theirs.hash_max))
    }
}

impl FeatureProfile {
    /// Returns the bins of some days (those for which `take` holds) together.
    #[must_use]
    pub fn cells(&self, take: impl Fn(usize) -> bool) -> BTreeMap<u16, (f64, f64)> {
        let mut together = BTreeMap::new();
        for (_, day) in self.days.iter().enumerate().filter(|(index, _)| take(*index)) {
            for &(bin, rows, positives) in day {
                let cell: &mut (f64, f64) = together.entry(bin).or_default();
                cell.0 += f64::from(rows);
                cell.1 += f64::from(positives);
            }
        }
        together
    }
}

impl Values {
    /// Returns how many distinct values there are, estimated where not all are listed.
    #[must_use]
    pub fn distinct(&self) -> f64 {
        if self.hash_max == u64::MAX {
            return self.hashes.len() as f64;
        }
        let share = self.hash_max as f64 / u64::MAX as f64;
        (self.hashes.len() as f64 - 1.0).max(1.0) / share
    }

    /// Returns of these distinct values the share that the other data has too, and how many were looked at.
    #[must_use]
    pub fn known_share(&self, other: &Self) -> (f64, usize) {
        shared(&self.hashes, &other.hashes, self.hash_max.min(other.hash_max))
    }

    /// Returns whether a value of this hash is one of them, or `None` if that is not known.
    #[must_use]
    pub fn knows(&self, hash: u64) -> Option<bool> {
        (hash <= self.hash_max).then(|| self.hashes.binary_search(&hash).is_ok())
    }
}

/// Returns of the first list's hashes up to a bound the share that the second has too, and how many those are.
fn shared(first: &[u64], second: &[u64], hash_max: u64) -> (f64, usize) {
    let first = &first[..first.partition_point(|&hash| hash <= hash_max)];
    let found = first.iter().filter(|hash| second.binary_search(hash).is_ok()).count();
    (if first.is_empty() { 0.0 } else { found as f64 / first.len() as f64 }, first.len())
}
