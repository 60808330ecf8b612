//! A tree ensemble fed by batches: columns become what its splits compare.

use std::collections::HashMap;

use clickcast_record::{Batch, Categorical, Categories, Category, Column, Numeric};

use crate::Error;
use crate::trees::{Ensemble, FeatureKind, Plan, Scratch, TreeColumn};

/// An ensemble and its compiled plan.
#[derive(Debug)]
pub(crate) struct Forest {
    ensemble: Ensemble,
    plan: Plan,
    /// For each feature, the places of its DataFrame categories; none where numbers are fed.
    places: Vec<Option<Places>>,
}

/// The place of each category in the list that the model has.
#[derive(Debug)]
struct Places {
    of_text: HashMap<String, f64>,
    /// Of those whose text is an integer's: a column of integers is then looked up without writing each as text.
    of_integer: HashMap<i64, f64>,
}

/// What scoring keeps between batches.
#[derive(Debug, Default)]
pub(crate) struct ForestScratch {
    plan: Scratch,
}

/// One feature's values, converted where the batch does not hold them as the plan takes them.
enum Values<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    Converted(Vec<f64>),
    Coded { codes: &'a [u32], values: Vec<f64> },
    Missing,
}

impl Forest {
    pub(crate) fn new(ensemble: Ensemble) -> Self {
        let plan = Plan::new(&ensemble);
        let places = |feature: &crate::trees::Feature| {
            let known = feature.categories.as_ref()?.iter().enumerate();
            Some(Places::new(known.map(|(place, category)| (category.text(), place as f64)).collect()))
        };
        let places = ensemble.features().iter().map(places).collect();
        Self { ensemble, plan, places }
    }

    pub(crate) fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// What the trees compare of one feature: one number a row, NaN where missing.
    pub(crate) fn numbers(&self, feature: usize, column: &Column) -> Result<Vec<f64>, Error> {
        let rows = match column {
            Column::Numeric(values) => values.len(),
            Column::Categorical(values) => values.len(),
            Column::Multi(lists) => lists.offsets.len() - 1,
        };
        Ok(match values(&self.ensemble.features()[feature], self.places[feature].as_ref(), column)? {
            Values::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Values::F64(values) => values.to_vec(),
            Values::Converted(values) => values,
            Values::Coded { codes, values } => codes.iter().map(|&code| values[code as usize]).collect(),
            Values::Missing => vec![f64::NAN; rows],
        })
    }

    /// Predicts the click probability of each row; bit-equal to the scalar oracle.
    pub(crate) fn score(&self, batch: &Batch, scratch: &mut ForestScratch, out: &mut Vec<f64>) -> Result<(), Error> {
        if batch.features.len() != self.ensemble.features().len() {
            return Err(Error::Unfit(format!(
                "the batch has {} features, the model {}",
                batch.features.len(),
                self.ensemble.features().len()
            )));
        }
        let values: Vec<Values<'_>> = self
            .ensemble
            .features()
            .iter()
            .zip(&self.places)
            .zip(&batch.features)
            .map(|((feature, places), column)| values(feature, places.as_ref(), column))
            .collect::<Result<_, _>>()?;
        let columns: Vec<TreeColumn<'_>> = values
            .iter()
            .map(|values| match values {
                Values::F32(values) => TreeColumn::F32(values),
                Values::F64(values) => TreeColumn::F64(values),
                Values::Converted(values) => TreeColumn::F64(values),
                Values::Coded { codes, values } => TreeColumn::Coded { codes, values },
                Values::Missing => TreeColumn::Constant(f64::NAN),
            })
            .collect();
        self.score_columns(&columns, batch.rows, scratch, out)
    }

    /// As [`Forest::score`], of what [`Forest::numbers`] gives for each feature.
    pub(crate) fn score_numbers(
        &self,
        columns: &[Vec<f64>],
        rows: usize,
        scratch: &mut ForestScratch,
        out: &mut Vec<f64>,
    ) -> Result<(), Error> {
        let columns: Vec<TreeColumn<'_>> = columns.iter().map(|column| TreeColumn::F64(column)).collect();
        self.score_columns(&columns, rows, scratch, out)
    }

    fn score_columns(
        &self,
        columns: &[TreeColumn<'_>],
        rows: usize,
        scratch: &mut ForestScratch,
        out: &mut Vec<f64>,
    ) -> Result<(), Error> {
        out.clear();
        out.resize(rows, 0.0);
        let scored = self.plan.score(columns, rows, &mut scratch.plan, out);
        scored.map_err(|error| Error::Unfit(error.to_string()))?;
        out.iter_mut().for_each(|value| *value = self.ensemble.probability(*value));
        Ok(())
    }
}

fn values<'a>(
    feature: &crate::trees::Feature,
    places: Option<&Places>,
    column: &'a Column,
) -> Result<Values<'a>, Error> {
    let number = |category: Category<'_>| match places {
        Some(places) => places.get(category),
        None => number(category),
    };
    Ok(match column {
        _ if feature.kind == FeatureKind::Unused => Values::Missing,
        Column::Numeric(Numeric::F32(values)) => Values::F32(values),
        Column::Numeric(Numeric::F64(values)) => Values::F64(values),
        Column::Categorical(Categorical::Coded { codes, categories }) => {
            Values::Coded { codes, values: std::iter::once(f64::NAN).chain(entries(categories).map(number)).collect() }
        }
        Column::Categorical(values @ Categorical::Integers { .. }) => {
            let mut converted = Vec::new();
            values.map_into(&mut converted, |category| category.map_or(f64::NAN, number));
            Values::Converted(converted)
        }
        Column::Multi(_) => {
            return Err(Error::Unfit(format!(
                "feature `{}` is a list, which a LightGBM model can't take",
                feature.name
            )));
        }
    })
}

fn entries(categories: &Categories) -> impl Iterator<Item = Category<'_>> {
    (0..categories.len()).map(|index| categories.get(index))
}

impl Places {
    fn new(of_text: HashMap<String, f64>) -> Self {
        let integer = |text: &str| text.parse().ok().filter(|integer: &i64| integer.to_string() == text);
        let of_integer = of_text.iter().filter_map(|(text, &place)| Some((integer(text)?, place))).collect();
        Self { of_text, of_integer }
    }

    /// What LightGBM was fed for a category that its model lists: its place, or NaN where unknown.
    fn get(&self, category: Category<'_>) -> f64 {
        let found = match category {
            Category::Integer(integer) => self.of_integer.get(&integer),
            Category::Text(text) => self.of_text.get(text).or_else(|| {
                // `7.0` is the integer 7 and `TRUE` is true, as a CSV file may spell them.
                let number = text.trim().parse::<f64>().map(|number| number.to_string());
                self.of_text.get(&number.unwrap_or_else(|_| text.to_ascii_lowercase()))
            }),
        };
        found.copied().unwrap_or(f64::NAN)
    }
}

/// What LightGBM was fed for a category without a list: the number itself (truth values are 0 and 1), or NaN.
fn number(category: Category<'_>) -> f64 {
    match category {
        Category::Text(text) => match text.trim() {
            text if text.eq_ignore_ascii_case("true") => 1.0,
            text if text.eq_ignore_ascii_case("false") => 0.0,
            text => text.parse().unwrap_or(f64::NAN),
        },
        Category::Integer(integer) => integer as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_has_the_place_of_its_text_whatever_the_column_holds() {
        let known = ["7", "-3", "07", "a", "true", "9223372036854775808"];
        let places = Places::new(known.into_iter().map(str::to_owned).zip((0..).map(f64::from)).collect());
        let rows = [
            (Category::Integer(7), 0.0),
            (Category::Integer(-3), 1.0),
            (Category::Integer(3), f64::NAN),
            (Category::Integer(i64::MIN), f64::NAN),
            (Category::Text("7"), 0.0),
            (Category::Text("7.0"), 0.0),
            (Category::Text("07"), 2.0),
            (Category::Text("TRUE"), 4.0),
            (Category::Text("b"), f64::NAN),
        ];
        for (category, expected) in rows {
            assert_eq!(places.get(category).to_bits(), expected.to_bits(), "{category:?}");
        }
    }
}
