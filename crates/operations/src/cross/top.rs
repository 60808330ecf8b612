//! The best of many, kept as they come by.

use std::cmp::Ordering;

use super::number::{Number, Scored};

/// Which pairs are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    /// The number of likeliest pairs to keep; of two that are equally likely the earlier partner comes first.
    pub(super) top_k: Option<usize>,
    /// The lowest probability to keep. NaN, which a linear tree can give, is never kept.
    pub(super) threshold: f64,
}

impl Choice {
    /// Keeps all pairs that have a probability.
    pub(super) const ALL: Self = Self { top_k: None, threshold: f64::NEG_INFINITY };
}

/// The kept partners of one user or ad. They are offered in the order of their places, by ranks: most are passed over by
/// their rank alone.
#[derive(Debug, Clone)]
pub(super) struct Top<T> {
    choice: Choice,
    /// The probability to exceed once enough are kept.
    floor: Option<T>,
    /// The highest rank known not to be kept: no lower one is kept either.
    passed_over: Option<T>,
    kept: Vec<(T, u64)>,
}

impl<T: Number> Top<T> {
    pub(super) fn new(choice: Choice) -> Self {
        Self { choice, floor: None, passed_over: None, kept: Vec::new() }
    }

    /// Offers ranks; `first` is the place of the first one.
    pub(super) fn offer_all(&mut self, ranks: &[T], first: u64, probability: impl Fn(T) -> T) {
        // Long after the start hardly any pair is good enough: look at many at a time.
        const BLOCK: usize = 32;
        for (ranks, first) in ranks.chunks(BLOCK).zip((first..).step_by(BLOCK)) {
            if let Some(passed_over) = self.passed_over
                && !ranks.iter().fold(false, |any, &rank| any | (rank > passed_over))
            {
                continue;
            }
            for (&rank, place) in ranks.iter().zip(first..) {
                self.offer(rank, place, &probability);
            }
        }
    }

    /// Offers one rank.
    pub(super) fn offer(&mut self, rank: T, place: u64, probability: impl Fn(T) -> T) {
        if self.passed_over.is_some_and(|passed_over| rank <= passed_over) {
            return;
        }
        // Other ranks cannot be compared with NaN.
        if !self.offer_known(probability(rank), place) && rank.partial_cmp(&rank).is_some() {
            self.passed_over = Some(rank);
        }
    }

    /// Offers a probability; returns whether it was good enough.
    pub(super) fn offer_known(&mut self, value: T, place: u64) -> bool {
        let good = match self.floor {
            Some(floor) => value > floor,
            None => value.into() >= self.choice.threshold,
        };
        if !good {
            return false;
        }
        self.kept.push((value, place));
        if let Some(k) = self.choice.top_k
            && self.kept.len() >= 2 * k
        {
            self.prune(k);
        }
        true
    }

    /// Offers the ranks of all ads but those, in order, whose probabilities are known; these are offered as such.
    pub(super) fn offer_all_but(&mut self, ranks: &[T], known: &[Scored<T>], probability: impl Fn(T) -> T) {
        let mut next = 0;
        for pair in known {
            let ad = pair.ad as usize;
            self.offer_all(&ranks[next..ad], next as u64, &probability);
            self.offer_known(pair.score, ad as u64);
            next = ad + 1;
        }
        self.offer_all(&ranks[next..], next as u64, probability);
    }

    /// Returns what is kept, the likeliest first; without a limit, by place.
    pub(super) fn sorted(mut self) -> Vec<(T, u64)> {
        if let Some(k) = self.choice.top_k {
            self.prune(k);
            self.kept.sort_unstable_by(order);
        }
        self.kept
    }

    /// Returns the places of what is kept, in no order.
    pub(super) fn places(&self) -> impl Iterator<Item = u64> {
        self.kept.iter().map(|&(_, place)| place)
    }

    fn prune(&mut self, k: usize) {
        if self.kept.len() >= k {
            let (_, last, _) = self.kept.select_nth_unstable_by(k - 1, order);
            self.floor = Some(last.0);
            self.kept.truncate(k);
        }
    }
}

fn order<T: Number>(one: &(T, u64), other: &(T, u64)) -> Ordering {
    other.0.partial_cmp(&one.0).unwrap_or(Ordering::Equal).then(one.1.cmp(&other.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_those_of_a_stable_sort() {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as f32 / 256.0
        };
        // Few distinct values, so that many are equal.
        let mut ranks: Vec<f32> = (0..1000).map(|_| next()).collect();
        ranks[17] = f32::NAN;
        // Probabilities may be their own ranks, or equal for different ones.
        let maps: [fn(f32) -> f32; 2] = [|rank| rank, |rank| (rank * 16.0).floor() / 16.0];
        for probability in maps {
            for top_k in [1, 2, 7, 64, 999, 5000] {
                for threshold in [f64::NEG_INFINITY, 0.25, 0.9, 2.0] {
                    let mut top = Top::new(Choice { top_k: Some(top_k), threshold });
                    for (ranks, first) in ranks.chunks(130).zip((0..).step_by(130)) {
                        top.offer_all(ranks, first, probability);
                    }
                    let mut expected: Vec<(f32, u64)> = ranks.iter().copied().map(probability).zip(0..).collect();
                    expected.retain(|(value, _)| f64::from(*value) >= threshold);
                    expected.sort_by(|one, other| other.0.total_cmp(&one.0));
                    expected.truncate(top_k);
                    assert_eq!(top.sorted(), expected, "{top_k} of at least {threshold}");
                }
            }
        }
    }

    #[test]
    fn without_a_limit_all_that_are_good_enough_are_kept_in_order() {
        let mut top = Top::new(Choice { top_k: None, threshold: 0.5 });
        top.offer_all(&[0.4, 0.5, 0.9, 0.1, 0.7], 10, |value| value);
        assert_eq!(top.sorted(), [(0.5, 11), (0.9, 12), (0.7, 14)]);
    }
}
