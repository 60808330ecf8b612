//! Scores every record of some files: into plain files, or into a run, staged.

use std::time::Instant;

use clickcast_dataset::{Input, Replaces, row_groups};
use clickcast_job::{Piece, Progress as Scoring, ScoreTotals, Scorer, carried, ranges};
use clickcast_record::Precision;
use clickcast_registry::{PinnedModel, Rejected, Run, RunName, RunRecord, RunSettings, Runs};
use clickcast_storage::Store;
use jiff::Timestamp;
use serde::Serialize;

use crate::artifacts::Loaded;
use crate::data::{Data, if_readable};
use crate::observer::Progress;
use crate::resources::pace;
use crate::{Error, ModelLocation, Observer, Resources, artifacts, outputs, peak_memory_bytes};

/// What to score, and where the predictions go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictRequest {
    /// The model.
    pub model: ModelLocation,
    /// The records.
    pub data: String,
    /// The folder or prefix that predictions are written to.
    pub out: String,
    /// The run to stage them in; `None` writes a plain file for each input.
    pub run: Option<RunName>,
    /// The type of the predictions.
    pub precision: Precision,
    /// Columns to carry beside the schema's ids.
    pub keep: Vec<String>,
}

/// What was scored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictReport {
    /// Rows scored.
    pub rows: u64,
    /// Files written.
    pub files: usize,
    /// Files that were already there.
    pub skipped: usize,
    /// Inputs that can never be scored; the run's folder `errors` says why. Outside of a run such an input is an error.
    pub errors: usize,
    /// Wall time.
    pub seconds: f64,
    /// Rows by the wall time.
    pub rows_per_second: f64,
    /// The most memory that the process has held.
    pub peak_memory_bytes: Option<u64>,
    /// Where the model is.
    pub model: String,
    /// The model's SHA-256.
    pub id: String,
    /// The run.
    pub run: Option<RunName>,
    /// The folder or prefix of the predictions.
    pub out: String,
}

/// Scores all files that are not done yet.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if the model is wrong, a file cannot be scored outside of a run, or the outputs
/// would lie among the inputs.
pub fn predict(
    resources: &Resources,
    request: &PredictRequest,
    observer: &dyn Observer,
) -> Result<PredictReport, Error> {
    let start = Instant::now();
    let loaded = artifacts::load(resources, &request.model)?;
    let data = Data::open(resources, &request.data)?;
    let out = Store::open(&request.out)?;
    outputs::refuse_to_write_into_the_input(&data, &request.out, &out)?;
    let carried = carried(&loaded.model, &request.keep)?;
    let run = match &request.run {
        Some(name) => Some(resources.wait(Runs::new(out.clone()).begin(record(name, &loaded, request)))?),
        None => None,
    };
    let scorer = Scorer {
        model: &loaded.model,
        carried,
        precision: request.precision,
        run: request.run.as_ref().map(RunName::to_string),
        out: &out,
        threads: resources.threads(),
        handle: resources.handle(),
    };
    let job = Job { resources, scorer: &scorer, run: run.as_ref(), observer };
    let (todo, skipped) = job.split_done(&data)?;
    let rows_total = data.rows_total().filter(|_| skipped == 0);
    let (scored, errors) = job.score(&todo, &Progress::rows(observer, "predict", rows_total))?;
    let (seconds, rows_per_second) = pace(start, scored.rows);
    Ok(PredictReport {
        rows: scored.rows,
        files: scored.written,
        skipped: skipped + scored.lost,
        errors,
        seconds,
        rows_per_second,
        peak_memory_bytes: peak_memory_bytes(),
        model: request.model.model.clone(),
        id: loaded.model.artifact().id().to_owned(),
        run: request.run.clone(),
        out: request.out.clone(),
    })
}

/// What a run begins with.
fn record(name: &RunName, loaded: &Loaded, request: &PredictRequest) -> RunRecord {
    let (model_name, version) = loaded.registered.clone().unzip();
    RunRecord {
        run: name.clone(),
        model: PinnedModel {
            registry: request.model.registry.clone().filter(|_| model_name.is_some()),
            name: model_name,
            version,
            artifact: loaded.model.artifact().id().to_owned(),
        },
        input: request.data.clone(),
        settings: RunSettings { precision: request.precision, keep: request.keep.clone() },
        created: Timestamp::now(),
    }
}

/// A request under way.
struct Job<'a> {
    resources: &'a Resources,
    scorer: &'a Scorer<'a>,
    run: Option<&'a Run>,
    observer: &'a dyn Observer,
}

impl Job<'_> {
    /// The pieces without an output of this very model and version of the input, and how many have one.
    fn split_done(&self, data: &Data) -> Result<(Vec<Piece>, usize), Error> {
        let pieces = match self.run {
            None => {
                let piece =
                    |input: &Input| Piece { input: input.clone(), output: input.output_key(), place: Replaces::Any };
                data.inputs.iter().map(piece).collect()
            }
            Some(run) => self.pieces_of_run(run, &data.inputs)?,
        };
        let all = pieces.len();
        let mut todo = Vec::new();
        for mut piece in pieces {
            if self.scorer.is_done(&piece)? {
                continue;
            }
            // An output of an older version of the input is replaced.
            if piece.place == Replaces::Free
                && let Ok(older) = self.resources.wait(self.scorer.out.head(&piece.output))
            {
                piece.place = Replaces::Of(older.etag);
            }
            todo.push(piece);
        }
        if let Some(run) = self.run
            && !todo.is_empty()
            && self.resources.wait(run.is_closed())?
        {
            let name = &run.record().run;
            return Err(Error::invalid(format!("run `{name}` is closed; score what came later in another run")));
        }
        let skipped = all - todo.len();
        outputs::note_skipped(self.observer, skipped, all);
        Ok((todo, skipped))
    }

    /// A run's pieces: large inputs in ranges that follow from their row groups alone.
    fn pieces_of_run(&self, run: &Run, inputs: &[Input]) -> Result<Vec<Piece>, Error> {
        let mut pieces = Vec::new();
        for input in inputs {
            // A file that cannot be opened is one piece, which then says so.
            let groups = if_readable(row_groups(input, self.resources.handle()))?.flatten();
            match groups.and_then(|groups| ranges(&groups)) {
                None => {
                    let output = run.output_key(&input.output_key(), None);
                    pieces.push(Piece { input: input.clone(), output, place: Replaces::Free });
                }
                Some(ranges) => pieces.extend(ranges.into_iter().map(|range| Piece {
                    input: input.only(range),
                    output: run.output_key(&input.output_key(), Some(range)),
                    place: Replaces::Free,
                })),
            }
        }
        Ok(pieces)
    }

    /// Scores pieces. In a run, an input that can never be scored is recorded there, and the others go on; returns how many
    /// such inputs there were.
    fn score(&self, mut pieces: &[Piece], progress: &Progress<'_>) -> Result<(ScoreTotals, usize), Error> {
        let (mut all, mut errors) = (ScoreTotals::default(), 0);
        let rejected = match self.run {
            Some(run) => self.resources.wait(run.rejected())?,
            None => Vec::new(),
        };
        loop {
            let outcome = self.scorer.score(pieces, |scoring| match scoring {
                Scoring::Rows(rows) => progress.advance(rows).is_ok(),
                Scoring::Ended(_) => true,
            });
            let (scored, failed) = match outcome {
                Ok(scored) => (scored, None),
                Err(error) if error.is_stopped() => return Err(Error::cancelled()),
                Err(error) if error.is_transient() || self.run.is_none() => return Err(error.into()),
                Err(error) => (error.scored, Some(error)),
            };
            all.rows += scored.rows;
            all.written += scored.written;
            all.lost += scored.lost;
            let done = failed.as_ref().map_or(pieces.len(), |error| error.piece);
            self.clear_rejections(&pieces[..done], &rejected)?;
            let (Some(run), Some(error)) = (self.run, failed) else { return Ok((all, errors)) };
            let object = &pieces[error.piece].input.object;
            let reason = error.to_string();
            self.observer.note(&reason);
            let rejected = Rejected { key: object.key.clone(), etag: object.etag.clone(), reason };
            self.resources.wait(run.reject(&rejected))?;
            errors += 1;
            pieces = &pieces[error.piece + 1..];
        }
    }

    /// Inputs that were rejected once, and are scored now, are rejected no longer.
    fn clear_rejections(&self, done: &[Piece], rejected: &[Rejected]) -> Result<(), Error> {
        let Some(run) = self.run else { return Ok(()) };
        for piece in done {
            let key = &piece.input.object.key;
            if rejected.iter().any(|rejected| rejected.key == *key) {
                self.resources.wait(run.clear_rejection(key))?;
            }
        }
        Ok(())
    }
}
