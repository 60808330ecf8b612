//! From log-odds to probabilities.

use serde::{Deserialize, Serialize};

use crate::Error;

/// A fitted map from a model's log-odds to click probabilities; monotone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Calibration {
    /// The logistic function of the log-odds themselves.
    #[default]
    Identity,
    /// The logistic function of `slope * log_odds + intercept`.
    ///
    /// # Source
    /// Platt, "Probabilistic outputs for support vector machines", 1999.
    Platt {
        /// Factor of the log-odds; positive.
        slope: f64,
        /// Added log-odds.
        intercept: f64,
    },
    /// A monotone piecewise linear function through knots; constant beyond the outermost.
    ///
    /// # Source
    /// Zadrozny, Elkan, "Transforming classifier scores into accurate multiclass probability
    /// estimates", KDD 2002.
    Isotonic {
        /// Log-odds of the knots, strictly increasing.
        log_odds: Vec<f64>,
        /// Probabilities at the knots, never decreasing.
        probabilities: Vec<f64>,
    },
}

/// Returns the logistic function.
#[inline]
#[must_use]
pub fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

impl Calibration {
    /// Returns the probability for a model's log-odds.
    #[must_use]
    pub fn probability(&self, log_odds: f64) -> f64 {
        match self {
            Self::Identity => logistic(log_odds),
            Self::Platt { slope, intercept } => logistic(slope * log_odds + intercept),
            Self::Isotonic { log_odds: knots, probabilities } => {
                between(knots, probabilities, knots.partition_point(|&knot| knot <= log_odds), log_odds)
            }
        }
    }

    /// Turns log-odds into probabilities, in place.
    pub fn apply(&self, values: &mut [f64]) {
        match self {
            Self::Identity => values.iter_mut().for_each(|value| *value = logistic(*value)),
            calibration => values.iter_mut().for_each(|value| *value = calibration.probability(*value)),
        }
    }

    /// Checks that the calibration can have been fitted; a damaged artifact may hold another.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind).
    pub fn check(&self) -> Result<(), Error> {
        let sound = match self {
            Self::Identity => true,
            Self::Platt { slope, intercept } => *slope > 0.0 && slope.is_finite() && intercept.is_finite(),
            Self::Isotonic { log_odds, probabilities } => {
                !log_odds.is_empty()
                    && log_odds.len() == probabilities.len()
                    && log_odds.iter().all(|knot| knot.is_finite())
                    && log_odds.windows(2).all(|pair| pair[0] < pair[1])
                    && probabilities.windows(2).all(|pair| pair[0] <= pair[1])
                    && probabilities.iter().all(|value| (0.0..=1.0).contains(value))
            }
        };
        sound.then_some(()).ok_or_else(|| Error::damaged("the calibration is not a monotone function".to_owned()))
    }
}

/// An isotonic calibration laid out for looking up many log-odds, which takes a step or two for each.
#[derive(Debug)]
pub(crate) struct Staircase<'a> {
    knots: &'a [f64],
    probabilities: &'a [f64],
    /// For each of [`CELLS`] equal ranges from the first knot to the last, the knots in the ranges below it.
    below: Vec<u32>,
    cells_per_log_odds: f64,
}

/// A few times the knots that are usual, so that most ranges have one at most.
const CELLS: usize = 1024;

impl<'a> Staircase<'a> {
    pub(crate) fn new(knots: &'a [f64], probabilities: &'a [f64]) -> Self {
        let width = knots[knots.len() - 1] - knots[0];
        let cells_per_log_odds = if width > 0.0 { CELLS as f64 / width } else { 0.0 };
        let mut staircase = Self { knots, probabilities, below: Vec::new(), cells_per_log_odds };
        // The same rounding puts a knot and a number above it in order.
        let below = (0..CELLS).map(|cell| knots.partition_point(|&knot| staircase.cell(knot) < cell) as u32);
        staircase.below = below.collect();
        staircase
    }

    /// As [`Calibration::probability`], to the bit.
    #[inline]
    pub(crate) fn probability(&self, log_odds: f64) -> f64 {
        let mut above = self.below[self.cell(log_odds)] as usize;
        while self.knots.get(above).is_some_and(|&knot| knot <= log_odds) {
            above += 1;
        }
        between(self.knots, self.probabilities, above, log_odds)
    }

    /// Beyond the knots the outermost ones; the first for NaN.
    #[inline]
    fn cell(&self, log_odds: f64) -> usize {
        (((log_odds - self.knots[0]) * self.cells_per_log_odds) as usize).min(CELLS - 1)
    }
}

/// Returns the probability of log-odds that `above` knots are at or below; it never falls where they rise.
#[inline]
fn between(knots: &[f64], probabilities: &[f64], above: usize, log_odds: f64) -> f64 {
    match (above.checked_sub(1), knots.get(above)) {
        (None, _) => probabilities[0],
        (Some(below), None) => probabilities[below],
        (Some(below), Some(&upper)) => {
            let share = (log_odds - knots[below]) / (upper - knots[below]);
            let value = probabilities[below] + share * (probabilities[above] - probabilities[below]);
            // Rounding may overshoot.
            value.min(probabilities[above])
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn isotonic_interpolates_between_knots_and_is_flat_beyond() {
        let fitted = Calibration::Isotonic { log_odds: vec![-1.0, 1.0], probabilities: vec![0.1, 0.5] };
        fitted.check().unwrap();
        for (log_odds, expected) in [(-9.0, 0.1), (-1.0, 0.1), (0.0, 0.3), (1.0, 0.5), (9.0, 0.5)] {
            assert!((fitted.probability(log_odds) - expected).abs() < 1e-15, "{log_odds}");
        }
    }

    #[test]
    fn a_staircase_gives_the_same_bits_and_never_falls() {
        let mut state = 3u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / 16_777_216.0
        };
        for knots in [1, 2, 3, 60, 5000] {
            let mut log_odds: Vec<f64> = (0..knots).map(|_| (next() - 0.5) * 8.0).collect();
            log_odds.sort_by(f64::total_cmp);
            log_odds.dedup();
            let mut probabilities: Vec<f64> = log_odds.iter().map(|_| next()).collect();
            probabilities.sort_by(f64::total_cmp);
            let mut inputs: Vec<f64> = (-6000..6000).map(|step| f64::from(step) / 1000.0).collect();
            inputs.extend(log_odds.iter().flat_map(|&knot| [knot.next_down(), knot, knot.next_up()]));
            inputs.extend([f64::NEG_INFINITY, f64::INFINITY, -0.0]);
            inputs.sort_by(f64::total_cmp);
            let staircase = Staircase::new(&log_odds, &probabilities);
            let found: Vec<f64> = inputs.iter().map(|&input| staircase.probability(input)).collect();
            assert!(found.windows(2).all(|pair| pair[0] <= pair[1]), "{knots} knots");
            assert!(staircase.probability(f64::NAN).to_bits() == probabilities[0].to_bits());
            let calibration =
                Calibration::Isotonic { log_odds: log_odds.clone(), probabilities: probabilities.clone() };
            for (input, found) in inputs.iter().zip(found) {
                assert_eq!(found.to_bits(), calibration.probability(*input).to_bits(), "{knots} knots: {input}");
            }
        }
    }

    #[test]
    fn what_is_not_monotone_is_refused() {
        for bad in [
            Calibration::Platt { slope: -1.0, intercept: 0.0 },
            Calibration::Platt { slope: 1.0, intercept: f64::NAN },
            Calibration::Isotonic { log_odds: vec![], probabilities: vec![] },
            Calibration::Isotonic { log_odds: vec![1.0, 0.0], probabilities: vec![0.1, 0.2] },
            Calibration::Isotonic { log_odds: vec![0.0, 1.0], probabilities: vec![0.3, 0.2] },
            Calibration::Isotonic { log_odds: vec![0.0, 1.0], probabilities: vec![0.3, 1.2] },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
