//! `clickcast predict`: the main job from end to end, files in and files out; or into a run, staged.

use std::time::Instant;

use clickcast_dataset::{Input, Place, row_groups};
use clickcast_job::{Piece, Scored, Scorer, Told, carried, ranges};
use clickcast_registry::{PinnedModel, Rejected, Run, RunName, RunRecord, RunSettings, Runs};
use clickcast_storage::Store;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::artifacts::Loaded;
use super::data::{self, Data};
use super::{Context, artifacts, outputs, pace, peak_memory_bytes, storage_failure};
use crate::arguments::PredictArguments;
use crate::console;
use crate::failure::Failure;
use crate::progress::Progress;

pub(super) fn run(context: &Context, arguments: &PredictArguments) -> Result<(), Failure> {
    let outcome = predict(context, arguments)?;
    console::result(&outcome, context.json)?;
    match (outcome["errors"].as_u64(), &arguments.run) {
        (Some(errors @ 1..), Some(run)) => Err(Failure::input(format!(
            "{errors} inputs can't be scored; `{}/runs/{run}/errors` says why, and the run's audit will hold",
            arguments.out.trim_end_matches('/')
        ))),
        _ => Ok(()),
    }
}

/// Scores all files that are not done yet; what to report comes back.
pub(super) fn predict(context: &Context, arguments: &PredictArguments) -> Result<Value, Failure> {
    let start = Instant::now();
    let loaded = artifacts::load(context, &arguments.model, arguments.registry.as_deref())?;
    let data = Data::open(context, &arguments.data)?;
    let out = Store::open(&arguments.out).map_err(|error| storage_failure(&error))?;
    outputs::refuse_to_write_into_the_input(&data, &arguments.out, &out)?;
    let carried = carried(&loaded.model, &arguments.keep).map_err(Failure::input)?;
    let run = arguments.run.as_ref().map(|name| begin(context, &out, name, &loaded, arguments)).transpose()?;
    let scorer = Scorer {
        model: &loaded.model,
        carried,
        precision: arguments.precision,
        run: arguments.run.as_ref().map(RunName::to_string),
        out: &out,
        threads: context.threads,
        handle: context.runtime.handle(),
    };
    let (todo, skipped) = split_done(context, &scorer, &data, run.as_ref())?;
    let progress = Progress::new("predict", data.rows_total().filter(|_| skipped == 0), context.quiet);
    let (scored, errors) = match &run {
        None => (score(&scorer, &todo, &progress)?, 0),
        Some(run) => score_staged(context, &scorer, &todo, run, &progress)?,
    };
    drop(progress);
    let (seconds, rows_per_second) = pace(start, scored.rows);
    Ok(json!({
        "rows": scored.rows,
        "files": scored.written,
        "skipped": skipped + scored.lost,
        "errors": errors,
        "seconds": seconds,
        "rows_per_second": rows_per_second,
        "peak_memory_bytes": peak_memory_bytes(),
        "model": arguments.model,
        "id": loaded.model.artifact().id(),
        "run": arguments.run,
        "out": arguments.out,
    }))
}

/// Begins a run, or joins the one of this name.
fn begin(
    context: &Context,
    out: &Store,
    name: &RunName,
    loaded: &Loaded,
    arguments: &PredictArguments,
) -> Result<Run, Failure> {
    let (model_name, version) = loaded.registered.clone().unzip();
    let record = RunRecord {
        run: name.clone(),
        model: PinnedModel {
            registry: arguments.registry.clone().filter(|_| model_name.is_some()),
            name: model_name,
            version,
            artifact: loaded.model.artifact().id().to_owned(),
        },
        input: arguments.data.clone(),
        settings: RunSettings { precision: arguments.precision, keep: arguments.keep.clone() },
        created: Timestamp::now(),
    };
    Ok(context.runtime.block_on(Runs::new(out.clone()).begin(record))?)
}

/// The pieces without an output of this very model and version of the input; how many have one.
fn split_done(
    context: &Context,
    scorer: &Scorer<'_>,
    data: &Data,
    run: Option<&Run>,
) -> Result<(Vec<Piece>, usize), Failure> {
    let pieces = match run {
        None => data
            .inputs
            .iter()
            .map(|input| Piece { input: input.clone(), output: input.output_key(), place: Place::Any })
            .collect(),
        Some(run) => pieces_of(context, &data.inputs, run)?,
    };
    let all = pieces.len();
    let mut todo = Vec::new();
    for mut piece in pieces {
        if !scorer.is_done(&piece)? {
            // An output of an older version of the input is replaced.
            if let (Place::Free, Ok(older)) = (&piece.place, context.runtime.block_on(scorer.out.head(&piece.output))) {
                piece.place = Place::Of(older.etag);
            }
            todo.push(piece);
        }
    }
    if let Some(run) = run.filter(|_| !todo.is_empty())
        && context.runtime.block_on(run.is_closed())?
    {
        let name = &run.record().run;
        return Err(Failure::input(format!("run `{name}` is closed; what came later belongs to another run")));
    }
    let skipped = all - todo.len();
    outputs::note_skipped(context, skipped, all);
    Ok((todo, skipped))
}

/// A run's pieces: large inputs in ranges that follow from their row groups alone.
fn pieces_of(context: &Context, inputs: &[Input], run: &Run) -> Result<Vec<Piece>, Failure> {
    let mut pieces = Vec::new();
    for input in inputs {
        // A file that can't be opened is one piece, which then says so.
        let groups = data::if_readable(row_groups(input, context.runtime.handle()))?.flatten();
        match groups.and_then(|groups| ranges(&groups)) {
            None => {
                let output = run.output_key(&input.output_key(), None);
                pieces.push(Piece { input: input.clone(), output, place: Place::Free });
            }
            Some(ranges) => pieces.extend(ranges.into_iter().map(|range| Piece {
                input: input.only(range),
                output: run.output_key(&input.output_key(), Some(range)),
                place: Place::Free,
            })),
        }
    }
    Ok(pieces)
}

fn score(scorer: &Scorer<'_>, pieces: &[Piece], progress: &Progress) -> Result<Scored, Failure> {
    let scored = scorer.score(pieces, |told| shown(told, progress));
    scored.map_err(|error| Failure::new(&error, error.is_transient()))
}

/// Shows how far it is; nothing stops it.
fn shown(told: Told, progress: &Progress) -> bool {
    if let Told::Rows(rows) = told {
        progress.add(rows);
    }
    true
}

/// As [`score`]; an input that can never be scored is noted in the run, and the others go on. How many such there were.
fn score_staged(
    context: &Context,
    scorer: &Scorer<'_>,
    mut pieces: &[Piece],
    run: &Run,
    progress: &Progress,
) -> Result<(Scored, usize), Failure> {
    let (mut all, mut errors) = (Scored::default(), 0);
    let rejected = context.runtime.block_on(run.rejected())?;
    loop {
        let outcome = scorer.score(pieces, |told| shown(told, progress));
        let (scored, failed) = match outcome {
            Ok(scored) => (scored, None),
            Err(error) if error.is_transient() => return Err(Failure::new(&error, true)),
            Err(error) => (error.scored, Some(error)),
        };
        all = Scored {
            rows: all.rows + scored.rows,
            written: all.written + scored.written,
            lost: all.lost + scored.lost,
        };
        let done = failed.as_ref().map_or(pieces.len(), |error| error.piece);
        for piece in &pieces[..done] {
            let key = &piece.input.object.key;
            if rejected.iter().any(|rejected| rejected.key == *key) {
                context.runtime.block_on(run.absolve(key))?;
            }
        }
        let Some(error) = failed else { return Ok((all, errors)) };
        let object = &pieces[error.piece].input.object;
        let reason = error.to_string();
        console::note(&reason, context.quiet);
        let rejected = Rejected { key: object.key.clone(), etag: object.etag.clone(), reason };
        context.runtime.block_on(run.reject(&rejected))?;
        errors += 1;
        pieces = &pieces[error.piece + 1..];
    }
}
