//! A model of any family: put together, stored, read back, and asked for probabilities.

use std::collections::BTreeMap;

use clickcast_record::{Batch, Feature, Kind, Schema, Side};
use serde_json::json;

use crate::artifact::{Artifact, ModelManifest, Training};
use crate::calibration::Calibration;
use crate::encode::{Encoded, Encoder};
use crate::factors::Factors;
use crate::forest::{Forest, ForestScratch};
use crate::golden::{self, GOLDEN, Golden};
use crate::profile::{PROFILE, Profile};
use crate::tensor;
use crate::trees::{Ensemble, FeatureKind};
use crate::{Error, Family};

/// Payload of factor models.
const WEIGHTS: &str = "weights.safetensors";
/// Payload of imported LightGBM models: the file as it was.
const LIGHTGBM: &str = "lightgbm.txt";

/// A model ready to score, and the artifact it came from. Shared by threads.
#[derive(Debug)]
pub struct Model {
    artifact: Artifact,
    predictor: Predictor,
}

/// What a model scores with.
#[derive(Debug)]
pub(crate) enum Predictor {
    Factors { encoder: Box<Encoder>, factors: Factors },
    Trees(Box<Forest>),
}

/// What scoring keeps between batches, so that its large buffers are allocated once; one for each thread.
#[derive(Debug, Default)]
pub struct Scratch {
    encoded: Encoded,
    forest: ForestScratch,
}

impl Model {
    /// A factor model, as it was learned.
    ///
    /// # Errors
    /// [`Error::Unfit`] where the schema's features are not the encoder's fields.
    pub fn from_factors(
        schema: Schema,
        encoder: Encoder,
        factors: Factors,
        calibration: Calibration,
        training: Training,
    ) -> Result<Self, Error> {
        let ((encoding, mut tensors), (weights, weight_tensors)) = (encoder.to_parts(), factors.to_parts());
        tensors.extend(weight_tensors);
        let family = factors.shape().family.into();
        let parameters = json!({"encoder": encoding, "factors": weights});
        let manifest = manifest(family, schema, Some(training), calibration, parameters);
        let payloads = BTreeMap::from([(WEIGHTS.to_owned(), tensor::to_bytes(&tensors)?.into())]);
        let predictor = Predictor::Factors { encoder: Box::new(encoder), factors };
        Ok(Self { artifact: Artifact::new(manifest, payloads), predictor })
    }

    /// A model from LightGBM's text format. `schema` gives the label, ids and sides; its features
    /// must be the model's own, in any order.
    ///
    /// # Errors
    /// [`Error::Unfit`] with the line for a file that is no model of a click probability, and with
    /// the feature where the schema differs.
    pub fn from_lightgbm(text: Vec<u8>, schema: Option<&Schema>) -> Result<Self, Error> {
        let ensemble = Ensemble::parse(&text).map_err(|error| Error::Unfit(error.to_string()))?;
        let own = lightgbm_schema(&ensemble)?;
        let schema = schema.map_or(Ok(own.clone()), |given| adopt(&own, given, &ensemble))?;
        let parameters = json!({"trees": ensemble.trees().len()});
        let manifest = manifest(Family::Lightgbm, schema, None, Calibration::Identity, parameters);
        let predictor = Predictor::Trees(Box::new(Forest::new(ensemble)));
        let payloads = BTreeMap::from([(LIGHTGBM.to_owned(), text.into())]);
        Ok(Self { artifact: Artifact::new(manifest, payloads), predictor })
    }

    /// The same model with the profile of what it learned from, which its artifact then holds.
    #[must_use]
    pub fn with_profile(self, profile: &Profile) -> Self {
        // A profile is numbers, strings and lists: nothing in it can fail to print.
        let bytes = serde_json::to_vec(profile).unwrap_or_default();
        Self { artifact: self.artifact.with_payload(PROFILE, bytes), predictor: self.predictor }
    }

    /// The same model with these rows and what it says of them, which its artifact then holds.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn with_golden(self, rows: golden::Rows) -> Result<Self, Error> {
        let mut scores = Vec::new();
        self.score(&rows.batch(), &mut Scratch::default(), &mut scores)?;
        // Numbers and strings: nothing in it can fail to print.
        let bytes = serde_json::to_vec(&Golden { rows, scores }).unwrap_or_default();
        Ok(Self { artifact: self.artifact.with_payload(GOLDEN, bytes), predictor: self.predictor })
    }

    /// How far the model is from what it said of its golden rows when it was made: the largest difference of two
    /// probabilities. None where it has no such rows.
    ///
    /// # Errors
    /// [`Error::Damaged`] where they can't be read, or scored any more.
    pub fn golden_difference(&self) -> Result<Option<f64>, Error> {
        if !self.artifact.manifest().payloads.contains_key(GOLDEN) {
            return Ok(None);
        }
        let damaged = |why: String| Error::Damaged(format!("{GOLDEN} can't be read: {why}"));
        let golden: Golden =
            serde_json::from_slice(self.artifact.payload(GOLDEN)?).map_err(|error| damaged(error.to_string()))?;
        if !golden.rows.is_whole() {
            return Err(damaged("a feature lacks values".to_owned()));
        }
        let (batch, mut scores) = (golden.rows.batch(), Vec::new());
        self.score(&batch, &mut Scratch::default(), &mut scores).map_err(|error| damaged(error.to_string()))?;
        if scores.len() != golden.scores.len() {
            return Err(damaged("it has not one score a row".to_owned()));
        }
        let difference = |(now, then): (&f64, &f64)| (now - then).abs();
        // A NaN differs from everything.
        let larger = |most: f64, next: f64| if next > most || next.is_nan() { next } else { most };
        Ok(Some(scores.iter().zip(&golden.scores).map(difference).fold(0.0, larger)))
    }

    /// The profile of what it learned from; none in models that were imported, or made before profiles were.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it can't be read.
    pub fn profile(&self) -> Result<Option<Profile>, Error> {
        if !self.artifact.manifest().payloads.contains_key(PROFILE) {
            return Ok(None);
        }
        let profile = serde_json::from_slice(self.artifact.payload(PROFILE)?);
        profile.map(Some).map_err(|error| Error::Damaged(format!("{PROFILE} can't be read: {error}")))
    }

    /// A model from its verified artifact.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn from_artifact(artifact: Artifact) -> Result<Self, Error> {
        let manifest = artifact.manifest();
        let predictor = match manifest.family {
            Family::Lr | Family::Fm | Family::Ffm => {
                let tensors = tensor::from_bytes(artifact.payload(WEIGHTS)?)?;
                let encoder = Encoder::from_parts(&manifest.parameters["encoder"], &tensors)?;
                let factors = Factors::from_parts(&manifest.parameters["factors"], tensors, &encoder)?;
                let names = manifest.schema.features().iter().map(|feature| feature.name.as_str());
                if !names.eq((0..encoder.fields()).map(|field| encoder.name(field))) {
                    return Err(Error::Damaged("the schema and the encoder have different features".to_owned()));
                }
                Predictor::Factors { encoder: Box::new(encoder), factors }
            }
            Family::Lightgbm => {
                let ensemble = Ensemble::parse(artifact.payload(LIGHTGBM)?);
                let ensemble = ensemble.map_err(|error| Error::Damaged(error.to_string()))?;
                let names = manifest.schema.features().iter().map(|feature| lightgbm_name(&feature.name));
                if !names.eq(ensemble.features().iter().map(|feature| feature.name.as_str())) {
                    return Err(Error::Damaged("the schema and the ensemble have different features".to_owned()));
                }
                Predictor::Trees(Box::new(Forest::new(ensemble)))
            }
        };
        Ok(Self { artifact, predictor })
    }

    /// The artifact to store.
    #[must_use]
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// The features the model takes, in order.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.artifact.manifest().schema
    }

    pub(crate) fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// Predicts the click probability of each row.
    ///
    /// # Shapes
    /// `out` is overwritten with `batch.rows` numbers in `[0, 1]`.
    /// # Errors
    /// [`Error::Unfit`] where the batch was not bound to the model's schema.
    pub fn score(&self, batch: &Batch, scratch: &mut Scratch, out: &mut Vec<f64>) -> Result<(), Error> {
        match &self.predictor {
            Predictor::Factors { encoder, factors } => {
                encoder.encode(batch, &mut scratch.encoded)?;
                factors.logits(&scratch.encoded, out);
                let calibration = &self.artifact.manifest().calibration;
                out.iter_mut().for_each(|value| *value = calibration.probability(*value));
                Ok(())
            }
            Predictor::Trees(forest) => forest.score(batch, &mut scratch.forest, out),
        }
    }

    /// How much each feature moves the score over a batch, in log-odds, by name; largest first.
    /// Empty for families that don't tell.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn importance(&self, batch: &Batch) -> Result<Vec<(String, f64)>, Error> {
        let Predictor::Factors { encoder, factors } = &self.predictor else { return Ok(Vec::new()) };
        let mut encoded = Encoded::default();
        encoder.encode(batch, &mut encoded)?;
        let names = self.schema().features().iter().map(|feature| feature.name.clone());
        let mut moved: Vec<(String, f64)> = names.zip(factors.importance(&encoded)).collect();
        moved.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(moved)
    }
}

fn manifest(
    family: Family,
    schema: Schema,
    training: Option<Training>,
    calibration: Calibration,
    parameters: serde_json::Value,
) -> ModelManifest {
    ModelManifest {
        format: 0,
        family,
        schema_hash: String::new(),
        schema,
        training,
        calibration,
        parameters,
        payloads: BTreeMap::new(),
        sha256: String::new(),
    }
}

/// The schema that the model file itself tells.
fn lightgbm_schema(ensemble: &Ensemble) -> Result<Schema, Error> {
    let kind = |feature: &crate::trees::Feature| match (feature.kind, &feature.categories) {
        (FeatureKind::Categorical, _) | (_, Some(_)) => Kind::Categorical,
        _ => Kind::Numeric,
    };
    let features = ensemble.features().iter();
    let features = features.map(|feature| Feature::new(feature.name.clone(), kind(feature), Side::Context));
    Schema::new(features.collect()).map_err(|error| Error::Unfit(error.to_string()))
}

/// A column's name as LightGBM writes it.
fn lightgbm_name(name: &str) -> String {
    name.replace(' ', "_")
}

/// The model's features with the roles, sides and names of a schema given beside it.
fn adopt(own: &Schema, given: &Schema, ensemble: &Ensemble) -> Result<Schema, Error> {
    let unused = ensemble.features().iter().filter(|feature| feature.kind == FeatureKind::Unused);
    let unused: Vec<&str> = unused.map(|feature| feature.name.as_str()).collect();
    let mut features = Vec::new();
    for feature in own.features() {
        let same = |candidate: &&Feature| lightgbm_name(&candidate.name) == feature.name;
        let Some(found) = given.features().iter().find(same) else {
            return Err(Error::Unfit(format!("the model's feature `{}` is not in the schema", feature.name)));
        };
        // A column that was constant in training has no kind of its own: it is what the schema says.
        let kind = if unused.contains(&feature.name.as_str()) { found.kind } else { feature.kind };
        features.push(Feature { kind, ..found.clone() });
    }
    if let Some(extra) = given
        .features()
        .iter()
        .find(|feature| !own.features().iter().any(|own| own.name == lightgbm_name(&feature.name)))
    {
        return Err(Error::Unfit(format!("the schema's feature `{}` is not in the model; take it out", extra.name)));
    }
    let schema = Schema::new(features).and_then(|schema| schema.with_roles(given.roles()));
    schema.map_err(|error| Error::Unfit(error.to_string()))
}
