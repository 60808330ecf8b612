//! Scores some rows of each input again, and compares: features that were shifted, or another model's predictions under
//! this one's name, have the right ids in the right files.

use std::ops::Range;

use clickcast_dataset::{Input, Step};
use clickcast_model::{Model, Scratch};
use clickcast_record::hash::text;
use clickcast_record::{Batch, Need};
use clickcast_registry::{OutputRecord, Registry, VersionRecord};

use super::super::{Context, data};
use crate::failure::Failure;

/// Rows of an output that are scored again: all of a small one, in milliseconds.
const ROWS_MAX: u64 = 1 << 14;
/// Outputs of which some are; of more, so many evenly.
const OUTPUTS_MAX: usize = 1000;
/// How far a prediction may be from the one made now, as a share: as 32-bit floats are written, a tenth of a millionth.
const DIFFERENCE_MAX: f64 = 1e-6;

/// The run's model, to score by.
pub(super) struct Rescorer {
    model: Model,
    /// How many the run has.
    outputs: usize,
}

/// Rows of an output, and where they are in its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sampled {
    /// The first one's place in the output.
    first_row: u64,
    /// As many, or fewer where the output ends.
    rows: u64,
    /// The row group of the input that begins with it; none where the input begins with it.
    row_group: Option<u64>,
}

impl Sampled {
    /// Those of them among so many rows of the output from `first_row` on, counted from there.
    pub(super) fn rows_of(&self, first_row: u64, rows: usize) -> Range<usize> {
        let place = |row: u64| row.saturating_sub(first_row).min(rows as u64) as usize;
        place(self.first_row)..place(self.first_row + self.rows)
    }
}

impl Rescorer {
    /// By the run's version of its model, for so many outputs.
    pub(super) fn open(
        context: &Context,
        (registry, version): &(Registry, VersionRecord),
        outputs: usize,
    ) -> Result<Self, Failure> {
        let artifact = context.runtime.block_on(registry.load(version))?;
        let model = Model::from_artifact(artifact).map_err(Failure::input)?;
        Ok(Self { model, outputs })
    }

    /// The rows of an output to score again, by its place among the outputs: the first ones of one of its row groups.
    pub(super) fn sampled(&self, place: usize, output: &OutputRecord, groups: Option<&[u64]>) -> Option<Sampled> {
        if !is_chosen(place, self.outputs) {
            return None;
        }
        let Some(groups) = groups.filter(|groups| !groups.is_empty()) else {
            return Some(Sampled { first_row: 0, rows: ROWS_MAX, row_group: None });
        };
        let last = groups.len() as u64 - 1;
        let (first, last) = output.row_groups.map_or((0, last), |(from, to)| (from.min(last), to.min(last)));
        // Any of them, but the same one each time.
        let group = first + text(&output.key) % (last + 1).saturating_sub(first).max(1);
        let first_row = groups[first as usize..group as usize].iter().sum();
        Some(Sampled { first_row, rows: groups[group as usize].min(ROWS_MAX), row_group: Some(group) })
    }

    /// How many of the predictions are not those of the model for these rows of the input.
    pub(super) fn differing(
        &self,
        context: &Context,
        input: &Input,
        sampled: Sampled,
        predictions: &[f64],
    ) -> Result<u64, Failure> {
        let input = sampled.row_group.map_or_else(|| input.clone(), |group| input.only((group, group)));
        let mut expected: Vec<f64> = Vec::new();
        let score = |batch: Batch| {
            let mut scores = Vec::new();
            self.model.score(&batch, &mut Scratch::default(), &mut scores).map(|()| scores)
        };
        let (schema, need) = (self.model.schema(), Need::default());
        let mut is_enough = false;
        let scanned = data::scan(context, std::slice::from_ref(&input), schema, &need, score, |step| {
            if let Step::Rows(scores) = step {
                expected.extend(scores.map_err(Failure::input)?);
                is_enough = expected.len() >= predictions.len();
            }
            // The rest of the file is of no interest.
            if is_enough { Err(Failure::transient("enough rows")) } else { Ok(()) }
        });
        if !is_enough {
            scanned?;
        }
        let agrees = |found: f64, expected: f64| (found - expected).abs() <= DIFFERENCE_MAX * expected.abs();
        // A NaN agrees with nothing.
        let pairs = predictions.iter().zip(&expected);
        let agreeing = pairs.filter(|&(&found, &expected)| agrees(found, expected)).count();
        // A prediction of a row that isn't there agrees with nothing, either.
        Ok((predictions.len() - agreeing) as u64)
    }
}

/// Whether an output is one of those that are looked at: all, or as many as can be, evenly.
fn is_chosen(place: usize, outputs: usize) -> bool {
    let chosen_before = |place: usize| place * outputs.min(OUTPUTS_MAX) / outputs.max(1);
    chosen_before(place) != chosen_before(place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_outputs_as_can_be_are_looked_at() {
        for (outputs, expected) in [(0, 0), (1, 1), (999, 999), (1_000, 1_000), (1_001, 1_000), (123_456, 1_000)] {
            let chosen = (0..outputs).filter(|&place| is_chosen(place, outputs)).count();
            assert_eq!(chosen, expected, "of {outputs}");
        }
    }
}
