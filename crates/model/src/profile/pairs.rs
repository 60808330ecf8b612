//! How features depend on each other: whether two rows that agree in one feature agree in another.
//!
//! A wrong join leaves every single column as it was, but rows of one user no longer have one age, nor rows of one ad one
//! campaign. Pairs of rows with the same value show that. Rows of rare values hardly ever meet in a small sample, so for
//! features of many values some values are chosen by hash, with all their rows in the sample.
//!
//! Only rows of one day are paired: within a day an ad determines its age, over a month it does not. So profiles of a day and
//! of a month can be compared.

use std::collections::BTreeMap;

use super::sample::Sample;

/// Rows looked at for each feature: with 40 features 26 million steps, less than a tenth of a second.
const ROWS_MAX: usize = 1 << 14;
/// Bins told apart in the other feature; more are put on top of each other.
const BINS: usize = 64;
/// Where each value has fewer rows than this, values are chosen instead of rows.
const ROWS_PER_VALUE_MIN: usize = 4;
/// With fewer rows that share their value, nothing is computed.
const ALIKE_MIN: u32 = 200;

/// Returns how far each feature determines each other one, and the rows that it rests on; see
/// [`super::FeatureProfile::determines`].
pub(super) fn determines(sample: &Sample) -> Vec<(u32, Vec<Option<f32>>)> {
    let dense: Vec<Vec<u8>> = (0..sample.codes.len()).map(|feature| dense(sample, feature)).collect();
    let by_chance: Vec<f64> = dense.iter().map(|column| chance(sample, column)).collect();
    let of_feature = |feature| {
        let groups = rows_by_value(sample, feature);
        let grouped: f64 = groups.iter().map(|rows| rows.len() as f64).sum();
        let alike = groups.iter().map(|rows| rows.len() as u32 - 1).sum();
        let of_other = |other: usize| {
            let known = other != feature && alike >= ALIKE_MIN && by_chance[other] < 1.0;
            let agreeing = known.then(|| agreeing(&groups, &dense[other]))?;
            let kappa = (agreeing / grouped - by_chance[other]) / (1.0 - by_chance[other]);
            // Rounded: a profile is kept as text.
            Some((kappa * 1e4).round() as f32 / 1e4)
        };
        (alike, (0..sample.codes.len()).map(of_other).collect())
    };
    (0..sample.codes.len()).map(of_feature).collect()
}

/// Returns rows of the sample, those of one day with the same value together.
fn rows_by_value(sample: &Sample, feature: usize) -> Vec<Vec<u32>> {
    let rows = sample.rows();
    let value = |row: usize| sample.codes[feature][row];
    let keyed = |row: usize| ((value(row), sample.days[row]), row as u32);
    // The sample is in the order of the data: the first rows would be the oldest.
    let step = rows.div_ceil(ROWS_MAX).max(1);
    let mut taken: Vec<((u32, i64), u32)> = (0..rows).step_by(step).map(keyed).collect();
    taken.sort_unstable();
    let distinct = taken.chunk_by(|a, b| a.0 == b.0).count();
    if distinct * ROWS_PER_VALUE_MIN > taken.len() && step > 1 {
        let chosen = |row: &usize| ((value(*row).wrapping_mul(0x9E37_79B1) >> 8) as usize).is_multiple_of(step);
        taken = (0..rows).filter(chosen).map(keyed).collect();
        taken.sort_unstable();
    }
    let groups = taken.chunk_by(|a, b| a.0 == b.0).filter(|rows| rows.len() > 1);
    groups.map(|rows| rows.iter().map(|&(_, row)| row).collect()).collect()
}

/// Returns of each row the share of its group's other rows that agree with it in a column, summed. Every row counts the same: by pairs
/// a few busy ads would decide, and what they do differs from day to day.
fn agreeing(groups: &[Vec<u32>], column: &[u8]) -> f64 {
    let mut counts = [0u32; BINS];
    let mut shares = 0.0;
    for rows in groups {
        rows.iter().for_each(|&row| counts[usize::from(column[row as usize])] += 1);
        let mut pairs = 0.0;
        for &row in rows {
            pairs += pairs_of(std::mem::take(&mut counts[usize::from(column[row as usize])]));
        }
        shares += 2.0 * pairs / (rows.len() - 1) as f64;
    }
    shares
}

/// Returns the share of all pairs of rows of one day that agree in a column.
fn chance(sample: &Sample, column: &[u8]) -> f64 {
    let mut days: BTreeMap<i64, [u32; BINS]> = BTreeMap::new();
    let mut bins = column.iter();
    for run in sample.days.chunk_by(|a, b| a == b) {
        let counts = days.entry(run[0]).or_insert([0; BINS]);
        bins.by_ref().take(run.len()).for_each(|&bin| counts[usize::from(bin)] += 1);
    }
    let all: f64 = days.values().map(|counts| pairs_of(counts.iter().sum())).sum();
    let agreeing: f64 = days.values().flatten().copied().map(pairs_of).sum();
    if all > 0.0 { agreeing / all } else { 1.0 }
}

/// Numbers the bins that occur, from 0.
fn dense(sample: &Sample, feature: usize) -> Vec<u8> {
    let bins: Vec<u16> = sample.bins(feature).collect();
    let mut place = vec![None; 1 + usize::from(bins.iter().copied().max().unwrap_or(0))];
    let mut next = 0;
    let number = |bin: u16| {
        *place[usize::from(bin)].get_or_insert_with(|| {
            next += 1;
            ((next - 1) % BINS) as u8
        })
    };
    bins.into_iter().map(number).collect()
}

fn pairs_of(count: u32) -> f64 {
    f64::from(count) * (f64::from(count) - 1.0).max(0.0) / 2.0
}
