//! The metrics of the best possible model, which predicts the true click probability of each impression.

use arrow_array::types::{Float64Type, Int8Type};
use arrow_array::{RecordBatch, cast::AsArray};
use clickcast_model::metrics::Accumulator;
use serde::Serialize;

use super::error::Error;

/// The metrics of the best possible model on some rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Optimum {
    /// Number of rows.
    pub rows: u64,
    /// Number of clicked rows.
    pub clicks: u64,
    /// Clicks per row.
    pub ctr: f64,
    /// Mean true click probability.
    pub true_ctr: f64,
    /// Log loss (nats per row) of the true probabilities on the clicks drawn. A model can come close to it, and goes
    /// below it only by chance.
    pub logloss: f64,
    /// The expectation of `logloss` over all clicks that could have been drawn: the mean entropy.
    pub expected_logloss: f64,
    /// Log loss of the constant prediction `ctr`.
    pub base_logloss: f64,
    /// `logloss / base_logloss` (He et al., "Practical lessons from predicting clicks on ads", ADKDD 2014); `None`
    /// if all rows are of one class.
    pub normalized_entropy: Option<f64>,
    /// Area under the ROC curve of the true probabilities; `None` if all rows are of one class.
    pub auc: Option<f64>,
}

/// Accumulates an [`Optimum`] in one pass over the rows, in 1.5 MiB of memory.
#[derive(Clone)]
pub struct Truth {
    /// Metrics of the true probabilities, taken as predictions.
    predicted: Accumulator,
    true_ctr_sum: f64,
    entropy_sum: f64,
}

impl Default for Truth {
    fn default() -> Self {
        Self::new()
    }
}

impl Truth {
    /// Starts with no rows.
    pub fn new() -> Self {
        // There may be billions of rows, so none is kept.
        Self { predicted: Accumulator::new(0), true_ctr_sum: 0.0, entropy_sum: 0.0 }
    }

    /// Adds the rows of a batch with the columns `true_ctr` (float64) and `click` (int8), as the generator makes them.
    ///
    /// # Errors
    /// [`Kind::Data`](crate::Kind::Data) if a column is absent, has another type or nulls, or a probability is outside
    /// [0, 1].
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let wrong = |column: &str, kind: &str| {
            Error::data(format!(
                "no {kind} column `{column}` without missing values: the data was not made by `clickcast synth`"
            ))
        };
        let true_ctr = batch
            .column_by_name("true_ctr")
            .and_then(|column| column.as_primitive_opt::<Float64Type>())
            .filter(|column| arrow_array::Array::null_count(column) == 0)
            .ok_or_else(|| wrong("true_ctr", "float64"))?;
        let click = batch
            .column_by_name("click")
            .and_then(|column| column.as_primitive_opt::<Int8Type>())
            .filter(|column| arrow_array::Array::null_count(column) == 0)
            .ok_or_else(|| wrong("click", "int8"))?;
        if let Some(value) = true_ctr.values().iter().find(|value| !(0.0..=1.0).contains(*value)) {
            return Err(Error::data(format!("`true_ctr` is {value}, which is no probability; make the data again")));
        }
        for (&probability, &click) in true_ctr.values().iter().zip(click.values()) {
            self.predicted.add(probability, click != 0, 1.0);
            self.true_ctr_sum += probability;
            self.entropy_sum += entropy(probability);
        }
        Ok(())
    }

    /// Adds the rows of another accumulator.
    pub fn merge(&mut self, other: Self) {
        self.predicted.merge(other.predicted);
        self.true_ctr_sum += other.true_ctr_sum;
        self.entropy_sum += other.entropy_sum;
    }

    /// Returns the optimum over all rows added, or `None` if there were none.
    pub fn optimum(&self) -> Option<Optimum> {
        let metrics = self.predicted.metrics()?;
        let rows = metrics.rows as f64;
        let ctr = metrics.positives as f64 / rows;
        Some(Optimum {
            rows: metrics.rows,
            clicks: metrics.positives,
            ctr,
            true_ctr: self.true_ctr_sum / rows,
            logloss: metrics.logloss,
            expected_logloss: self.entropy_sum / rows,
            base_logloss: entropy(ctr),
            normalized_entropy: metrics.normalized_entropy,
            auc: metrics.auc,
        })
    }
}

/// Returns the entropy of a coin that falls on one side with this probability, in nats.
fn entropy(probability: f64) -> f64 {
    let term = |share: f64| {
        if share > 0.0 { -share * share.ln() } else { 0.0 }
    };
    term(probability) + term(1.0 - probability)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{blocks, generator, numbers, optimum};
    use super::*;

    #[test]
    fn the_optimum_is_that_of_a_plain_computation() {
        let made = blocks(&generator(|settings| settings.rows = 20_000));
        let truths: Vec<f64> = numbers::<Float64Type>(&made, "true_ctr").into_iter().flatten().collect();
        let clicks: Vec<bool> = numbers::<Int8Type>(&made, "click").into_iter().map(|click| click == Some(1)).collect();
        let (mut won, mut pairs, mut loss) = (0.0, 0.0, 0.0);
        for (&truth, &clicked) in truths.iter().zip(&clicks) {
            loss -= if clicked { truth.ln() } else { (1.0 - truth).ln() };
            for (&other, &other_clicked) in truths.iter().zip(&clicks) {
                if clicked && !other_clicked {
                    pairs += 1.0;
                    won += if truth > other { 1.0 } else { f64::from(u8::from(truth == other)) / 2.0 };
                }
            }
        }
        let best = optimum(&made);
        assert!((best.auc.unwrap() - won / pairs).abs() < 1e-4, "{} against {}", best.auc.unwrap(), won / pairs);
        assert!((best.logloss - loss / truths.len() as f64).abs() < 1e-12);

        let (mut left, mut right) = (Truth::new(), Truth::new());
        left.add(&made[0].slice(0, 7_000)).unwrap();
        right.add(&made[0].slice(7_000, 13_000)).unwrap();
        left.merge(right);
        let merged = left.optimum().unwrap();
        assert_eq!((merged.rows, merged.clicks, merged.auc), (best.rows, best.clicks, best.auc));
        assert!((merged.logloss - best.logloss).abs() < 1e-12);
    }

    #[test]
    fn an_optimum_needs_rows_and_an_auc_needs_both_classes() {
        assert_eq!(Truth::new().optimum(), None);
        let made = generator(|_| ()).block(0);
        let clicks = made.column_by_name("click").unwrap().as_primitive::<Int8Type>();
        let quiet = (0..made.num_rows()).find(|&row| clicks.value(row) == 0).unwrap();
        let best = optimum(&[made.slice(quiet, 1)]);
        assert_eq!((best.auc, best.normalized_entropy, best.clicks), (None, None, 0));

        let error = Truth::new().add(&generator(|_| ()).users(0..3)).unwrap_err().to_string();
        assert_eq!(
            error,
            "no float64 column `true_ctr` without missing values: the data was not made by `clickcast synth`"
        );
    }
}
