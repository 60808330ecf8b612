//! Two models on one batch: whose columns each of them takes.

use clickcast_model::Model;
use clickcast_record::{Batch, Error, Feature, Schema};

/// The columns of a batch that a model takes, in its order; none where it takes the batch as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View(Option<Vec<usize>>);

impl View {
    /// How `model` sees batches of a schema that has all its features.
    pub(crate) fn new(model: &Model, schema: &Schema) -> Option<Self> {
        let own = model.schema().features();
        let place = |feature: &Feature| {
            schema.features().iter().position(|other| other.name == feature.name && other.kind == feature.kind)
        };
        let places: Vec<usize> = own.iter().map(place).collect::<Option<_>>()?;
        let same = places.iter().copied().eq(0..schema.features().len());
        Some(Self((!same).then_some(places)))
    }

    /// The batch as the model takes it.
    pub(crate) fn of(&self, batch: &Batch) -> Batch {
        let features = match &self.0 {
            Some(places) => places.iter().map(|&place| batch.features[place].clone()).collect(),
            None => batch.features.clone(),
        };
        Batch {
            rows: batch.rows,
            first_row: batch.first_row,
            features,
            labels: None,
            weights: None,
            times: None,
            carried: Vec::new(),
        }
    }
}

/// The schema to read data by, so that both models can score it: the candidate's, with what the champion takes beside.
///
/// # Errors
/// A sentence that says why the champion can't score what the candidate does: a column is of another kind to it, or the
/// data to judge by doesn't have it (`has`).
pub fn reading_schema(
    candidate: &Model,
    champion: Option<&Model>,
    has: impl Fn(&str) -> bool,
) -> Result<Schema, String> {
    let own = candidate.schema();
    let Some(champion) = champion else { return Ok(own.clone()) };
    let mut features = own.features().to_vec();
    for feature in champion.schema().features() {
        match features.iter().find(|known| known.name == feature.name) {
            Some(known) if known.kind != feature.kind => {
                return Err(format!(
                    "it takes column `{}` as {:?}, and the candidate as {:?}",
                    feature.name, feature.kind, known.kind
                )
                .to_lowercase());
            }
            Some(_) => {}
            None if has(&feature.name) => features.push(feature.clone()),
            None => return Err(format!("it needs column `{}`, which the data no longer has", feature.name)),
        }
    }
    // A column that was the label and is a feature now can't be both.
    let roles = |schema: Schema| schema.with_roles(own.roles());
    Schema::new(features).and_then(roles).map_err(|error: Error| error.to_string())
}
