//! `clickcast evaluate`: how good a model is on labelled impressions.

use std::collections::HashMap;
use std::time::Instant;

use arrow_array::Array;
use clickcast_dataset::Step;
use clickcast_model::metrics::{Accumulator, Metrics};
use clickcast_model::{Model, Scratch};
use clickcast_record::{Batch, Need, Roles, Schema};
use serde_json::{Value, json};

use super::data::Data;
use super::{Context, artifacts, pace};
use crate::arguments::EvaluateArguments;
use crate::console;
use crate::failure::Failure;
use crate::progress::Progress;

/// Rows kept one by one for an exact AUC: 64 MiB.
const ROWS_EXACT_MAX: usize = 1 << 22;
/// The same for each slice; beyond it a slice is folded into 1.5 MiB.
const SLICE_ROWS_EXACT_MAX: usize = 1 << 15;
/// Distinct values of the slicing column: 1,000 folded slices take 1.5 GiB at the very most.
const SLICES_MAX: usize = 1000;

/// What was measured.
pub(super) struct Measured {
    pub(super) all: Accumulator,
    /// By the value of the column; none where it is missing.
    pub(super) slices: Vec<(Option<String>, Accumulator)>,
}

pub(super) fn run(context: &Context, arguments: &EvaluateArguments) -> Result<(), Failure> {
    let start = Instant::now();
    let model = artifacts::load(context, &arguments.model, arguments.registry.as_deref())?.model;
    let data = Data::open(context, &arguments.data)?;
    let measured = measure(context, &model, &data, arguments.label.as_deref(), arguments.by.as_deref())?;
    let metrics = measured.all.metrics();
    let metrics = metrics.ok_or_else(|| Failure::input(format!("`{}` has no rows to evaluate on", arguments.data)))?;
    let (seconds, rows_per_second) = pace(start, metrics.rows);
    let mut object = to_json(&metrics);
    object["slices"] = slices_to_json(&measured.slices);
    object["model"] = json!(arguments.model);
    object["id"] = json!(model.artifact().id());
    object["seconds"] = json!(seconds);
    object["rows_per_second"] = json!(rows_per_second);
    console::result(&object, context.json)?;
    if context.json || measured.slices.is_empty() {
        return Ok(());
    }
    let header = vec!["value", "rows", "positives", "auc", "logloss", "calibration"];
    let keys = header.iter().skip(1);
    let rows = object["slices"].as_array().into_iter().flatten().map(|slice| {
        let value = std::iter::once(slice["value"].as_str().unwrap_or("(missing)").to_owned());
        value.chain(keys.clone().map(|key| console::readable(key, &slice[*key]))).collect()
    });
    console::say(&format!("\n{}", console::table(Some(header.clone()), rows.collect())))
}

/// Scores labelled data and accumulates what came of it, over all rows and by the values of a column.
pub(super) fn measure(
    context: &Context,
    model: &Model,
    data: &Data,
    label: Option<&str>,
    by: Option<&str>,
) -> Result<Measured, Failure> {
    let schema = with_label(model.schema(), label)?;
    let need = Need { labels: true, times: false, carried: by.map(str::to_owned).into_iter().collect() };
    let progress = Progress::new("evaluate", data.rows_total(), context.quiet);
    let mut measured = Measured { all: Accumulator::new(ROWS_EXACT_MAX), slices: Vec::new() };
    let mut slice_of: HashMap<Option<String>, usize> = HashMap::new();
    let score = |batch: Batch| {
        let mut scores = Vec::new();
        let scored = model.score(&batch, &mut Scratch::default(), &mut scores);
        // The features are done with: what waits to be handed over should be small.
        scored.map(|()| Scored { scores, batch: Batch { features: Vec::new(), ..batch } })
    };
    data.scan(context, &schema, &need, score, |step| {
        let Step::Rows(scored) = step else { return Ok(()) };
        let scored = scored.map_err(Failure::input)?;
        scored.rows().for_each(|(_, score, label, weight)| measured.all.add(score, label, weight));
        if let Some((column, array)) = scored.batch.carried.first() {
            let values = clickcast_dataset::text_of(column, array)?;
            for (row, score, label, weight) in scored.rows() {
                let value = values.is_valid(row).then(|| values.value(row).to_owned());
                let next = measured.slices.len();
                let index = *slice_of.entry(value.clone()).or_insert(next);
                if index == SLICES_MAX {
                    let sentence =
                        format!("column `{column}` has more than {SLICES_MAX} values; slice by one with fewer");
                    return Err(Failure::input(sentence));
                }
                if index == next {
                    measured.slices.push((value, Accumulator::new(SLICE_ROWS_EXACT_MAX)));
                }
                measured.slices[index].1.add(score, label, weight);
            }
        }
        progress.add(scored.scores.len() as u64);
        Ok(())
    })?;
    Ok(measured)
}

/// A scored batch, without its features.
struct Scored {
    scores: Vec<f64>,
    batch: Batch,
}

impl Scored {
    /// Each row's number, score, label and weight.
    fn rows(&self) -> impl Iterator<Item = (usize, f64, bool, f32)> {
        let labels = self.batch.labels.as_deref().unwrap_or_default();
        let weight = |row: usize| self.batch.weights.as_ref().map_or(1.0, |weights| weights[row]);
        self.scores.iter().zip(labels).enumerate().map(move |(row, (&score, &label))| (row, score, label, weight(row)))
    }
}

/// The keys that every evaluation has.
pub(super) fn to_json(metrics: &Metrics) -> Value {
    let mut object = serde_json::to_value(metrics).unwrap_or_default();
    object["slices"] = json!([]);
    object
}

fn slices_to_json(slices: &[(Option<String>, Accumulator)]) -> Value {
    let mut measured: Vec<(&Option<String>, Metrics)> =
        slices.iter().filter_map(|(value, accumulator)| Some((value, accumulator.metrics()?))).collect();
    measured.sort_by(|a, b| b.1.rows.cmp(&a.1.rows).then_with(|| a.0.cmp(b.0)));
    let object = |(value, metrics): (&Option<String>, Metrics)| {
        let mut object = serde_json::to_value(metrics).unwrap_or_default();
        object["value"] = json!(value);
        object
    };
    measured.into_iter().map(object).collect()
}

fn with_label(schema: &Schema, label: Option<&str>) -> Result<Schema, Failure> {
    match (label, schema.label()) {
        (Some(label), _) => {
            let weight = schema.weight().map(str::to_owned);
            let roles = Roles { label: Some(label.to_owned()), weight, ..Roles::default() };
            schema.with_roles(roles).map_err(Failure::input)
        }
        (None, Some(_)) => Ok(schema.clone()),
        (None, None) => Err(Failure::input("the model's schema names no label; add --label COLUMN")),
    }
}
