//! A model of any family: put together, stored, read back, and asked for probabilities.

use std::collections::BTreeMap;

use bytes::Bytes;
use clickcast_record::{Batch, Schema};

use crate::artifact::{Artifact, ModelManifest, Training};
use crate::calibration::Calibration;
use crate::encode::Encoder;
use crate::factor_model::FactorModel;
use crate::factors::Factors;
use crate::family_model::FamilyModel;
use crate::golden::{self, GOLDEN, Golden};
use crate::lightgbm::Imported;
use crate::profile::{PROFILE, Profile};
use crate::{Error, Family, Scratch, lightgbm};

/// A model ready to score, and the artifact it came from. Threads share it.
#[derive(Debug)]
pub struct Model {
    artifact: Artifact,
    family: Box<dyn FamilyModel>,
}

impl Model {
    /// Puts a model of a family together.
    pub(crate) fn new(
        manifest: ModelManifest,
        payloads: BTreeMap<String, Bytes>,
        family: impl FamilyModel + 'static,
    ) -> Self {
        Self { artifact: Artifact::new(manifest, payloads), family: Box::new(family) }
    }

    /// Makes a factor model of what was learned.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind) if the weights can't be stored.
    pub fn from_factors(
        schema: Schema,
        encoder: Encoder,
        factors: Factors,
        calibration: Calibration,
        training: Training,
    ) -> Result<Self, Error> {
        let family = factors.shape().family.into();
        let model = FactorModel::new(encoder, factors);
        let (parameters, payloads) = model.to_parts()?;
        Ok(Self::new(manifest(family, schema, Some(training), calibration, parameters), payloads, model))
    }

    /// Imports a model from LightGBM's text format. `schema` gives the label, ids and sides; its features must be the model's
    /// own, in any order.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::Kind), with the line, if the file is not a model of a click probability, and
    /// [`Kind::Invalid`](crate::Kind), with the feature, if the schema differs.
    pub fn from_lightgbm(text: Vec<u8>, schema: Option<&Schema>) -> Result<Self, Error> {
        let Imported { schema, parameters, payloads, forest } = lightgbm::import(text, schema)?;
        let manifest = manifest(Family::Lightgbm, schema, None, Calibration::Identity, parameters);
        Ok(Self::new(manifest, payloads, forest))
    }

    /// Reads a model from its verified artifact.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind).
    pub fn from_artifact(artifact: Artifact) -> Result<Self, Error> {
        let family = match artifact.manifest().family {
            Family::Lr | Family::Fm | Family::Ffm => FactorModel::load(&artifact)?,
            Family::Lightgbm => lightgbm::load(&artifact)?,
        };
        Ok(Self { artifact, family })
    }

    /// Adds the profile of what the model learned from to its artifact.
    #[must_use]
    pub fn with_profile(self, profile: &Profile) -> Self {
        // Numbers, strings and lists always serialize.
        let bytes = serde_json::to_vec(profile).unwrap_or_default();
        Self { artifact: self.artifact.with_payload(PROFILE, bytes), family: self.family }
    }

    /// Adds rows, and the model's predictions for them, to its artifact.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn with_golden(self, rows: golden::Rows) -> Result<Self, Error> {
        let mut scores = Vec::new();
        self.score(&rows.batch(), &mut Scratch::default(), &mut scores)?;
        // Numbers and strings always serialize.
        let bytes = serde_json::to_vec(&Golden { rows, scores }).unwrap_or_default();
        Ok(Self { artifact: self.artifact.with_payload(GOLDEN, bytes), family: self.family })
    }

    /// Returns the largest difference between the probabilities of the golden rows now and when the model was made, or `None`
    /// if it has no golden rows.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind) if they can't be read or scored.
    pub fn golden_difference(&self) -> Result<Option<f64>, Error> {
        if !self.artifact.manifest().payloads.contains_key(GOLDEN) {
            return Ok(None);
        }
        let damaged = |why: String| Error::damaged(format!("{GOLDEN} can't be read: {why}"));
        let golden: Golden =
            serde_json::from_slice(self.artifact.payload(GOLDEN)?).map_err(|error| damaged(error.to_string()))?;
        if !golden.rows.is_whole() {
            return Err(damaged("a feature lacks values".to_owned()));
        }
        let (batch, mut scores) = (golden.rows.batch(), Vec::new());
        self.score(&batch, &mut Scratch::default(), &mut scores).map_err(|error| damaged(error.to_string()))?;
        if scores.len() != golden.scores.len() {
            return Err(damaged("it lacks scores".to_owned()));
        }
        let difference = |(now, then): (&f64, &f64)| (now - then).abs();
        // A NaN differs from everything.
        let larger = |most: f64, next: f64| if next > most || next.is_nan() { next } else { most };
        Ok(Some(scores.iter().zip(&golden.scores).map(difference).fold(0.0, larger)))
    }

    /// Returns the profile of what the model learned from, or `None` if it was imported without one, or made before profiles
    /// were.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind) if it can't be read.
    pub fn profile(&self) -> Result<Option<Profile>, Error> {
        if !self.artifact.manifest().payloads.contains_key(PROFILE) {
            return Ok(None);
        }
        let profile = serde_json::from_slice(self.artifact.payload(PROFILE)?);
        profile.map(Some).map_err(|error| Error::damaged(format!("{PROFILE} can't be read: {error}")))
    }

    /// Returns the artifact to store.
    #[must_use]
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// Returns the features that the model takes, in order.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.artifact.manifest().schema
    }

    pub(crate) fn family(&self) -> &dyn FamilyModel {
        &*self.family
    }

    /// Predicts the click probability of each row.
    ///
    /// # Shapes
    /// `out` is overwritten with `batch.rows` numbers in `[0, 1]`.
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) if the batch was not bound to the model's schema.
    pub fn score(&self, batch: &Batch, scratch: &mut Scratch, out: &mut Vec<f64>) -> Result<(), Error> {
        self.family.log_odds(batch, scratch, out)?;
        self.artifact.manifest().calibration.apply(out);
        Ok(())
    }

    /// Returns how much each feature moves the score over a batch, in log-odds, by name; largest first. It is empty for
    /// families that do not tell.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn importance(&self, batch: &Batch) -> Result<Vec<(String, f64)>, Error> {
        let Some(importance) = self.family.importance(batch)? else { return Ok(Vec::new()) };
        let names = self.schema().features().iter().map(|feature| feature.name.clone());
        let mut moved: Vec<(String, f64)> = names.zip(importance).collect();
        moved.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(moved)
    }
}

/// Returns a manifest whose hashes and payloads are not filled in yet.
pub(crate) fn manifest(
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
