//! Scores some rows of each input again, and compares: features that were shifted, or another model's predictions under
//! this one's name, have the right ids in the right files.

use std::ops::Range;

use clickcast_dataset::{Input, ScanEvent};
use clickcast_model::{Model, Scratch};
use clickcast_record::hash::text;
use clickcast_record::{Batch, Need};
use clickcast_registry::{OutputRecord, Registry, VersionRecord};

use crate::data::Data;
use crate::{Error, Resources};

/// Rows of a run up to which all are scored again, in seconds. An input's predictions are kept, and those made anew: 16 bytes a row.
const RUN_ROWS_MAX: u64 = 1 << 23;
/// Of a larger run, rows of an output that are.
const OUTPUT_ROWS_MAX: u64 = 1 << 14;
/// Of a larger run, outputs of which some are; of more, so many evenly.
const OUTPUTS_MAX: usize = 1000;
/// How far a prediction may be from the one made now, as a share: as 32-bit floats are written, a tenth of a millionth.
const DIFFERENCE_MAX: f64 = 1e-6;

/// The run's model, to score by.
pub(super) struct Rescorer {
    model: Model,
    sampling: Sampling,
}

/// How much a run has, of which rows are chosen.
#[derive(Debug, Clone, Copy)]
struct Sampling {
    outputs: usize,
    rows: u64,
}

/// Rows of an output, and where they are in its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sampled {
    /// The first one's place in the output.
    first_row: u64,
    /// As many, or fewer where the output ends.
    rows: u64,
    /// The row groups of the input, from one to another, that hold them and begin with the first; none where that is all of
    /// the input.
    row_groups: Option<(u64, u64)>,
}

impl Sampled {
    /// Those of them among so many rows of the output from `first_row` on, counted from there.
    pub(super) fn rows_of(&self, first_row: u64, rows: usize) -> Range<usize> {
        let place = |row: u64| row.saturating_sub(first_row).min(rows as u64) as usize;
        place(self.first_row)..place(self.first_row + self.rows)
    }
}

impl Rescorer {
    /// By the run's version of its model, for these outputs.
    pub(super) fn open(
        resources: &Resources,
        (registry, version): &(Registry, VersionRecord),
        outputs: &[OutputRecord],
    ) -> Result<Self, Error> {
        let artifact = resources.wait(registry.load(version))?;
        let model = Model::from_artifact(artifact).map_err(Error::from)?;
        let sampling = Sampling { outputs: outputs.len(), rows: outputs.iter().map(|output| output.rows).sum() };
        Ok(Self { model, sampling })
    }

    /// The rows of an output to score again, by its place among the outputs; `groups` are the rows of its input's row groups.
    pub(super) fn sampled(&self, place: usize, output: &OutputRecord, groups: Option<&[u64]>) -> Option<Sampled> {
        self.sampling.of(place, output, groups)
    }

    /// How many of the predictions are not those of the model for these rows of the input.
    pub(super) fn differing(
        &self,
        resources: &Resources,
        input: &Input,
        sampled: Sampled,
        predictions: &[f64],
    ) -> Result<u64, Error> {
        let input = sampled.row_groups.map_or_else(|| input.clone(), |groups| input.only(groups));
        let mut expected: Vec<f64> = Vec::new();
        let score = |batch: Batch| {
            let mut scores = Vec::new();
            self.model.score(&batch, &mut Scratch::default(), &mut scores).map(|()| scores)
        };
        let (schema, need) = (self.model.schema(), Need::default());
        let mut is_enough = false;
        let scanned = Data::of(resources, vec![input]).scan(schema, &need, score, |step| {
            if let ScanEvent::Rows(scores) = step {
                expected.extend(scores.map_err(Error::from)?);
                is_enough = expected.len() >= predictions.len();
            }
            // The rest of the file is of no interest.
            if is_enough { Err(Error::cancelled()) } else { Ok(()) }
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

impl Sampling {
    /// All of a small run; of another the first ones of one row group of each output.
    fn of(self, place: usize, output: &OutputRecord, groups: Option<&[u64]>) -> Option<Sampled> {
        if self.rows <= RUN_ROWS_MAX {
            return Some(Sampled { first_row: 0, rows: output.rows, row_groups: output.row_groups });
        }
        if !is_chosen(place, self.outputs) {
            return None;
        }
        let Some(groups) = groups.filter(|groups| !groups.is_empty()) else {
            return Some(Sampled { first_row: 0, rows: OUTPUT_ROWS_MAX, row_groups: None });
        };
        let last = groups.len() as u64 - 1;
        let (first, last) = output.row_groups.map_or((0, last), |(from, to)| (from.min(last), to.min(last)));
        // Any of them, but the same one each time.
        let group = first + text(&output.key) % (last + 1).saturating_sub(first).max(1);
        let first_row = groups[first as usize..group as usize].iter().sum();
        Some(Sampled { first_row, rows: groups[group as usize].min(OUTPUT_ROWS_MAX), row_groups: Some((group, group)) })
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

    fn output(rows: u64, row_groups: Option<(u64, u64)>) -> OutputRecord {
        OutputRecord {
            key: "part-1.parquet".to_owned(),
            input: "part-1".to_owned(),
            input_etag: "1".to_owned(),
            row_groups,
            artifact: "m".to_owned(),
            rows,
            bytes: 1,
            sha256: String::new(),
        }
    }

    #[test]
    fn all_rows_of_a_small_run_are_scored_again_and_some_of_each_output_of_another() {
        let groups = [100_000, 20_000, 100_000, 5_000];
        let small = Sampling { outputs: 2, rows: RUN_ROWS_MAX };
        let whole = |rows, row_groups| Some(Sampled { first_row: 0, rows, row_groups });
        assert_eq!(small.of(0, &output(225_000, None), Some(&groups)), whole(225_000, None));
        assert_eq!(small.of(1, &output(120_000, Some((1, 2))), Some(&groups)), whole(120_000, Some((1, 2))));
        assert_eq!(small.of(0, &output(225_000, None), None), whole(225_000, None));

        let large = Sampling { rows: RUN_ROWS_MAX + 1, ..small };
        assert_eq!(large.of(0, &output(225_000, None), None), whole(OUTPUT_ROWS_MAX, None));
        let sampled = large.of(1, &output(25_000, Some((1, 3))), Some(&groups)).expect("all outputs are looked at");
        let (first, last) = sampled.row_groups.expect("of a row group");
        assert!(first == last && (1..=3).contains(&first), "{sampled:?}");
        assert_eq!(sampled.first_row, groups[1..first as usize].iter().sum::<u64>());
        assert_eq!(sampled.rows, groups[first as usize].min(OUTPUT_ROWS_MAX));
        assert_eq!(Sampling { outputs: 2 * OUTPUTS_MAX, ..large }.of(0, &output(9, None), None), None);
    }

    #[test]
    fn as_many_outputs_as_can_be_are_looked_at() {
        for (outputs, expected) in [(0, 0), (1, 1), (999, 999), (1_000, 1_000), (1_001, 1_000), (123_456, 1_000)] {
            let chosen = (0..outputs).filter(|&place| is_chosen(place, outputs)).count();
            assert_eq!(chosen, expected, "of {outputs}");
        }
    }
}
