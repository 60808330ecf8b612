//! Comparisons of two distributions of scores.

use clickcast_model::scores::Scores;
use serde::{Deserialize, Serialize};

/// Neighbouring bins are compared together until they hold this share: an empty bin has no logarithm, and a nearly empty one
/// says more about chance than about the scores. So at most 50 groups, whose PSI by chance alone is 50 (1/n + 1/m).
const GROUP_SHARE_MIN: f64 = 0.02;

/// How much of two distributions lies in the tails of the second: in its lowest bins that hold this share of it at least, and in
/// its highest. None where either is empty.
#[must_use]
pub fn tails(first: &Scores, second: &Scores, share: f64) -> Option<[Shares; 2]> {
    let (rows_first, rows_second) = (first.rows() as f64, second.rows() as f64);
    let tail = |bins: &mut dyn Iterator<Item = usize>| {
        let (mut in_first, mut in_second, mut last) = (0.0, 0.0, 0);
        for index in bins {
            in_first += first.counts()[index] as f64;
            in_second += second.counts()[index] as f64;
            last = index;
            if in_second >= share * rows_second {
                break;
            }
        }
        // Half a score more: an empty tail has no logarithm.
        Shares {
            from: Scores::bin_start(last),
            first: (in_first + 0.5) / (rows_first + 0.5),
            second: (in_second + 0.5) / (rows_second + 0.5),
        }
    };
    (rows_first > 0.0 && rows_second > 0.0).then(|| [tail(&mut (0..Scores::BINS)), tail(&mut (0..Scores::BINS).rev())])
}

/// A part of two distributions: how much of each lies there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Where the part begins, as a probability.
    pub from: f64,
    /// Share of the first distribution, above 0.
    pub first: f64,
    /// Share of the second, above 0.
    pub second: f64,
}

impl Shares {
    /// What this part adds to the population stability index.
    #[must_use]
    pub fn psi(self) -> f64 {
        (self.first - self.second) * (self.first / self.second).ln()
    }
}

/// Two distributions side by side, in groups of bins; none where one of them is empty.
#[must_use]
pub fn side_by_side(first: &Scores, second: &Scores) -> Option<Vec<Shares>> {
    let (first_rows, second_rows) = (first.rows() as f64, second.rows() as f64);
    if first_rows == 0.0 || second_rows == 0.0 {
        return None;
    }
    let mut groups: Vec<(usize, f64, f64)> = Vec::new();
    let mut open = true;
    for (index, (&one, &other)) in first.counts().iter().zip(second.counts()).enumerate() {
        if open {
            groups.push((index, 0.0, 0.0));
        }
        let last = groups.len() - 1;
        groups[last].1 += one as f64;
        groups[last].2 += other as f64;
        open = groups[last].1 / first_rows + groups[last].2 / second_rows >= 2.0 * GROUP_SHARE_MIN;
    }
    // What is left over at the upper end is too little to stand alone.
    if !open && groups.len() > 1 {
        let (_, one, other) = groups.remove(groups.len() - 1);
        let last = groups.len() - 1;
        groups[last].1 += one;
        groups[last].2 += other;
    }
    // Half a score more in each group: a share of nothing has no logarithm.
    let half = 0.5;
    let total = |rows: f64| rows + half * groups.len() as f64;
    let (first_total, second_total) = (total(first_rows), total(second_rows));
    let shares = groups.iter().map(|&(index, one, other)| Shares {
        from: Scores::bin_start(index),
        first: (one + half) / first_total,
        second: (other + half) / second_total,
    });
    Some(shares.collect())
}

/// The population stability index of two distributions; none where one is empty.
///
/// # Source
/// Siddiqi, "Credit Risk Scorecards", 2006: below 0.1 is stable, above 0.25 has changed.
#[must_use]
pub fn psi(first: &Scores, second: &Scores) -> Option<f64> {
    Some(side_by_side(first, second)?.into_iter().map(Shares::psi).sum())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn logistic(log_odds: f64) -> f64 {
        1.0 / (1.0 + (-log_odds).exp())
    }

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
    fn divergences_are_nothing_for_equals_and_grow_with_the_distance() {
        let base = spread(20_000, 0.0);
        assert!(psi(&base, &spread(30_000, 0.0)).unwrap() < 1e-3);
        let mut before = 0.0;
        for shift in [0.1, 0.5, 1.0, 2.0, 8.0] {
            let moved = spread(20_000, shift);
            let now = psi(&base, &moved).unwrap();
            assert!(now > before, "{shift}: {now} after {before}");
            assert!((psi(&moved, &base).unwrap() - now).abs() < 1e-9);
            before = now;
        }
        assert_eq!(psi(&base, &Scores::default()), None);
    }

    #[test]
    fn chance_alone_stays_below_the_bound_of_its_groups() {
        // A linear congruence (Knuth) is chance enough here.
        let mut state = 1u64;
        let mut draw = |rows: usize| {
            scores((0..rows).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                logistic((state >> 11) as f64 / (1u64 << 53) as f64 * 4.0 - 5.0)
            }))
        };
        for rows in [500, 5_000, 50_000] {
            let (one, other) = (draw(rows), draw(rows));
            assert!(psi(&one, &other).unwrap() < 50.0 * 2.0 / rows as f64, "{rows}");
        }
    }
}
