//! `clickcast train`: learns a model from labelled impressions.

use std::time::Instant;

use clickcast_learn::{Family, Settings};
use clickcast_model::Model;
use clickcast_record::Need;
use serde_json::{Value, json};

use super::data::{Data, Passes};
use super::{Context, evaluate, models, pace, read_schema};
use crate::arguments::{FamilyArgument, TrainArguments};
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
    let settings = Settings {
        family,
        seed: arguments.seed,
        threads: context.threads,
        sample_negatives: arguments.sample_negatives,
        ..Settings::default()
    };
    let need = Need { labels: true, times: schema.time().is_some(), carried: Vec::new() };
    let progress = Progress::new("train", None, context.quiet);
    let mut source = Passes::new(context, &data, &schema, &need, Some(&progress));
    let mut valid_source = valid.as_ref().map(|data| Passes::new(context, data, &schema, &need, None));
    let trained = clickcast_learn::train(&mut source, valid_source.as_mut(), &schema, &settings)?;
    drop(progress);
    let model = Model::from_trained(trained).map_err(Failure::input)?;
    models::save(context, model.artifact(), &arguments.out)?;
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
