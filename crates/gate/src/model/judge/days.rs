//! How far a day of one feature is from other days, beyond how far days are from each other.

use clickcast_model::profile::{FeatureProfile, Profile};

use super::limits::OTHER_DAY_TIMES;
use crate::model::compare::{Counts, distance};

/// Days compared of each profile: two weeks hold every day of the week twice.
const DAYS_MAX: usize = 14;
/// Days with fewer sampled rows are not compared.
const DAY_ROWS_MIN: u64 = 300;

/// Days of one feature that are known to be right.
#[derive(Debug, Default)]
pub(super) struct Known {
    days: Vec<(i64, Counts)>,
    /// The largest divergence between known days of one profile so far apart, or less; by days apart.
    usual: Vec<f64>,
}

/// How far a day is from those known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Away {
    /// The divergence in bits beyond what is usual; not below 0.
    pub(super) excess: f64,
    /// The divergence itself.
    pub(super) divergence: f64,
}

impl Known {
    /// Adds the days of a feature in a profile.
    pub(super) fn add(&mut self, profile: &Profile, feature: &FeatureProfile) {
        let first = self.days.len();
        self.days.extend(full_days(profile).map(|day| (profile.days[day].day, counts(feature, day))));
        for (index, (one, counts)) in self.days.iter().enumerate().skip(first) {
            for (other, others) in &self.days[first..index] {
                let apart = days_apart(*one, *other);
                if self.usual.len() <= apart {
                    self.usual.resize(apart + 1, 0.0);
                }
                let found = distance(counts, others).map_or(0.0, |distance| distance.jensen_shannon);
                self.usual[apart] = self.usual[apart].max(found);
            }
        }
    }

    /// Adds one day that was found to be right.
    pub(super) fn add_day(&mut self, day: i64, counts: Counts) {
        self.days.push((day, counts));
    }

    /// How many days the nearest one is from a day.
    pub(super) fn days_to(&self, day: i64) -> Option<usize> {
        self.days.iter().map(|(known, _)| days_apart(day, *known)).min()
    }

    /// The days' counts.
    pub(super) fn counts(&self) -> impl Iterator<Item = &Counts> {
        self.days.iter().map(|(_, counts)| counts)
    }

    /// How far a day is from the known one that explains it best; none where no day is known.
    pub(super) fn away(&self, day: i64, counts: &Counts) -> Option<Away> {
        let from = |(known, others): &(i64, Counts)| {
            let divergence = distance(counts, others)?.jensen_shannon;
            let excess = divergence - OTHER_DAY_TIMES * self.usual(days_apart(day, *known));
            Some(Away { excess: excess.max(0.0), divergence })
        };
        let all = self.days.iter().filter_map(from);
        all.min_by(|a, b| {
            (a.excess, a.divergence).partial_cmp(&(b.excess, b.divergence)).unwrap_or(std::cmp::Ordering::Equal)
        })
    }

    /// How far days so far apart are usually; in proportion beyond what is known.
    fn usual(&self, apart: usize) -> f64 {
        let known = self.usual.len().saturating_sub(1);
        let most = self.usual.iter().take(apart + 1).copied().fold(0.0, f64::max);
        if apart > known && known > 0 { most * apart as f64 / known as f64 } else { most }
    }
}

/// Days between two; those of data without times are one day.
fn days_apart(one: i64, other: i64) -> usize {
    one.abs_diff(other).min(365) as usize
}

/// Rows by bin of one day.
pub(super) fn counts(feature: &FeatureProfile, day: usize) -> Counts {
    feature.days[day].iter().map(|&(bin, rows, _)| (bin, f64::from(rows))).collect()
}

/// The newest days that can be compared, by their place.
pub(super) fn full_days(profile: &Profile) -> impl Iterator<Item = usize> + '_ {
    let places = profile.days.iter().enumerate().skip(profile.days.len().saturating_sub(DAYS_MAX));
    places.filter(|(_, day)| day.sampled >= DAY_ROWS_MIN).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shares(first: f64) -> Counts {
        Counts::from([(1, first * 20_000.0), (2, (1.0 - first) * 20_000.0)])
    }

    fn known(days: &[(i64, f64)]) -> Known {
        let mut known =
            Known { days: days.iter().map(|&(day, first)| (day, shares(first))).collect(), usual: Vec::new() };
        known.usual = (0..3).map(|apart| 0.01 * f64::from(apart)).collect();
        known
    }

    #[test]
    fn a_day_may_be_as_far_as_days_usually_are_and_farther_if_it_is_later() {
        let known = known(&[(10, 0.5)]);
        let away = |day, first| known.away(day, &shares(first)).unwrap().excess;
        assert_eq!(away(11, 0.5), 0.0);
        // 0.6 against 0.5 is 0.0073 bits.
        assert_eq!(away(11, 0.6), 0.0);
        assert!(away(11, 0.8) > 0.02);
        assert!(away(14, 0.8) < away(11, 0.8));
    }

    #[test]
    fn a_day_found_right_explains_the_next_one() {
        let mut known = known(&[(10, 0.5)]);
        assert_eq!((known.days_to(7), known.days_to(11)), (Some(3), Some(1)));
        let before = known.away(12, &shares(0.7)).unwrap().excess;
        known.add_day(11, shares(0.6));
        assert!(before > 0.0 && known.away(12, &shares(0.7)).unwrap().excess < before, "{before}");
    }

    #[test]
    fn without_a_known_day_nothing_is_said() {
        assert_eq!(Known::default().away(3, &shares(0.5)), None);
    }
}
