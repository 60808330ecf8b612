//! Measures a model on labelled impressions.

use std::collections::HashMap;
use std::time::Instant;

use arrow_array::Array;
use clickcast_dataset::ScanEvent;
use clickcast_model::metrics::{Accumulator, Metrics};
use clickcast_model::{Model, Scratch};
use clickcast_record::{Batch, Need, Roles, Schema};
use serde::Serialize;

use crate::data::Data;
use crate::observer::Progress;
use crate::resources::pace;
use crate::{Error, ModelLocation, Observer, Resources, artifacts};

/// Rows kept one by one for an exact AUC: 64 MiB.
const ROWS_EXACT_MAX: usize = 1 << 22;
/// The same for each slice; beyond it a slice is folded into 1.5 MiB.
const SLICE_ROWS_EXACT_MAX: usize = 1 << 15;
/// Distinct values of the slicing column: 1,000 folded slices take 1.5 GiB at the very most.
const SLICES_MAX: usize = 1000;

/// What to measure, and on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluateRequest {
    /// The model.
    pub model: ModelLocation,
    /// Labelled impressions.
    pub data: String,
    /// The column of the labels, for a model whose schema names none, or another.
    pub label: Option<String>,
    /// A column by whose values the rows are measured apart as well.
    pub by: Option<String>,
}

/// How good a model is on some rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Over all rows.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// By the value of a column, those of most rows first; empty unless that was asked for.
    pub slices: Vec<Slice>,
}

/// The rows that share a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slice {
    /// Over these rows.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// The value, as text; `None` where it is missing.
    pub value: Option<String>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvaluateReport {
    /// How good the model is.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// Where the model is.
    pub model: String,
    /// The model's SHA-256.
    pub id: String,
    /// Wall time.
    pub seconds: f64,
    /// Rows by the wall time.
    pub rows_per_second: f64,
}

/// Measures a model on labelled rows.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if there are no rows or labels, or they do not fit the model's schema.
pub fn evaluate(
    resources: &Resources,
    request: &EvaluateRequest,
    observer: &dyn Observer,
) -> Result<EvaluateReport, Error> {
    let start = Instant::now();
    let model = artifacts::load(resources, &request.model)?.model;
    let data = Data::open(resources, &request.data)?;
    let measured = measure(&model, &data, request.label.as_deref(), request.by.as_deref(), observer)?;
    let metrics = measured.all.metrics();
    let metrics = metrics.ok_or_else(|| Error::invalid(format!("`{}` has no rows to evaluate on", request.data)))?;
    let (seconds, rows_per_second) = pace(start, metrics.rows);
    Ok(EvaluateReport {
        evaluation: Evaluation { metrics, slices: slices(&measured.slices) },
        model: request.model.model.clone(),
        id: model.artifact().id().to_owned(),
        seconds,
        rows_per_second,
    })
}

impl Evaluation {
    /// An evaluation without slices.
    #[must_use]
    pub fn whole(metrics: Metrics) -> Self {
        Self { metrics, slices: Vec::new() }
    }
}

/// What was accumulated over labelled rows.
pub(crate) struct Measured {
    /// Over all rows.
    pub(crate) all: Accumulator,
    /// By the value of the column; `None` where it is missing.
    slices: Vec<(Option<String>, Accumulator)>,
}

/// Scores labelled data and accumulates the outcomes, over all rows and by the values of a column.
pub(crate) fn measure(
    model: &Model,
    data: &Data,
    label: Option<&str>,
    by: Option<&str>,
    observer: &dyn Observer,
) -> Result<Measured, Error> {
    let schema = with_label(model.schema(), label)?;
    let need = Need { labels: true, times: false, carried: by.map(str::to_owned).into_iter().collect() };
    let progress = Progress::rows(observer, "evaluate", data.rows_total());
    let mut all = Accumulator::new(ROWS_EXACT_MAX);
    let mut sliced = Sliced::default();
    let score = |batch: Batch| {
        let mut scores = Vec::new();
        model.score(&batch, &mut Scratch::default(), &mut scores)?;
        // The features are not needed any more: batches that wait for the sink should be small.
        Ok::<_, clickcast_model::Error>(ScoredBatch { scores, batch: Batch { features: Vec::new(), ..batch } })
    };
    data.scan(&schema, &need, score, |step| {
        let ScanEvent::Rows(scored) = step else { return Ok(()) };
        let scored = scored?;
        for (_, score, label, weight) in scored.rows() {
            all.add(score, label, weight);
        }
        sliced.add(&scored)?;
        progress.advance(scored.scores.len() as u64)
    })?;
    Ok(Measured { all, slices: sliced.slices })
}

/// Accumulators by the values of a column.
#[derive(Default)]
struct Sliced {
    slices: Vec<(Option<String>, Accumulator)>,
    index_of: HashMap<Option<String>, usize>,
}

impl Sliced {
    fn add(&mut self, scored: &ScoredBatch) -> Result<(), Error> {
        let Some((column, array)) = scored.batch.carried.first() else { return Ok(()) };
        let values = clickcast_dataset::text_of(column, array)?;
        for (row, score, label, weight) in scored.rows() {
            let value = values.is_valid(row).then(|| values.value(row).to_owned());
            let next = self.slices.len();
            let index = *self.index_of.entry(value.clone()).or_insert(next);
            if index == SLICES_MAX {
                return Err(Error::invalid(format!(
                    "column `{column}` has more than {SLICES_MAX} values; slice by one with fewer"
                )));
            }
            if index == next {
                self.slices.push((value, Accumulator::new(SLICE_ROWS_EXACT_MAX)));
            }
            self.slices[index].1.add(score, label, weight);
        }
        Ok(())
    }
}

/// A scored batch, without its features.
struct ScoredBatch {
    scores: Vec<f64>,
    batch: Batch,
}

impl ScoredBatch {
    /// Each row's number, score, label and weight.
    fn rows(&self) -> impl Iterator<Item = (usize, f64, bool, f32)> {
        let labels = self.batch.labels.as_deref().unwrap_or_default();
        let weight = |row: usize| self.batch.weights.as_ref().map_or(1.0, |weights| weights[row]);
        self.scores.iter().zip(labels).enumerate().map(move |(row, (&score, &label))| (row, score, label, weight(row)))
    }
}

/// The metrics of each slice that has rows, those of most rows first.
fn slices(slices: &[(Option<String>, Accumulator)]) -> Vec<Slice> {
    let measured = slices.iter().filter_map(|(value, accumulator)| {
        let metrics = accumulator.metrics()?;
        Some(Slice { metrics, value: value.clone() })
    });
    let mut measured: Vec<Slice> = measured.collect();
    measured.sort_by(|a, b| b.metrics.rows.cmp(&a.metrics.rows).then_with(|| a.value.cmp(&b.value)));
    measured
}

fn with_label(schema: &Schema, label: Option<&str>) -> Result<Schema, Error> {
    match (label, schema.label()) {
        (Some(label), _) => {
            let weight = schema.weight().map(str::to_owned);
            let roles = Roles { label: Some(label.to_owned()), weight, ..Roles::default() };
            Ok(schema.with_roles(roles)?)
        }
        (None, Some(_)) => Ok(schema.clone()),
        (None, None) => Err(Error::invalid("the model's schema names no label; add --label COLUMN")),
    }
}
