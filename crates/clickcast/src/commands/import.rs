//! `clickcast import`: takes a model that another system learned.

use clickcast_model::Model;

use super::{Context, artifacts, data, read_schema};
use crate::arguments::{ImportArguments, ImportSource};
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, arguments: &ImportArguments) -> Result<(), Failure> {
    let ImportSource::Lightgbm = arguments.from;
    let schema = arguments.schema.as_deref().map(read_schema).transpose()?;
    let bytes = data::read_object(context, &arguments.file)?;
    let model = Model::from_lightgbm(bytes, schema.as_ref())
        .map_err(|error| Failure::input(format!("`{}`: {error}", arguments.file)))?;
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
