//! A tree ensemble fed by batches: columns become what its splits compare.

use std::collections::HashMap;

use clickcast_record::{Batch, Categorical, Categories, Category, Column, Numeric};

use crate::calibration::Calibration;
use crate::cross::{Arithmetic, Columns, Origin, Pairs, TreePairs, unprepared};
use crate::family_model::FamilyModel;
use crate::trees::{Ensemble, FeatureKind, Plan, TreeColumn};
use crate::values::rows_of;
use crate::{Error, Scratch};

/// An ensemble and its compiled plan.
#[derive(Debug)]
pub(crate) struct Forest {
    ensemble: Ensemble,
    plan: Plan,
    /// The places of each feature's DataFrame categories, or `None` if its numbers are fed as they are.
    places: Vec<Option<Places>>,
}

/// The place of each category in the list that the model has.
#[derive(Debug)]
struct Places {
    of_text: HashMap<String, f64>,
    /// Of those whose text is an integer's: a column of integers is then looked up without writing each as text.
    of_integer: HashMap<i64, f64>,
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

    /// Returns what the trees compare of one feature: one number a row, NaN where missing.
    fn numbers(&self, feature: usize, column: &Column) -> Result<Vec<f64>, Error> {
        Ok(match values(&self.ensemble.features()[feature], self.places[feature].as_ref(), column)? {
            Values::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Values::F64(values) => values.to_vec(),
            Values::Converted(values) => values,
            Values::Coded { codes, values } => codes.iter().map(|&code| values[code as usize]).collect(),
            Values::Missing => vec![f64::NAN; rows_of(column)],
        })
    }

    fn log_odds_of_columns(
        &self,
        columns: &[TreeColumn<'_>],
        rows: usize,
        scratch: &mut Scratch,
        out: &mut Vec<f64>,
    ) -> Result<(), Error> {
        out.clear();
        out.resize(rows, 0.0);
        let scored = self.plan.score(columns, rows, &mut scratch.trees, out);
        scored.map_err(|error| Error::invalid(error.to_string()))?;
        self.ensemble.to_log_odds(out);
        Ok(())
    }
}

impl FamilyModel for Forest {
    fn log_odds(&self, batch: &Batch, scratch: &mut Scratch, out: &mut Vec<f64>) -> Result<(), Error> {
        let features = self.ensemble.features();
        if batch.features.len() != features.len() {
            let given = batch.features.len();
            return Err(Error::invalid(format!("the batch has {given} features, the model {}", features.len())));
        }
        let converted = features.iter().zip(&self.places).zip(&batch.features);
        let converted = converted.map(|((feature, places), column)| values(feature, places.as_ref(), column));
        let values: Vec<Values<'_>> = converted.collect::<Result<_, _>>()?;
        let columns: Vec<TreeColumn<'_>> = values.iter().map(Values::column).collect();
        self.log_odds_of_columns(&columns, batch.rows, scratch, out)
    }

    fn prepare(&self, features: &[usize], columns: &[Column]) -> Result<Columns, Error> {
        let numbers = features.iter().zip(columns).map(|(&feature, column)| self.numbers(feature, column));
        Ok(Columns::Numbers(numbers.collect::<Result<_, _>>()?))
    }

    fn log_odds_of(
        &self,
        columns: &Columns,
        rows: usize,
        scratch: &mut Scratch,
        out: &mut Vec<f64>,
    ) -> Result<(), Error> {
        let Columns::Numbers(numbers) = columns else { return Err(unprepared()) };
        let columns: Vec<TreeColumn<'_>> = numbers.iter().map(|column| TreeColumn::F64(column)).collect();
        self.log_odds_of_columns(&columns, rows, scratch, out)
    }

    fn pairs<'a>(
        &'a self,
        calibration: &'a Calibration,
        origins: &[Origin],
        constants: &Columns,
        _: Arithmetic,
    ) -> Result<Option<Box<dyn Pairs + 'a>>, Error> {
        let Columns::Numbers(numbers) = constants else { return Err(unprepared()) };
        Ok(Some(Box::new(TreePairs::new(&self.ensemble, calibration, origins, numbers)?)))
    }
}

impl Values<'_> {
    fn column(&self) -> TreeColumn<'_> {
        match self {
            Self::F32(values) => TreeColumn::F32(values),
            Self::F64(values) => TreeColumn::F64(values),
            Self::Converted(values) => TreeColumn::F64(values),
            Self::Coded { codes, values } => TreeColumn::Coded { codes, values },
            Self::Missing => TreeColumn::Constant(f64::NAN),
        }
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
            return Err(Error::invalid(format!(
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

    /// Returns what LightGBM was fed for a category that its model lists: its place, or NaN where unknown.
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

/// Returns what LightGBM was fed for a category without a list: the number itself (truth values are 0 and 1), or NaN.
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
