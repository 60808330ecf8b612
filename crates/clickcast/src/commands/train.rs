//! `clickcast train`: learns a model from labelled impressions.

use std::time::Instant;

use clickcast_dataset::Step;
use clickcast_learn::{Family, Phase, Settings, Source};
use clickcast_model::Model;
use clickcast_model::factors::WeightType;
use clickcast_record::{Batch, Need, Schema};
use serde_json::{Value, json};

use super::data::Data;
use super::{Context, artifacts, evaluate, pace, read_schema};
use crate::arguments::{FamilyArgument, TrainArguments, WeightsArgument};
use crate::console;
use crate::failure::Failure;
use crate::progress::Progress;

pub(super) fn run(context: &Context, arguments: &TrainArguments) -> Result<(), Failure> {
    let outcome = train(context, arguments)?;
    if !context.json {
        for note in outcome["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            console::note(note, context.quiet);
        }
    }
    console::result(&outcome, context.json)
}

/// Learns a model and writes it; what to report comes back.
pub(super) fn train(context: &Context, arguments: &TrainArguments) -> Result<Value, Failure> {
    let start = Instant::now();
    let schema = read_schema(&arguments.schema)?;
    let data = Data::open(context, &arguments.data)?;
    let valid = arguments.valid.as_deref().map(|uri| Data::open(context, uri)).transpose()?;
    let family = match arguments.family {
        FamilyArgument::Lr => Family::Lr,
        FamilyArgument::Fm => Family::Fm,
        FamilyArgument::Ffm => Family::Ffm,
    };
    let sample_negatives = arguments.sample_negatives.unwrap_or(1.0);
    let weights = match arguments.weights {
        WeightsArgument::F32 => WeightType::F32,
        WeightsArgument::Bf16 => WeightType::Bf16,
    };
    let settings = Settings { family, seed: arguments.seed, threads: context.threads, sample_negatives, weights };
    let model = learn(context, &data, valid.as_ref(), schema, &settings)?;
    artifacts::save(context, model.artifact(), &arguments.out)?;
    let measured = match (&valid, &model.artifact().manifest().training) {
        (Some(valid), _) => evaluate::measure(context, &model, valid, None, None)?.all.metrics(),
        (None, training) => training.as_ref().and_then(|training| training.held_out.clone()),
    };
    let training = model.artifact().manifest().training.as_ref();
    let rows = training.map_or(0, |training| training.rows);
    let (seconds, rows_per_second) = pace(start, rows);
    Ok(json!({
        "rows": rows,
        "seconds": seconds,
        "rows_per_second": rows_per_second,
        "model": arguments.out,
        "id": model.artifact().id(),
        "family": model.artifact().manifest().family,
        "valid": measured.as_ref().map(evaluate::to_json),
        "notes": training.map(|training| &training.notes),
        "peak_memory_bytes": super::peak_memory_bytes(),
    }))
}

/// Learns a model from some data, and from others when to stop.
pub(super) fn learn(
    context: &Context,
    data: &Data,
    valid: Option<&Data>,
    schema: Schema,
    settings: &Settings,
) -> Result<Model, Failure> {
    let need = Need { labels: true, times: schema.time().is_some(), carried: Vec::new() };
    let mut source = Passes { context, data, schema: &schema, need: &need, progress: None };
    let valid_need = Need { times: false, ..need.clone() };
    let mut valid_source =
        valid.map(|data| Passes { context, data, schema: &schema, need: &valid_need, progress: None });
    let valid_source = valid_source.as_mut().map(|source| source as &mut dyn Source<Failure>);
    let trained = clickcast_learn::train(&mut source, valid_source, &schema, settings)
        .map_err(|failure| failure.about(data.uri()))?;
    drop(source);
    let clickcast_learn::Trained { encoder, factors, calibration, training, profile, golden } = trained;
    let model = Model::from_factors(schema, encoder, factors, calibration, training).map_err(Failure::input)?;
    model.with_profile(&profile).with_golden(golden).map_err(Failure::input)
}

/// Goes through the files again and again.
struct Passes<'a> {
    context: &'a Context,
    data: &'a Data,
    schema: &'a Schema,
    need: &'a Need,
    progress: Option<Progress>,
}

impl Source<Failure> for Passes<'_> {
    fn begin(&mut self, phase: Phase) {
        let task = match phase {
            Phase::Profile => "profile",
            Phase::Encode => "encode",
            Phase::Learn(_) => "learn",
        };
        self.progress = Some(Progress::new(task, self.data.rows_total(), self.context.quiet));
    }

    fn pass(&mut self, each: &mut dyn FnMut(Batch) -> Result<(), Failure>) -> Result<(), Failure> {
        let progress = &self.progress;
        self.data.scan(
            self.context,
            self.schema,
            self.need,
            |batch| batch,
            |step| {
                let Step::Rows(batch) = step else { return Ok(()) };
                let rows = batch.rows as u64;
                each(batch)?;
                progress.iter().for_each(|progress| progress.add(rows));
                Ok(())
            },
        )
    }
}

impl From<clickcast_learn::Error> for Failure {
    fn from(error: clickcast_learn::Error) -> Self {
        Self::new(&error, false)
    }
}
