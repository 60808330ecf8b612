//! What every learner needs besides its own algorithm: a survey of the rows, the rows given to validate by, what to hold out, a
//! fitted calibration, and the report that goes with the model.

use clickcast_model::Model;
use clickcast_model::artifact::Training;
use clickcast_model::calibration::Calibration;
use clickcast_model::encode::Slots;
use clickcast_model::golden;
use clickcast_model::metrics::Accumulator;
use clickcast_model::profile::{Collector, Profile};
use clickcast_record::{Batch, Schema};

use crate::calibrate::{self, Level};
use crate::held_out::Row;
use crate::split::Split;
use crate::survey::Survey;
use crate::{Error, Phase, Source};

/// Rows held out at most: enough to see 0.0005 of log loss, and 160 MB of 40 features.
pub(crate) const HELD_ROWS_MAX: f64 = 1e6;

/// What is known before learning begins.
pub(crate) struct Groundwork<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) survey: Survey,
    /// The rows given to validate by; empty if none were given.
    pub(crate) valid: Vec<Batch>,
    profile: Profile,
    golden: golden::Rows,
}

impl<'a> Groundwork<'a> {
    /// Reads all rows once. `keep` takes each batch, with its categories as numbers while every number stands for its value.
    pub(crate) fn new<E: From<Error> + Send>(
        source: &mut dyn Source<E>,
        valid: Option<&mut dyn Source<E>>,
        schema: &'a Schema,
        seed: u64,
        mut keep: impl FnMut(Batch, Option<Vec<Option<Slots>>>) -> Result<(), Error>,
    ) -> Result<Self, E> {
        let mut survey = Survey::new(schema.features(), seed);
        let (mut collector, mut golden) = (Collector::new(schema.features()), golden::Rows::default());
        source.begin(Phase::Profile);
        source.pass(&mut |batch| {
            if golden.is_empty() {
                golden = golden::Rows::of(&batch);
            }
            let numbers = rayon::join(|| survey.add(&batch), || collector.add_rows(&batch)).0?;
            Ok(keep(batch, survey.numbers_hold.then_some(numbers))?)
        })?;
        check(&survey)?;
        let valid = match valid {
            Some(valid) => read_valid(valid)?,
            None => Vec::new(),
        };
        let profile = collector.profile_with(survey.distinct());
        Ok(Self { schema, survey, valid, profile, golden })
    }

    /// Returns which rows to hold out: about a share of them, the newest if they have times, else one of `folds` folds.
    pub(crate) fn split(&self, share: f64, folds: u64) -> Split {
        if !self.valid.is_empty() {
            return Split::None;
        }
        match self.survey.newest(share) {
            // Many rows may have one time, such as a day: some of them are taken.
            Some((from, found)) => Split::Time { from, one_in: (found / share).round().max(1.0) as u64 },
            None => Split::Folds(folds),
        }
    }

    /// Returns whether a calibration is fitted to the level of the rows held out. A day's level is its own; rows held out
    /// evenly, or given, have the level of what is to come.
    pub(crate) fn level(&self) -> Level {
        if matches!(self.split(0.1, 1), Split::Time { .. }) { Level::Ignored } else { Level::Fitted }
    }

    /// Fits a calibration to held-out rows, and reports on the training.
    pub(crate) fn report(&self, held_out: &[Row], data_hash: u64, mut notes: Vec<String>) -> (Calibration, Training) {
        let (calibration, note) = calibrate::fit(held_out, self.level());
        notes.push(note);
        let mut measured = Accumulator::new(held_out.len());
        for &(log_odds, label, weight) in held_out {
            measured.add(calibration.probability(log_odds), label, weight as f32);
        }
        let training = Training {
            rows: self.survey.rows,
            positives: self.survey.positives,
            times: self.survey.time_range,
            data_hash: format!("{data_hash:016x}"),
            held_out: measured.metrics(),
            notes,
        };
        (calibration, training)
    }

    /// Adds the profile and the golden rows to a model.
    pub(crate) fn complete(&self, model: Model) -> Result<Model, Error> {
        Ok(model.with_profile(&self.profile).with_golden(self.golden.clone())?)
    }
}

fn read_valid<E: From<Error>>(valid: &mut dyn Source<E>) -> Result<Vec<Batch>, E> {
    let (mut batches, mut rows, mut weight) = (Vec::new(), 0, 0.0);
    valid.begin(Phase::Encode);
    valid.pass(&mut |batch| {
        rows += batch.rows as u64;
        if rows <= HELD_ROWS_MAX as u64 {
            let weights = batch.weights.as_ref();
            weight += weights.map_or(batch.rows as f64, |all| all.iter().map(|&w| f64::from(w)).sum());
            batches.push(batch);
        }
        Ok(())
    })?;
    if weight <= 0.0 {
        return Err(Error::NoValidRows { rows }.into());
    }
    Ok(batches)
}

fn check(survey: &Survey) -> Result<(), Error> {
    if survey.rows == 0 {
        return Err(Error::NoRows);
    }
    if survey.positives == 0 || survey.positives == survey.rows {
        return Err(Error::OneClass { rows: survey.rows, clicked: survey.positives > 0 });
    }
    if survey.positive_weight <= 0.0 || survey.positive_weight >= survey.weight {
        return Err(Error::NoWeight);
    }
    Ok(())
}
