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

/// The logistic function.
#[inline]
#[must_use]
pub fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

impl Calibration {
    /// The probability for a model's log-odds.
    #[must_use]
    pub fn probability(&self, log_odds: f64) -> f64 {
        match self {
            Self::Identity => logistic(log_odds),
            Self::Platt { slope, intercept } => logistic(slope * log_odds + intercept),
            Self::Isotonic { log_odds: knots, probabilities } => {
                let above = knots.partition_point(|&knot| knot <= log_odds);
                match (above.checked_sub(1), knots.get(above)) {
                    (None, _) => probabilities[0],
                    (Some(below), None) => probabilities[below],
                    (Some(below), Some(&upper)) => {
                        let share = (log_odds - knots[below]) / (upper - knots[below]);
                        probabilities[below] + share * (probabilities[above] - probabilities[below])
                    }
                }
            }
        }
    }

    /// Refuses what could not have been fitted, such as a damaged artifact holds.
    ///
    /// # Errors
    /// [`Error::Damaged`].
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
        sound.then_some(()).ok_or_else(|| Error::Damaged("the calibration is not a monotone function".to_owned()))
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
