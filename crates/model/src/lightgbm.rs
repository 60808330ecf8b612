//! Models imported from LightGBM: their artifacts hold the text file as it was.

use std::collections::BTreeMap;

use bytes::Bytes;
use clickcast_record::{Feature, Kind, Schema, Side};
use serde_json::json;

use crate::Error;
use crate::artifact::Artifact;
use crate::family_model::FamilyModel;
use crate::forest::Forest;
use crate::trees::{self, Ensemble, FeatureKind, lightgbm};

/// The payload: the file as it was.
const LIGHTGBM: &str = "lightgbm.txt";

/// A model that was imported, before it is an artifact.
pub(crate) struct Imported {
    pub(crate) schema: Schema,
    /// The manifest's parameters.
    pub(crate) parameters: serde_json::Value,
    pub(crate) payloads: BTreeMap<String, Bytes>,
    pub(crate) forest: Forest,
}

/// Reads a model file; see [`Model::from_lightgbm`](crate::Model::from_lightgbm).
pub(crate) fn import(text: Vec<u8>, schema: Option<&Schema>) -> Result<Imported, Error> {
    let ensemble = lightgbm::parse(&text).map_err(|error| Error::unsupported(error.to_string()))?;
    let own = lightgbm_schema(&ensemble)?;
    let schema = schema.map_or(Ok(own.clone()), |given| adopt(&own, given, &ensemble))?;
    let parameters = json!({"trees": ensemble.trees().len()});
    let payloads = BTreeMap::from([(LIGHTGBM.to_owned(), text.into())]);
    Ok(Imported { schema, parameters, payloads, forest: Forest::new(ensemble) })
}

/// Reads an imported model from its artifact.
pub(crate) fn load(artifact: &Artifact) -> Result<Box<dyn FamilyModel>, Error> {
    let ensemble = lightgbm::parse(artifact.payload(LIGHTGBM)?).map_err(Error::damaged)?;
    let names = artifact.manifest().schema.features().iter().map(|feature| lightgbm_name(&feature.name));
    if !names.eq(ensemble.features().iter().map(|feature| feature.name.as_str())) {
        return Err(Error::damaged("the schema and the ensemble have different features"));
    }
    Ok(Box::new(Forest::new(ensemble)))
}

/// Returns the schema that the model file itself implies.
fn lightgbm_schema(ensemble: &Ensemble) -> Result<Schema, Error> {
    let kind = |feature: &trees::Feature| match (feature.kind, &feature.categories) {
        (FeatureKind::Categorical, _) | (_, Some(_)) => Kind::Categorical,
        _ => Kind::Numeric,
    };
    let features = ensemble.features().iter();
    let features = features.map(|feature| Feature::new(feature.name.clone(), kind(feature), Side::Context));
    Schema::new(features.collect()).map_err(|error| Error::invalid(error.to_string()))
}

/// Returns a column's name as LightGBM writes it.
fn lightgbm_name(name: &str) -> String {
    name.replace(' ', "_")
}

/// Returns the model's features with the roles, sides and names of a schema given beside it.
fn adopt(own: &Schema, given: &Schema, ensemble: &Ensemble) -> Result<Schema, Error> {
    let unused = ensemble.features().iter().filter(|feature| feature.kind == FeatureKind::Unused);
    let unused: Vec<&str> = unused.map(|feature| feature.name.as_str()).collect();
    let mut features = Vec::new();
    for feature in own.features() {
        let same = |candidate: &&Feature| lightgbm_name(&candidate.name) == feature.name;
        let Some(found) = given.features().iter().find(same) else {
            return Err(Error::invalid(format!("the model's feature `{}` is not in the schema", feature.name)));
        };
        // A column that was constant in training has no kind of its own: the schema decides.
        let kind = if unused.contains(&feature.name.as_str()) { found.kind } else { feature.kind };
        features.push(Feature { kind, ..found.clone() });
    }
    if let Some(extra) = given
        .features()
        .iter()
        .find(|feature| !own.features().iter().any(|own| own.name == lightgbm_name(&feature.name)))
    {
        return Err(Error::invalid(format!("the schema's feature `{}` is not in the model; take it out", extra.name)));
    }
    let schema = Schema::new(features).and_then(|schema| schema.with_roles(given.roles()));
    schema.map_err(|error| Error::invalid(error.to_string()))
}
