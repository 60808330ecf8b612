//! `clickcast predict`: the main job from end to end, files in and files out.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use clickcast_dataset::{CTR, Input, Precision, PredictionWriter, Step, footer};
use clickcast_model::{Model, Scratch};
use clickcast_record::{Batch, Need};
use clickcast_storage::Store;
use serde_json::{Value, json};

use super::data::{self, Data};
use super::{Context, models, outputs, pace, peak_memory_bytes, storage_failure};
use crate::arguments::{PrecisionArgument, PredictArguments};
use crate::console;
use crate::failure::Failure;
use crate::progress::Progress;

pub(super) fn run(context: &Context, arguments: &PredictArguments) -> Result<(), Failure> {
    let outcome = predict(context, arguments)?;
    console::result(&outcome, context.json)
}

/// Scores all files that are not done yet; what to report comes back.
pub(super) fn predict(context: &Context, arguments: &PredictArguments) -> Result<Value, Failure> {
    let start = Instant::now();
    let model = models::load(context, &arguments.model)?;
    let data = Data::open(context, &arguments.data)?;
    let out = Store::open(&arguments.out).map_err(|error| storage_failure(&error))?;
    outputs::refuse_to_write_into_the_input(&data, &arguments.out, &out)?;
    let precision = match arguments.precision {
        PrecisionArgument::F32 => Precision::F32,
        PrecisionArgument::F64 => Precision::F64,
    };
    let need = Need { carried: carried(&model, &arguments.keep)?, ..Need::default() };
    let columns = format!("{};{precision:?}", need.carried.join(","));
    let (todo, skipped) = split_done(context, &model, &data, &out, &columns)?;
    let progress = Progress::new("predict", data.rows_total().filter(|_| skipped == 0), context.quiet);
    let job = Job { context, model: &model, out: &out, precision, columns: &columns, progress: &progress };
    let rows = job.score(&todo, &need)?;
    drop(progress);
    let (seconds, rows_per_second) = pace(start, rows);
    Ok(json!({
        "rows": rows,
        "files": todo.len(),
        "skipped": skipped,
        "seconds": seconds,
        "rows_per_second": rows_per_second,
        "peak_memory_bytes": peak_memory_bytes(),
        "model": arguments.model,
        "id": model.artifact().id(),
        "run": Value::Null,
        "out": arguments.out,
    }))
}

/// The schema's ids, then the columns asked for, each once.
fn carried(model: &Model, keep: &[String]) -> Result<Vec<String>, Failure> {
    let mut columns: Vec<String> = Vec::new();
    for column in model.schema().ids().iter().chain(keep) {
        if !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    if columns.iter().any(|column| column == CTR) {
        return Err(Failure::input(format!(
            "`{CTR}` is the column of the predictions; no other can be kept beside it"
        )));
    }
    Ok(columns)
}

/// The inputs without an output of this very model and version of the input; how many have one.
fn split_done(
    context: &Context,
    model: &Model,
    data: &Data,
    out: &Store,
    columns: &str,
) -> Result<(Vec<Input>, usize), Failure> {
    let mut todo = Vec::new();
    for input in &data.inputs {
        if !outputs::is_done(context, out, &input.output_key(), &metadata(model, input, columns))? {
            todo.push(input.clone());
        }
    }
    let skipped = data.inputs.len() - todo.len();
    outputs::note_skipped(context, skipped, data.inputs.len());
    Ok((todo, skipped))
}

fn metadata(model: &Model, input: &Input, columns: &str) -> BTreeMap<String, String> {
    let own = [
        (footer::INPUT, input.object.key.as_str()),
        (footer::INPUT_ETAG, &input.object.etag),
        (footer::COLUMNS, columns),
    ];
    outputs::metadata(model, &own)
}

struct Job<'a> {
    context: &'a Context,
    model: &'a Model,
    out: &'a Store,
    precision: Precision,
    columns: &'a str,
    progress: &'a Progress,
}

impl Job<'_> {
    /// Scores files and writes each under its output key; how many rows they had.
    fn score(&self, inputs: &[Input], need: &Need) -> Result<u64, Failure> {
        let handle = self.context.runtime.handle();
        // Scratch memory outlives a batch: as many as threads are ever in use at once.
        let scratches: Mutex<Vec<Scratch>> = Mutex::default();
        let lock = || scratches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let map = |batch: Batch| {
            let mut scratch = lock().pop().unwrap_or_default();
            let mut scores = Vec::new();
            let scored = self.model.score(&batch, &mut scratch, &mut scores);
            lock().push(scratch);
            scored.map(|()| (batch.carried, scores))
        };
        let (mut writer, mut rows) = (None, 0);
        data::scan(self.context, inputs, self.model.schema(), need, map, |step| {
            match step {
                Step::Begin(index) => {
                    let input = &inputs[index];
                    let metadata = metadata(self.model, input, self.columns);
                    let key = input.output_key();
                    writer = Some(PredictionWriter::create(self.out, &key, handle, self.precision, metadata)?);
                }
                Step::Rows(scored) => {
                    let (carried, scores) = scored.map_err(Failure::input)?;
                    if let Some(writer) = &mut writer {
                        writer.write(&carried, &scores)?;
                    }
                    rows += scores.len() as u64;
                    self.progress.add(scores.len() as u64);
                }
                Step::End(_) => {
                    if let Some(writer) = writer.take() {
                        writer.finish()?;
                    }
                }
            }
            Ok(())
        })?;
        Ok(rows)
    }
}
