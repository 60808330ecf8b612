//! Factor models: logistic regression, factorization machines and field-aware ones.

use std::ops::Range;

use clickcast_kernel::factors::{dot, ffm_directions, ffm_log_odds, fm_directions, fm_log_odds};
use serde::{Deserialize, Serialize};

use crate::encode::{Encoded, Encoder, Slots, value_of};
use crate::tensor::Tensor;
pub use crate::weights::WeightType;
use crate::weights::Weights;
use crate::{Error, Family};

const WEIGHTS: &str = "factors.weights";

/// The families of factor models, by which features interact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorFamily {
    /// Logistic regression: a weight a slot.
    Lr,
    /// Factorization machine: a weight and a vector a slot; each pair of fields adds an inner product.
    Fm,
    /// Field-aware factorization machine: a weight, and a vector for each other field.
    Ffm,
}

impl From<FactorFamily> for Family {
    fn from(family: FactorFamily) -> Self {
        match family {
            FactorFamily::Lr => Self::Lr,
            FactorFamily::Fm => Self::Fm,
            FactorFamily::Ffm => Self::Ffm,
        }
    }
}

/// Fails for families that are not factor models, and returns them.
impl TryFrom<Family> for FactorFamily {
    type Error = Family;

    fn try_from(family: Family) -> Result<Self, Family> {
        match family {
            Family::Lr => Ok(Self::Lr),
            Family::Fm => Ok(Self::Fm),
            Family::Ffm => Ok(Self::Ffm),
            other @ Family::Lightgbm => Err(other),
        }
    }
}

/// The shape of a factor model's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The family.
    pub family: FactorFamily,
    /// Length of a vector; 0 for logistic regression.
    pub k: usize,
    /// Number of fields.
    pub fields: usize,
}

/// A factor model's weights.
///
/// # Source
/// Rendle, "Factorization Machines", ICDM 2010; Juan et al., "Field-aware Factorization Machines for
/// CTR Prediction", RecSys 2016. Two slots of one field (a list's items) do not interact.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    shape: Shape,
    intercept: f32,
    /// `[slots, stride]`, row-major.
    weights: Weights,
}

impl Shape {
    /// Numbers a slot.
    #[must_use]
    pub fn stride(&self) -> usize {
        match self.family {
            FactorFamily::Lr => 1,
            FactorFamily::Fm => 1 + self.k,
            FactorFamily::Ffm => self.fields * self.k,
        }
    }

    /// Returns where in a slot of `field` its linear weight lies; in an FFM it takes the place of the vector
    /// that would meet the field itself.
    #[must_use]
    pub fn linear(&self, field: usize) -> usize {
        match self.family {
            FactorFamily::Lr | FactorFamily::Fm => 0,
            FactorFamily::Ffm => field * self.k,
        }
    }

    /// Returns a row's log-odds without the intercept.
    ///
    /// # Shapes
    /// `vectors`: `fields` slices of `stride`; `sum`: `stride`, overwritten.
    #[inline]
    #[must_use]
    pub fn log_odds(&self, vectors: &[&[f32]], sum: &mut [f32]) -> f32 {
        match self.family {
            FactorFamily::Lr => vectors.iter().map(|vector| vector[0]).sum(),
            FactorFamily::Fm => fm_log_odds(vectors, sum),
            FactorFamily::Ffm => ffm_log_odds(vectors, self.k),
        }
    }

    /// Builds what each field's vector is multiplied by, which is also its gradient's direction.
    ///
    /// # Shapes
    /// As [`Shape::log_odds`]; `directions`: `[fields, stride]`.
    pub fn directions(&self, vectors: &[&[f32]], sum: &mut [f32], directions: &mut [f32]) {
        match self.family {
            FactorFamily::Lr => directions.fill(1.0),
            FactorFamily::Fm => fm_directions(vectors, sum, directions),
            FactorFamily::Ffm => ffm_directions(vectors, self.k, directions),
        }
    }

    fn check(&self) -> Result<(), String> {
        let sound = match self.family {
            FactorFamily::Lr => self.k == 0,
            FactorFamily::Fm | FactorFamily::Ffm => (1..=256).contains(&self.k),
        };
        sound.then_some(()).ok_or_else(|| format!("vectors of length {} do not fit {:?}", self.k, self.family))
    }
}

/// Sums a row's slots of one field into one vector, each by its value.
pub fn sum_slots<'a>(slots: impl ExactSizeIterator<Item = &'a [f32]>, sum: &mut [f32]) {
    let value = value_of(slots.len());
    sum.fill(0.0);
    for slot in slots {
        for (total, weight) in sum.iter_mut().zip(slot) {
            *total += value * weight;
        }
    }
}

impl Factors {
    /// Returns a model of `[slots, stride]` weights, row-major.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind) where the weights are not of the encoder's shape or not finite.
    pub fn new(shape: Shape, intercept: f32, weights: Vec<f32>, encoder: &Encoder) -> Result<Self, Error> {
        Self::with_weights(shape, intercept, Weights::F32(weights.into()), encoder)
    }

    fn with_weights(shape: Shape, intercept: f32, weights: Weights, encoder: &Encoder) -> Result<Self, Error> {
        shape.check().map_err(Error::damaged)?;
        let expected = (encoder.slots() as usize).checked_mul(shape.stride());
        if shape.fields != encoder.fields() || Some(weights.len()) != expected {
            return Err(Error::damaged("the weights are not of the encoder's shape".to_owned()));
        }
        if !intercept.is_finite() || !weights.are_finite() {
            return Err(Error::damaged("a weight is not finite".to_owned()));
        }
        Ok(Self { shape, intercept, weights })
    }

    /// Returns the shape.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Adds to the log-odds of every record, as undoing a sampling of negatives does.
    pub fn shift(&mut self, log_odds: f32) {
        self.intercept += log_odds;
    }

    /// Returns the same model with its weights kept in another type, rounded to the nearest.
    #[must_use]
    pub fn into_type(self, to: WeightType) -> Self {
        Self { weights: self.weights.into_type(to), ..self }
    }

    /// Returns the weights of one slot.
    #[must_use]
    pub fn slot(&self, slot: u32) -> Vec<f32> {
        let mut room = vec![0.0; self.shape.stride()];
        self.weights.read(self.place(slot), &mut room).to_vec()
    }

    /// Returns where the weights of one slot are.
    #[inline]
    fn place(&self, slot: u32) -> Range<usize> {
        let stride = self.shape.stride();
        slot as usize * stride..(slot as usize + 1) * stride
    }

    /// Numbers that [`Factors::vectors`] needs room for: a stride for each column that isn't read in place.
    pub(crate) fn room(&self, columns: &[Slots]) -> usize {
        let in_place = |column: &Slots| matches!((column, &self.weights), (Slots::One(_), Weights::F32(_)));
        columns.iter().filter(|column| !in_place(column)).count() * self.shape.stride()
    }

    /// Computes the log-odds of every row, uncalibrated.
    ///
    /// # Panics
    /// If `encoded` is of another encoder.
    pub fn logits(&self, encoded: &Encoded, out: &mut Vec<f64>) {
        self.logits_of(&encoded.columns, encoded.rows, out);
    }

    /// As [`Factors::logits`], of one column a field.
    pub(crate) fn logits_of(&self, columns: &[Slots], rows: usize, out: &mut Vec<f64>) {
        out.clear();
        if self.shape.family == FactorFamily::Lr {
            let mut sums = vec![self.intercept; rows];
            for column in columns {
                self.add_linear(column, &mut sums);
            }
            out.extend(sums.iter().map(|&sum| f64::from(sum)));
            return;
        }
        let (mut room, mut sum) = (vec![0.0; self.room(columns)], vec![0.0; self.shape.stride()]);
        for row in 0..rows {
            self.fetch(columns, row + 1);
            let vectors = self.vectors(columns, row, &mut room);
            out.push(f64::from(self.intercept + self.shape.log_odds(&vectors, &mut sum)));
        }
    }

    /// Asks for a row's weights ahead of their use; they are far apart in a table larger than caches.
    #[inline]
    fn fetch(&self, columns: &[Slots], row: usize) {
        for column in columns {
            if let Slots::One(slots) = column
                && let Some(&slot) = slots.get(row)
            {
                self.weights.fetch(self.place(slot));
            }
        }
    }

    /// Returns how important each field is over these rows: the standard deviation of what it adds to the
    /// log-odds; an inner product counts half for either field.
    ///
    /// # Panics
    /// Where `encoded` is of another encoder.
    #[must_use]
    pub fn importance(&self, encoded: &Encoded) -> Vec<f64> {
        let (stride, fields) = (self.shape.stride(), self.shape.fields);
        let (mut room, mut sum) = (vec![0.0; self.room(&encoded.columns)], vec![0.0; stride]);
        let mut directions = vec![0.0; fields * stride];
        let mut moments = vec![(0.0f64, 0.0f64); fields];
        for row in 0..encoded.rows {
            let vectors = self.vectors(&encoded.columns, row, &mut room);
            self.shape.directions(&vectors, &mut sum, &mut directions);
            let rows = vectors.iter().zip(directions.chunks_exact(stride));
            for (field, (vector, direction)) in rows.enumerate() {
                let part = f64::from(0.5 * (dot(vector, direction) + vector[self.shape.linear(field)]));
                moments[field].0 += part;
                moments[field].1 += part * part;
            }
        }
        let rows = encoded.rows.max(1) as f64;
        moments.iter().map(|(sum, squares)| (squares / rows - (sum / rows).powi(2)).max(0.0).sqrt()).collect()
    }

    fn add_linear(&self, column: &Slots, sums: &mut [f32]) {
        match column {
            Slots::One(slots) => {
                for (sum, &slot) in sums.iter_mut().zip(slots) {
                    *sum += self.weights.get(slot as usize);
                }
            }
            Slots::Many { .. } => {
                for (row, sum) in sums.iter_mut().enumerate() {
                    let slots = column.row(row);
                    let total: f32 = slots.iter().map(|&slot| self.weights.get(slot as usize)).sum();
                    *sum += total * value_of(slots.len());
                }
            }
        }
    }

    /// Returns what is added to the log-odds of every record.
    pub(crate) fn intercept(&self) -> f32 {
        self.intercept
    }

    /// Returns each column's vector in one row; `room` is at least as long as [`Factors::room`] says.
    #[inline]
    pub(crate) fn vectors<'a>(&'a self, columns: &[Slots], row: usize, room: &'a mut [f32]) -> Vec<&'a [f32]> {
        let stride = self.shape.stride();
        let mut free = room.chunks_exact_mut(stride);
        let mut vectors = Vec::with_capacity(columns.len());
        for column in columns {
            match (column.row(row), &self.weights) {
                (&[slot], Weights::F32(weights)) => vectors.push(&weights[self.place(slot)]),
                (slots, weights) => {
                    let Some(vector) = free.next() else { continue };
                    match slots {
                        &[slot] => drop(weights.read(self.place(slot), vector)),
                        slots => {
                            let slots: Vec<Vec<f32>> = slots.iter().map(|&slot| self.slot(slot)).collect();
                            sum_slots(slots.iter().map(Vec::as_slice), vector);
                        }
                    }
                    vectors.push(vector);
                }
            }
        }
        vectors
    }
}

/// What `to_parts` puts in the model's description.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    family: FactorFamily,
    k: usize,
    intercept: f32,
}

impl Factors {
    /// Returns the model as a JSON description and tensors, for the artifact.
    #[must_use]
    pub fn to_parts(&self) -> (serde_json::Value, Vec<Tensor>) {
        let part = Part { family: self.shape.family, k: self.shape.k, intercept: self.intercept };
        let weights = Tensor { name: WEIGHTS.to_owned(), values: self.weights.to_values() };
        (serde_json::json!(part), vec![weights])
    }

    /// Reads what [`Factors::to_parts`] gave.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind) for anything else, and for a model of another encoder's shape.
    pub fn from_parts(description: &serde_json::Value, tensors: Vec<Tensor>, encoder: &Encoder) -> Result<Self, Error> {
        let part: Part = Deserialize::deserialize(description)
            .map_err(|error| Error::damaged(format!("the factors are not readable: {error}")))?;
        let weights = tensors.into_iter().find(|tensor| tensor.name == WEIGHTS).map(|tensor| tensor.values);
        let Some(weights) = weights.and_then(Weights::from_values) else {
            return Err(Error::damaged("the factors lack their weights".to_owned()));
        };
        let shape = Shape { family: part.family, k: part.k, fields: encoder.fields() };
        Self::with_weights(shape, part.intercept, weights, encoder)
    }
}

#[cfg(test)]
mod tests;
