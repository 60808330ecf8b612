//! Golden rows: a few rows, and the model's predictions for them when it was made.
//!
//! They show whoever loads the model that it still predicts the same on another machine, with other instructions or by another
//! version of this program.

use clickcast_record::{Batch, Column};
use serde::{Deserialize, Serialize};

use crate::values::{Values, batch_of};

/// The payload's name.
pub(crate) const GOLDEN: &str = "golden.json";
/// Rows kept of a batch.
const ROWS_MAX: usize = 32;

/// Rows by their values, apart from any file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    rows: usize,
    features: Vec<Values>,
}

/// Rows, and the probability of each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Golden {
    pub(crate) rows: Rows,
    pub(crate) scores: Vec<f64>,
}

impl Rows {
    /// Takes rows evenly from a batch. Each feature's value comes from another row, where there are several, so that hardly
    /// anybody's whole record is kept.
    #[must_use]
    pub fn of(batch: &Batch) -> Self {
        let step = batch.rows.div_ceil(ROWS_MAX).max(1);
        let taken: Vec<usize> = (0..batch.rows).step_by(step).collect();
        let values = |(feature, column): (usize, &Column)| {
            let from = |index: usize| taken[(index + feature) % taken.len()];
            Values::of(column, (0..taken.len()).map(from))
        };
        Self { rows: taken.len(), features: batch.features.iter().enumerate().map(values).collect() }
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns the rows as scoring takes them.
    pub(crate) fn batch(&self) -> Batch {
        batch_of(self.rows, self.features.iter().map(Values::column).collect())
    }

    /// Returns whether every feature has a value for each row; a damaged file may lack some.
    pub(crate) fn is_whole(&self) -> bool {
        self.features.iter().all(|values| values.rows() == self.rows)
    }
}
