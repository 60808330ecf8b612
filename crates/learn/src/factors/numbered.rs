//! Rows as the first pass leaves them: a category is hashed and looked up once, and is a number from then on.

use clickcast_model::encode::{Encoded, Encoder, Slots};
use clickcast_record::{Batch, Column, Time};

use crate::Error;

/// What is known about rows besides their features.
#[derive(Debug, Clone)]
pub(crate) struct Outcomes {
    pub(crate) labels: Vec<bool>,
    pub(crate) weights: Option<Vec<f32>>,
    pub(crate) times: Option<Vec<Time>>,
}

/// A batch whose categories are numbers.
#[derive(Debug, Clone)]
pub(crate) struct Numbered {
    pub(crate) rows: usize,
    pub(crate) outcomes: Outcomes,
    columns: Vec<Values>,
}

#[derive(Debug, Clone)]
enum Values {
    /// Quantities, as they came.
    Column(Column),
    /// Numbers in the place of slots; 0 is missing.
    Numbers(Slots),
}

/// The slot of each number, field by field; of fields of quantities none.
pub(crate) type Places = Vec<Vec<u32>>;

impl Outcomes {
    /// Takes the outcomes of a batch.
    pub(crate) fn of(batch: &Batch) -> Result<Self, Error> {
        let labels = batch.labels.clone().ok_or(Error::NoLabels)?;
        Ok(Self { labels, weights: batch.weights.clone(), times: batch.times.clone() })
    }
}

impl Numbered {
    /// Takes a batch and the numbers of its columns of categories.
    pub(crate) fn new(batch: Batch, numbers: Vec<Option<Slots>>) -> Result<Self, Error> {
        let outcomes = Outcomes::of(&batch)?;
        let columns = batch.features.into_iter().zip(numbers).map(|(column, numbers)| match (numbers, column) {
            (Some(numbers), _) => Values::Numbers(numbers),
            (None, Column::Numeric(values)) => Values::Column(Column::Numeric(values.narrowed())),
            (None, column) => Values::Column(column),
        });
        Ok(Self { rows: batch.rows, outcomes, columns: columns.collect() })
    }

    /// As the encoder would have encoded the batch, in the memory of the numbers.
    pub(crate) fn into_encoded(self, encoder: &Encoder, places: &Places) -> Result<(Encoded, Outcomes), Error> {
        let columns = self.columns.into_iter().enumerate().map(|(field, values)| match values {
            Values::Numbers(mut numbers) => {
                let (Slots::One(slots) | Slots::Many { slots, .. }) = &mut numbers;
                slots.iter_mut().for_each(|number| *number = places[field][*number as usize]);
                Ok(numbers)
            }
            Values::Column(column) => {
                let mut slots = Slots::One(Vec::new());
                encoder.encode_column(field, &column, &mut slots).map(|()| slots)
            }
        });
        Ok((Encoded { rows: self.rows, columns: columns.collect::<Result<_, _>>()? }, self.outcomes))
    }

    /// Returns about the bytes that the rows take in memory.
    pub(crate) fn bytes(&self) -> usize {
        let column = |values: &Values| match values {
            Values::Numbers(Slots::One(numbers)) => size_of_val(numbers.as_slice()),
            Values::Numbers(Slots::Many { offsets, slots }) => {
                size_of_val(offsets.as_slice()) + size_of_val(slots.as_slice())
            }
            Values::Column(column) => column.bytes(),
        };
        // A label, a weight and a time.
        self.columns.iter().map(column).sum::<usize>() + self.rows * 13
    }
}
