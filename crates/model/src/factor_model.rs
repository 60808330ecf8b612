//! Factor models as a family: batches are encoded to slots, whose weights are added.

use std::collections::BTreeMap;

use bytes::Bytes;
use clickcast_record::{Batch, Column};
use serde_json::json;

use crate::artifact::Artifact;
use crate::calibration::Calibration;
use crate::cross::{Arithmetic, Columns, Origin, Pairs, Products, unprepared};
use crate::encode::{Encoded, Encoder, Slots};
use crate::factors::Factors;
use crate::family_model::FamilyModel;
use crate::{Error, Scratch, tensor};

/// The payload.
const WEIGHTS: &str = "weights.safetensors";

/// An encoder and the weights of its slots.
#[derive(Debug)]
pub(crate) struct FactorModel {
    encoder: Encoder,
    factors: Factors,
}

impl FactorModel {
    pub(crate) fn new(encoder: Encoder, factors: Factors) -> Self {
        Self { encoder, factors }
    }

    /// Reads a model from its artifact.
    pub(crate) fn load(artifact: &Artifact) -> Result<Box<dyn FamilyModel>, Error> {
        let manifest = artifact.manifest();
        let tensors = tensor::from_bytes(artifact.payload(WEIGHTS)?)?;
        let encoder = Encoder::from_parts(&manifest.parameters["encoder"], &tensors)?;
        let factors = Factors::from_parts(&manifest.parameters["factors"], tensors, &encoder)?;
        let names = manifest.schema.features().iter().map(|feature| feature.name.as_str());
        if !names.eq((0..encoder.fields()).map(|field| encoder.name(field))) {
            return Err(Error::damaged("the schema and the encoder have different features"));
        }
        Ok(Box::new(Self { encoder, factors }))
    }

    /// Returns the manifest's parameters and the payloads.
    pub(crate) fn to_parts(&self) -> Result<(serde_json::Value, BTreeMap<String, Bytes>), Error> {
        let (encoding, mut tensors) = self.encoder.to_parts();
        let (weights, weight_tensors) = self.factors.to_parts();
        tensors.extend(weight_tensors);
        let parameters = json!({"encoder": encoding, "factors": weights});
        Ok((parameters, BTreeMap::from([(WEIGHTS.to_owned(), tensor::to_bytes(&tensors)?.into())])))
    }
}

impl FamilyModel for FactorModel {
    fn log_odds(&self, batch: &Batch, scratch: &mut Scratch, out: &mut Vec<f64>) -> Result<(), Error> {
        self.encoder.encode(batch, &mut scratch.encoded)?;
        self.factors.logits(&scratch.encoded, out);
        Ok(())
    }

    fn importance(&self, batch: &Batch) -> Result<Option<Vec<f64>>, Error> {
        let mut encoded = Encoded::default();
        self.encoder.encode(batch, &mut encoded)?;
        Ok(Some(self.factors.importance(&encoded)))
    }

    fn prepare(&self, features: &[usize], columns: &[Column]) -> Result<Columns, Error> {
        let encoded = features.iter().zip(columns).map(|(&field, column)| {
            let mut slots = Slots::One(Vec::new());
            self.encoder.encode_column(field, column, &mut slots).map(|()| slots)
        });
        Ok(Columns::Slots(encoded.collect::<Result<_, _>>()?))
    }

    fn log_odds_of(&self, columns: &Columns, rows: usize, _: &mut Scratch, out: &mut Vec<f64>) -> Result<(), Error> {
        let Columns::Slots(slots) = columns else { return Err(unprepared()) };
        self.factors.logits_of(slots, rows, out);
        Ok(())
    }

    fn pairs<'a>(
        &'a self,
        calibration: &'a Calibration,
        origins: &[Origin],
        constants: &Columns,
        arithmetic: Arithmetic,
    ) -> Result<Option<Box<dyn Pairs + 'a>>, Error> {
        let Columns::Slots(slots) = constants else { return Err(unprepared()) };
        if arithmetic == Arithmetic::AsRows {
            return Ok(None);
        }
        let products = Products::new(&self.factors, calibration, origins, slots);
        Ok(products.map(|products| Box::new(products) as Box<dyn Pairs>))
    }
}
