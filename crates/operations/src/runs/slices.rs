//! Scores by the values of carried columns that have few.

use std::collections::{BTreeMap, HashMap};

use arrow_array::{Array, StringArray};
use clickcast_model::scores::Scores;
use clickcast_record::Numeric;

/// A column of more distinct values tells rows apart, and is no slice.
const VALUES_MAX: usize = 64;

/// Of each column by name the scores of each value; none of one that has too many.
#[derive(Default)]
pub(super) struct Slices(BTreeMap<String, Option<HashMap<String, Scores>>>);

impl Slices {
    /// Takes the rows of a batch: `texts` are the columns' values.
    pub(super) fn add(&mut self, columns: &[String], texts: &[StringArray], scores: &Numeric) {
        for (name, texts) in columns.iter().zip(texts) {
            let column = self.0.entry(name.clone()).or_insert_with(|| Some(HashMap::new()));
            for row in 0..texts.len() {
                let Some(values) = column else { break };
                // A missing value is the business of the gate.
                if texts.is_null(row) {
                    continue;
                }
                let (value, score) = (texts.value(row), scores.get(row));
                if let Some(slice) = values.get_mut(value) {
                    slice.add(score);
                } else if values.len() < VALUES_MAX {
                    values.entry(value.to_owned()).or_default().add(score);
                } else {
                    *column = None;
                }
            }
        }
    }

    /// The scores of each value, such as `country = de`.
    pub(super) fn scores(self) -> BTreeMap<String, Scores> {
        let values = |(name, values): (String, Option<HashMap<String, Scores>>)| {
            values.into_iter().flatten().map(move |(value, scores)| (format!("{name} = {value}"), scores))
        };
        self.0.into_iter().flat_map(values).collect()
    }
}
