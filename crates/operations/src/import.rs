//! Takes a model that another system learned.

use std::path::PathBuf;

use clickcast_dataset::ScanEvent;
use clickcast_model::profile::Collector;
use clickcast_model::{Model, golden};
use clickcast_record::{Batch, Need};
use serde::Serialize;

use crate::data::{Data, read_object};
use crate::observer::Progress;
use crate::text::read_schema;
use crate::{Error, Observer, Resources, artifacts};

/// A system whose models can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// LightGBM's text format.
    Lightgbm,
}

/// What to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRequest {
    /// The system that wrote the file.
    pub format: Format,
    /// The model's file.
    pub file: String,
    /// A `features.toml` that names the label, the ids and the sides; its features must be the model's own.
    pub schema: Option<PathBuf>,
    /// The data that the model learned from: gives it a profile and golden rows, as a model learned here has.
    pub data: Option<String>,
    /// The folder or prefix that the model is written to.
    pub out: String,
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Where the model is.
    pub model: String,
    /// The model's SHA-256.
    pub id: String,
    /// The model's family.
    pub family: clickcast_model::Family,
    /// How many features it takes.
    pub features: usize,
    /// How many trees it has.
    pub trees: Option<u64>,
}

/// Imports a model and writes it as an artifact.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if the file is no such model, or does not fit the schema or the data.
pub fn import(resources: &Resources, request: &ImportRequest, observer: &dyn Observer) -> Result<ImportReport, Error> {
    let schema = request.schema.as_deref().map(read_schema).transpose()?;
    let bytes = read_object(resources, &request.file)?;
    let model = match request.format {
        Format::Lightgbm => Model::from_lightgbm(bytes, schema.as_ref()),
    };
    let model = model.map_err(|error| Error::about(format!("`{}`", request.file), error))?;
    let model = match &request.data {
        Some(uri) => described(model, &Data::open(resources, uri)?, observer)?,
        None => model,
    };
    artifacts::save(resources, model.artifact(), &request.out)?;
    let manifest = model.artifact().manifest();
    Ok(ImportReport {
        model: request.out.clone(),
        id: model.artifact().id().to_owned(),
        family: manifest.family,
        features: manifest.schema.features().len(),
        trees: manifest.parameters["trees"].as_u64(),
    })
}

/// Gives a model the profile of the data it learned from, and golden rows: a model that is learned here has both.
fn described(model: Model, data: &Data, observer: &dyn Observer) -> Result<Model, Error> {
    let schema = model.schema();
    let need = Need { labels: schema.label().is_some(), times: schema.time().is_some(), carried: Vec::new() };
    let progress = Progress::rows(observer, "profile", data.rows_total());
    let (mut collector, mut rows) = (Collector::new(schema.features()), golden::Rows::default());
    let whole = |batch: Batch| batch;
    data.scan(schema, &need, whole, |step| {
        let ScanEvent::Rows(batch) = step else { return Ok(()) };
        if rows.is_empty() {
            rows = golden::Rows::of(&batch);
        }
        collector.add(&batch);
        progress.advance(batch.rows as u64)
    })?;
    if rows.is_empty() {
        return Err(Error::invalid(format!("`{}` has no rows", data.uri())));
    }
    Ok(model.with_profile(&collector.profile()).with_golden(rows)?)
}
