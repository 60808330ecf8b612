//! What a family of models does.

use std::fmt::Debug;

use clickcast_record::{Batch, Column};

use crate::calibration::Calibration;
use crate::cross::{Arithmetic, Columns, Origin, Pairs, unprepared};
use crate::values::{Values, batch_of, rows_of};
use crate::{Error, Scratch};

/// A family of models: what a [`Model`](crate::Model) scores with. Threads share it.
///
/// Only [`FamilyModel::log_odds`] is required. Pairs of users and ads are then scored as rows.
pub(crate) trait FamilyModel: Debug + Send + Sync {
    /// Computes the log-odds of each row, uncalibrated.
    ///
    /// # Shapes
    /// `out` is overwritten with `batch.rows` numbers.
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) if the batch was not bound to the model's schema.
    fn log_odds(&self, batch: &Batch, scratch: &mut Scratch, out: &mut Vec<f64>) -> Result<(), Error>;

    /// Returns how much each feature moves the log-odds over a batch, or `None` if the family does not tell.
    ///
    /// # Errors
    /// As [`FamilyModel::log_odds`].
    fn importance(&self, _batch: &Batch) -> Result<Option<Vec<f64>>, Error> {
        Ok(None)
    }

    /// Prepares the columns of some features, so that pairs can be made of their rows.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) if a column is of another kind than its feature.
    fn prepare(&self, _features: &[usize], columns: &[Column]) -> Result<Columns, Error> {
        Ok(Columns::Values(columns.iter().map(|column| Values::of(column, 0..rows_of(column))).collect()))
    }

    /// Computes the log-odds of prepared rows, one column a feature, as [`FamilyModel::log_odds`] does of a batch.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) if the columns were prepared for another model.
    fn log_odds_of(
        &self,
        columns: &Columns,
        rows: usize,
        scratch: &mut Scratch,
        out: &mut Vec<f64>,
    ) -> Result<(), Error> {
        let Columns::Values(values) = columns else { return Err(unprepared()) };
        self.log_odds(&batch_of(rows, values.iter().map(Values::column).collect()), scratch, out)
    }

    /// Returns a way to score pairs that is faster than row by row, or `None` if there is none.
    ///
    /// `constants` has one row of the features whose origin is [`Origin::Constant`].
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) if the constants were prepared for another model.
    fn pairs<'a>(
        &'a self,
        _calibration: &'a Calibration,
        _origins: &[Origin],
        _constants: &Columns,
        _arithmetic: Arithmetic,
    ) -> Result<Option<Box<dyn Pairs + 'a>>, Error> {
        Ok(None)
    }
}
