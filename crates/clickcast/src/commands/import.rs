//! `clickcast import`: takes a model that another system learned.

use clickcast_dataset::Step;
use clickcast_model::profile::Collector;
use clickcast_model::{Model, golden};
use clickcast_record::{Batch, Need};

use super::data::Data;
use super::{Context, artifacts, data, read_schema};
use crate::arguments::{ImportArguments, ImportSource};
use crate::console;
use crate::failure::Failure;
use crate::progress::Progress;

pub(super) fn run(context: &Context, arguments: &ImportArguments) -> Result<(), Failure> {
    let ImportSource::Lightgbm = arguments.from;
    let schema = arguments.schema.as_deref().map(read_schema).transpose()?;
    let bytes = data::read_object(context, &arguments.file)?;
    let model = Model::from_lightgbm(bytes, schema.as_ref())
        .map_err(|error| Failure::input(format!("`{}`: {error}", arguments.file)))?;
    let model = match &arguments.data {
        Some(uri) => described(context, model, uri)?,
        None => model,
    };
    artifacts::save(context, model.artifact(), &arguments.out)?;
    let manifest = model.artifact().manifest();
    console::result(
        &serde_json::json!({
            "model": arguments.out,
            "id": model.artifact().id(),
            "family": manifest.family,
            "features": manifest.schema.features().len(),
            "trees": manifest.parameters["trees"],
        }),
        context.json,
    )
}

/// The model with the profile of what it learned from, and with golden rows: what a model that is learned here has by itself.
fn described(context: &Context, model: Model, uri: &str) -> Result<Model, Failure> {
    let data = Data::open(context, uri)?;
    let schema = model.schema();
    let need = Need { labels: schema.label().is_some(), times: schema.time().is_some(), carried: Vec::new() };
    let progress = Progress::new("profile", data.rows_total(), context.quiet);
    let (mut collector, mut rows) = (Collector::new(schema.features()), golden::Rows::default());
    let whole = |batch: Batch| batch;
    data.scan(context, schema, &need, whole, |step| {
        let Step::Rows(batch) = step else { return Ok(()) };
        if rows.is_empty() {
            rows = golden::Rows::of(&batch);
        }
        collector.add(&batch);
        progress.add(batch.rows as u64);
        Ok(())
    })?;
    if rows.is_empty() {
        return Err(Failure::input(format!("`{uri}` has no rows")));
    }
    model.with_profile(&collector.profile()).with_golden(rows).map_err(Failure::input)
}
