//! A calibration fitted on held-out rows, and taken only where evidence says it helps.

use clickcast_model::calibration::{Calibration, logistic};
use clickcast_model::metrics::logloss;

use crate::held_out::Row;

/// Parts of the rows, of which each is judged by a fit on the others.
const PARTS: usize = 5;
/// A calibration must win this much log loss over none, relatively: less is noise.
const GAIN_MIN: f64 = 2e-4;
/// Fewer clicks than this can't carry two parameters.
const POSITIVES_MIN: usize = 100;
/// Fewer clicks than this can't carry a staircase.
const POSITIVES_ISOTONIC_MIN: usize = 2000;
const NEWTON_STEPS: usize = 50;
/// The steepest rise between two steps of a staircase, in probability a unit of log-odds; the logistic function's is
/// 0.25. Steeper rises are noise of close steps, and the f32 sums that score pairs tolerate up to 0.5.
const STEEPNESS_MAX: f64 = 0.45;

/// Whether the ratio of clicks to predictions over all rows is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// It is corrected.
    Fitted,
    /// It is left as the model has it: the rows are a day that may be unlike the next.
    Ignored,
}

/// Fits Platt's or isotonic calibration, or none, whichever has the least cross-fitted log loss, and returns it with a sentence on
/// the choice.
pub(crate) fn fit(rows: &[Row], level: Level) -> (Calibration, String) {
    let shift = if level == Level::Ignored { level_shift(rows) } else { 0.0 };
    let rows: Vec<Row> = rows.iter().map(|&(log_odds, label, weight)| (log_odds + shift, label, weight)).collect();
    let rows = &rows[..];
    let positives = rows.iter().filter(|row| row.1).count();
    if positives < POSITIVES_MIN || rows.len() - positives < POSITIVES_MIN {
        return (Calibration::Identity, format!("calibration: none, for want of clicks held out ({positives})"));
    }
    let mut best = (cross_fitted(rows, |_| Calibration::Identity), Calibration::Identity, "none");
    let none = best.0;
    type Fit = fn(&[Row]) -> Calibration;
    let methods: [(Fit, &str, usize); 2] = [(platt, "Platt", 0), (isotonic, "isotonic", POSITIVES_ISOTONIC_MIN)];
    for (method, name, positives_min) in methods {
        let loss = if positives < positives_min { f64::INFINITY } else { cross_fitted(rows, method) };
        if loss < best.0 && loss < none * (1.0 - GAIN_MIN) {
            best = (loss, method(rows), name);
        }
    }
    let sentence = format!("calibration: {} (held-out log loss {:.5}, uncalibrated {none:.5})", best.2, best.0);
    (best.1, sentence)
}

/// Returns the log-odds to add so that as many clicks are predicted as there were.
pub(crate) fn level_shift(rows: &[Row]) -> f64 {
    let mut shift = 0.0;
    for _ in 0..NEWTON_STEPS {
        let (mut error, mut curvature) = (0.0, 1e-9);
        for &(log_odds, label, weight) in rows {
            let p = logistic(log_odds + shift);
            error += weight * (p - f64::from(u8::from(label)));
            curvature += weight * p * (1.0 - p);
        }
        let step = (error / curvature).clamp(-1.0, 1.0);
        shift -= step;
        if step.abs() < 1e-10 {
            break;
        }
    }
    shift
}

/// Returns the mean log loss of each part under a fit on the others.
fn cross_fitted(rows: &[Row], method: impl Fn(&[Row]) -> Calibration) -> f64 {
    let (mut loss, mut weight) = (0.0, 0.0);
    for part in 0..PARTS {
        let of = |wanted: bool| {
            let chosen = rows.iter().enumerate().filter(move |(index, _)| (index % PARTS == part) == wanted);
            chosen.map(|(_, &row)| row)
        };
        let fitted = method(&of(false).collect::<Vec<_>>());
        for (log_odds, label, row_weight) in of(true) {
            loss += row_weight * logloss(fitted.probability(log_odds), label);
            weight += row_weight;
        }
    }
    loss / weight
}

/// Platt's slope and intercept by Newton's method on the log loss.
fn platt(rows: &[Row]) -> Calibration {
    let (mut slope, mut intercept) = (1.0, 0.0);
    for _ in 0..NEWTON_STEPS {
        let (mut g, mut h) = ([0.0; 2], [1e-9, 0.0, 1e-9]);
        for &(log_odds, label, weight) in rows {
            let p = logistic(slope * log_odds + intercept);
            let (error, curvature) = (weight * (p - f64::from(u8::from(label))), weight * p * (1.0 - p));
            g[0] += error * log_odds;
            g[1] += error;
            h[0] += curvature * log_odds * log_odds;
            h[1] += curvature * log_odds;
            h[2] += curvature;
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        let step = [(h[2] * g[0] - h[1] * g[1]) / determinant, (h[0] * g[1] - h[1] * g[0]) / determinant];
        (slope, intercept) = (slope - step[0], intercept - step[1]);
        if step[0].abs() + step[1].abs() < 1e-10 {
            break;
        }
    }
    let sound = slope > 0.0 && slope.is_finite() && intercept.is_finite();
    if sound { Calibration::Platt { slope, intercept } } else { Calibration::Identity }
}

/// Returns the monotone staircase of least squares by pooling adjacent violators, its steps' centres as knots.
fn isotonic(rows: &[Row]) -> Calibration {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    // (weight, weighted log-odds, weighted clicks) of each pool.
    let mut pools: Vec<[f64; 3]> = Vec::new();
    for (log_odds, label, weight) in sorted {
        pools.push([weight, weight * log_odds, weight * f64::from(u8::from(label))]);
        while let [.., below, above] = pools.as_slice() {
            if below[2] * above[0] < above[2] * below[0] {
                break;
            }
            let merged = std::array::from_fn(|index| below[index] + above[index]);
            pools.truncate(pools.len() - 2);
            pools.push(merged);
        }
    }
    let mut log_odds = Vec::new();
    let mut probabilities = Vec::new();
    for [weight, weighted, clicks] in level(pools) {
        let knot = weighted / weight;
        if log_odds.last().is_none_or(|&last| knot > last) {
            log_odds.push(knot);
            // A pool without clicks, or of clicks alone, is not certainty: at least half a row either way.
            let margin = 0.5 / (weight + 1.0);
            probabilities.push((clicks / weight).clamp(margin, 1.0 - margin));
        }
    }
    for index in 1..probabilities.len() {
        probabilities[index] = f64::max(probabilities[index], probabilities[index - 1]);
    }
    let fitted = Calibration::Isotonic { log_odds, probabilities };
    if fitted.check().is_ok() { fitted } else { Calibration::Identity }
}

/// Joins neighbouring pools until no rise between two is steeper than [`STEEPNESS_MAX`].
fn level(pools: Vec<[f64; 3]>) -> Vec<[f64; 3]> {
    let is_steep = |below: &[f64; 3], above: &[f64; 3]| {
        let mean = |pool: &[f64; 3], index: usize| pool[index] / pool[0];
        mean(above, 2) - mean(below, 2) > STEEPNESS_MAX * (mean(above, 1) - mean(below, 1))
    };
    let mut levelled: Vec<[f64; 3]> = Vec::new();
    for mut pool in pools.into_iter().filter(|pool| pool[0] > 0.0) {
        while let Some(below) = levelled.pop_if(|below| is_steep(below, &pool)) {
            pool = std::array::from_fn(|index| below[index] + pool[index]);
        }
        levelled.push(pool);
    }
    levelled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::uniform;

    /// Makes rows whose click probability is a function of their log-odds.
    fn rows(count: u64, truth: impl Fn(f64) -> f64) -> Vec<Row> {
        let row = |index| {
            let log_odds = 8.0 * uniform(3, index) - 5.0;
            (log_odds, uniform(4, index) < truth(log_odds), 1.0)
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn the_method_follows_the_evidence() {
        for (name, chosen, truth) in [
            ("already right", "none", (|z| logistic(z)) as fn(f64) -> f64),
            ("too bold", "Platt", |z| logistic(0.5 * z - 1.0)),
            ("a ramp between two plains", "isotonic", |z| 0.1 + 0.4 * (z + 1.5).clamp(0.0, 1.0)),
        ] {
            let (calibration, sentence) = fit(&rows(40_000, truth), Level::Fitted);
            assert!(sentence.contains(chosen), "{name}: {sentence}");
            let error: f64 =
                (-40..20).map(|z| f64::from(z) / 10.0).map(|z| (calibration.probability(z) - truth(z)).abs()).sum();
            assert!(error / 60.0 < 0.03, "{name}: {error}");
        }
    }

    #[test]
    fn a_level_that_is_ignored_stays_as_the_model_has_it() {
        // Clicked twice as often as predicted, all over: nothing to calibrate but the level.
        let found = rows(40_000, |z| logistic(z + 0.7));
        let (calibration, _) = fit(&found, Level::Ignored);
        assert_eq!(calibration, Calibration::Identity);
        assert_ne!(fit(&found, Level::Fitted).0, Calibration::Identity);
        // Too bold, beside it: only that is corrected.
        let (calibration, sentence) = fit(&rows(40_000, |z| logistic(0.5 * z + 0.7)), Level::Ignored);
        let Calibration::Platt { slope, .. } = calibration else { panic!("{sentence}") };
        assert!((slope - 0.5).abs() < 0.03, "{slope}");
    }

    #[test]
    fn no_rise_is_too_steep() {
        for truth in
            [|z| logistic(z), |z| if z < -1.0 { 0.1 } else { 0.6 }, |z| logistic(9.0 * z)] as [fn(f64) -> f64; 3]
        {
            let Calibration::Isotonic { log_odds, probabilities } = isotonic(&rows(40_000, truth)) else {
                panic!("a fit")
            };
            assert!(log_odds.len() > 2);
            for (knots, values) in log_odds.windows(2).zip(probabilities.windows(2)) {
                let steepness = (values[1] - values[0]) / (knots[1] - knots[0]);
                assert!(steepness <= STEEPNESS_MAX + 1e-9, "{steepness} at {knots:?}");
            }
        }
    }

    #[test]
    fn few_clicks_are_not_calibrated() {
        let (calibration, _) = fit(&rows(200, |_| 0.1), Level::Fitted);
        assert_eq!(calibration, Calibration::Identity);
    }
}
