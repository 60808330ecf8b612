//! Learns a model from labelled impressions.

use std::path::PathBuf;
use std::time::Instant;

use clickcast_dataset::ScanEvent;
use clickcast_learn::{FactorFamily, Phase, Settings, Source};
use clickcast_model::Model;
use clickcast_model::factors::WeightType;
use clickcast_record::{Batch, Need, Schema};
use serde::Serialize;

use crate::data::Data;
use crate::evaluate::{self, Evaluation};
use crate::observer::Progress;
use crate::resources::pace;
use crate::text::read_schema;
use crate::{Error, Observer, Resources, artifacts, outputs, peak_memory_bytes};

/// What to learn from, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainRequest {
    /// Labelled impressions.
    pub data: String,
    /// The `features.toml`.
    pub schema: PathBuf,
    /// The family to learn.
    pub family: FactorFamily,
    /// The folder or prefix that the model is written to.
    pub out: String,
    /// Labelled impressions to stop early and calibrate by; by default the newest rows of `data`, or a sample of them.
    pub valid: Option<String>,
    /// Share of the unclicked rows to learn from, above 0 and up to 1; log-odds are corrected exactly.
    pub sample_negatives: f64,
    /// How the model keeps its weights.
    pub weights: WeightType,
    /// The same data, seed and settings give the same bytes.
    pub seed: u64,
}

impl TrainRequest {
    /// A request with the defaults of the command line.
    #[must_use]
    pub fn new(
        data: impl Into<String>,
        schema: impl Into<PathBuf>,
        family: FactorFamily,
        out: impl Into<String>,
    ) -> Self {
        Self {
            data: data.into(),
            schema: schema.into(),
            family,
            out: out.into(),
            valid: None,
            sample_negatives: 1.0,
            weights: WeightType::F32,
            seed: 1,
        }
    }
}

/// What was learned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainReport {
    /// Rows, held-out ones included.
    pub rows: u64,
    /// Wall time.
    pub seconds: f64,
    /// Rows of the data by the wall time.
    pub rows_per_second: f64,
    /// Where the model is.
    pub model: String,
    /// The model's SHA-256.
    pub id: String,
    /// The model's family.
    pub family: clickcast_model::Family,
    /// On the rows of `valid`, else on the rows held out; `None` if there were none.
    pub valid: Option<Evaluation>,
    /// The settings that were chosen, and why, one sentence each.
    pub notes: Vec<String>,
    /// The most memory that the process has held.
    pub peak_memory_bytes: Option<u64>,
}

/// Learns a model and writes it.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if the schema or the data is wrong, or nothing can be learned from it.
pub fn train(resources: &Resources, request: &TrainRequest, observer: &dyn Observer) -> Result<TrainReport, Error> {
    let _span = tracing::info_span!("learn", model = %request.out).entered();
    let start = Instant::now();
    let schema = read_schema(&request.schema)?;
    let data = Data::open(resources, &request.data)?;
    outputs::refuse_folder_of_the_input(&data, &request.out)?;
    let valid = request.valid.as_deref().map(|uri| Data::open(resources, uri)).transpose()?;
    let settings = Settings {
        family: request.family,
        seed: request.seed,
        threads: resources.threads(),
        sample_negatives: request.sample_negatives,
        weights: request.weights,
    };
    let model = learn(&data, valid.as_ref(), schema, &settings, observer)?;
    artifacts::save(resources, model.artifact(), &request.out)?;
    let manifest = model.artifact().manifest();
    let training = manifest.training.as_ref();
    let measured = match &valid {
        Some(valid) => evaluate::measure(&model, valid, None, None, observer)?.all.metrics(),
        None => training.and_then(|training| training.held_out.clone()),
    };
    let rows = training.map_or(0, |training| training.rows);
    let (seconds, rows_per_second) = pace(start, rows);
    Ok(TrainReport {
        rows,
        seconds,
        rows_per_second,
        model: request.out.clone(),
        id: model.artifact().id().to_owned(),
        family: manifest.family,
        valid: measured.map(Evaluation::whole),
        notes: training.map(|training| training.notes.clone()).unwrap_or_default(),
        peak_memory_bytes: peak_memory_bytes(),
    })
}

/// Learns a model from some data; `valid` tells when to stop.
pub(crate) fn learn(
    data: &Data,
    valid: Option<&Data>,
    schema: Schema,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<Model, Error> {
    let need = Need { labels: true, times: schema.time().is_some(), carried: Vec::new() };
    let valid_need = Need { times: false, ..need.clone() };
    let learned = {
        let passes = |data, need| Passes { data, schema: &schema, need, observer, progress: None };
        let mut source = passes(data, &need);
        let mut valid_source = valid.map(|data| passes(data, &valid_need));
        let valid_source = valid_source.as_mut().map(|source| source as &mut dyn Source<LearnError>);
        clickcast_learn::train(&mut source, valid_source, &schema, settings)
    };
    learned.map_err(|error| error.about(data.uri()))
}

/// Reads the files again and again.
struct Passes<'a> {
    data: &'a Data,
    schema: &'a Schema,
    need: &'a Need,
    observer: &'a dyn Observer,
    progress: Option<Progress<'a>>,
}

impl Source<LearnError> for Passes<'_> {
    fn begin(&mut self, phase: Phase) {
        let stage = match phase {
            Phase::Profile => "profile",
            Phase::Encode => "encode",
            Phase::Learn(_) => "learn",
        };
        // The last stage ends before the next begins.
        self.progress = None;
        self.progress = Some(Progress::rows(self.observer, stage, self.data.rows_total()));
    }

    fn pass(&mut self, each: &mut dyn FnMut(Batch) -> Result<(), LearnError>) -> Result<(), LearnError> {
        let progress = &self.progress;
        let whole = |batch: Batch| batch;
        self.data.scan(self.schema, self.need, whole, |step| {
            let ScanEvent::Rows(batch) = step else { return Ok(()) };
            let rows = batch.rows as u64;
            each(batch)?;
            if let Some(progress) = progress {
                progress.advance(rows).map_err(LearnError::Pass)?;
            }
            Ok(())
        })
    }
}

/// Why nothing was learned: only the learner's own errors do not name the data.
enum LearnError {
    Learner(clickcast_learn::Error),
    Pass(Error),
}

impl LearnError {
    fn about(self, uri: &str) -> Error {
        match self {
            Self::Learner(error) => Error::about(format!("`{uri}`"), error),
            Self::Pass(error) => error,
        }
    }
}

impl From<clickcast_learn::Error> for LearnError {
    fn from(error: clickcast_learn::Error) -> Self {
        Self::Learner(error)
    }
}

impl From<clickcast_dataset::Error> for LearnError {
    fn from(error: clickcast_dataset::Error) -> Self {
        Self::Pass(error.into())
    }
}
