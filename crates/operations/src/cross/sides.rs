//! Which side gives each feature and each id.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use clickcast_model::Model;
use clickcast_model::cross::{Cross, Origin};
use clickcast_record::{Batch, Binding, Category, Column, Feature, Kind, Need, Schema, Side};

use crate::Error;

/// The column of predictions.
const CTR: &str = "ctr";

/// One side's data: how it was named, and its columns.
pub(super) struct Table<'a> {
    pub(super) uri: &'a str,
    pub(super) columns: Vec<String>,
}

/// What a request says of where features and ids come from.
pub(super) struct Sources<'a> {
    pub(super) model: &'a Model,
    pub(super) users: Table<'a>,
    pub(super) ads: Table<'a>,
    /// Features that are the same for all pairs, as `NAME=VALUE`.
    pub(super) context: &'a [String],
    /// The ids asked for; if empty, the schema's.
    pub(super) ids: &'a [String],
    pub(super) pairs_table: Option<&'a str>,
}

/// Where everything comes from.
pub(super) struct Sides {
    /// One a feature of the model.
    pub(super) origins: Vec<Origin>,
    /// The ids in the order of the output, with the side that has each.
    pub(super) ids: Vec<(String, Origin)>,
    /// What to read of the users and of the ads.
    pub(super) users: Schema,
    pub(super) ads: Schema,
    /// One row of the features that are the same for all pairs.
    pub(super) constants: Option<Batch>,
    /// What to read of a table of pairs.
    pub(super) pairs: Option<Schema>,
}

impl Sides {
    pub(super) fn new(sources: &Sources<'_>) -> Result<Self, Error> {
        let Sources { model, users, ads, context, ids, pairs_table } = sources;
        let constants = parse(model.schema(), context)?;
        let features = model.schema().features().iter();
        let origins = features
            .map(|feature| origin(feature, users, &constants, pairs_table.is_some()))
            .collect::<Result<Vec<_>, _>>()?;
        let side = |origin: Origin, name: &str| {
            let schema = Cross::schema_of(model, &origins, origin)?;
            schema.ok_or_else(|| {
                Error::invalid(format!(
                    "no feature of the model comes from the {name}s, so all {name}s would be alike; say `side = \
                     \"{name}\"` of theirs in the schema the model is made with"
                ))
            })
        };
        let (user_schema, ad_schema) = (side(Origin::User, "user")?, side(Origin::Ad, "ad")?);
        let pairs = Cross::schema_of(model, &origins, Origin::Pair)?;
        if let (Some(uri), None) = (pairs_table, &pairs) {
            return Err(Error::invalid(format!(
                "`--pairs-table {uri}`: no feature of the model has `side = \"pair\"`; leave the table out"
            )));
        }
        let constants = match Cross::schema_of(model, &origins, Origin::Constant)? {
            Some(schema) => Some(row(&schema, &constants)?),
            None => None,
        };
        Ok(Self {
            ids: find_ids(model.schema(), ids, users, ads)?,
            origins,
            users: user_schema,
            ads: ad_schema,
            constants,
            pairs,
        })
    }

    /// Returns a sentence for each category of the constants that the model has not learned: pairs are then scored as those
    /// of an unknown category. A model without a profile does not tell, nor does one of very many categories tell for all.
    pub(super) fn unknown_constants(&self, model: &Model) -> Result<Vec<String>, Error> {
        let Some(constants) = &self.constants else { return Ok(Vec::new()) };
        let features = model.schema().features().iter().zip(&self.origins);
        let names: Vec<&str> = features
            .filter(|(_, origin)| **origin == Origin::Constant)
            .map(|(feature, _)| feature.name.as_str())
            .collect();
        if constants.features.iter().all(|column| matches!(column, Column::Numeric(_))) {
            return Ok(Vec::new());
        }
        let Some(profile) = model.profile()? else { return Ok(Vec::new()) };
        let mut notes = Vec::new();
        for (name, column) in names.into_iter().zip(&constants.features) {
            let Some(learned) = profile.features.iter().find(|feature| feature.name == name) else { continue };
            let values = match column {
                Column::Numeric(_) => continue,
                Column::Categorical(values) => values,
                Column::Multi(lists) => &lists.values,
            };
            for category in (0..values.len()).filter_map(|place| values.get(place)) {
                if learned.values.knows(category.hash()) == Some(false) {
                    let value = match category {
                        Category::Text(text) => text.to_owned(),
                        Category::Integer(integer) => integer.to_string(),
                    };
                    notes.push(format!(
                        "`--context`: the model has not learned the category `{value}` of column `{name}`; pairs are scored as of \
                         an unknown one"
                    ));
                }
            }
        }
        Ok(notes)
    }

    /// The ids that one side has.
    pub(super) fn ids_of(&self, origin: Origin) -> Vec<String> {
        self.ids.iter().filter(|(_, own)| *own == origin).map(|(name, _)| name.clone()).collect()
    }
}

/// A feature that is named by `--context`, and its value.
type Constant<'a> = (&'a str, &'a str);

fn parse<'a>(schema: &Schema, context: &'a [String]) -> Result<Vec<Constant<'a>>, Error> {
    let mut constants: Vec<Constant<'a>> = Vec::new();
    for text in context {
        let refuse = |problem: String| Err(Error::invalid(format!("`--context {text}`: {problem}")));
        let Some((name, value)) = text.split_once('=') else {
            return refuse("write it as NAME=VALUE".to_owned());
        };
        match schema.features().iter().find(|feature| feature.name == name).map(|feature| feature.side) {
            None => return refuse(format!("the model has no feature `{name}`")),
            Some(Side::Context) => {}
            Some(Side::User) => return refuse(format!("`{name}` is a feature of the user; it is read from the users")),
            Some(Side::Ad) => return refuse(format!("`{name}` is a feature of the ad; it is read from the ads")),
            Some(Side::Pair) => {
                return refuse(format!("`{name}` is a feature of the pair; it is read from `--pairs-table`"));
            }
        }
        if constants.iter().any(|constant| constant.0 == name) {
            return refuse(format!("`{name}` is given twice; keep one"));
        }
        constants.push((name, value));
    }
    Ok(constants)
}

fn origin(feature: &Feature, users: &Table<'_>, constants: &[Constant<'_>], listed: bool) -> Result<Origin, Error> {
    match feature.side {
        Side::User => Ok(Origin::User),
        Side::Ad => Ok(Origin::Ad),
        Side::Context if constants.iter().any(|constant| constant.0 == feature.name) => Ok(Origin::Constant),
        Side::Context if users.columns.contains(&feature.name) => Ok(Origin::User),
        Side::Pair if listed => Ok(Origin::Pair),
        Side::Pair => Err(Error::invalid(format!(
            "feature `{}` (side = \"pair\") depends on both sides; give its values as a table with \
             `--pairs-table URI`, or write the pairs out as rows and use `predict`",
            feature.name
        ))),
        Side::Context => Err(Error::invalid(format!(
            "feature `{name}` (side = \"context\") is neither given by `--context {name}=VALUE` nor a column of the \
             users `{}`",
            users.uri,
            name = feature.name
        ))),
    }
}

/// The ids asked for, else the schema's; of these, one that neither side has (an impression's) is of no pair.
fn find_ids(
    schema: &Schema,
    asked: &[String],
    users: &Table<'_>,
    ads: &Table<'_>,
) -> Result<Vec<(String, Origin)>, Error> {
    let ids = if asked.is_empty() { schema.ids() } else { asked };
    let mut found: Vec<(String, Origin)> = Vec::new();
    for id in ids {
        if id == CTR || found.iter().any(|(other, _)| other == id) {
            let problem =
                if id == CTR { "is the name of the predictions; rename it" } else { "is named twice; keep one" };
            return Err(Error::invalid(format!("id column `{id}` {problem}")));
        }
        let refuse = |where_: &str| {
            Err(Error::invalid(format!(
                "id column `{id}` is {where_} the users `{}` and the ads `{}`; name the columns to tell pairs by with \
                 `--id A,B`",
                users.uri, ads.uri
            )))
        };
        match (users.columns.contains(id), ads.columns.contains(id)) {
            (true, false) => found.push((id.clone(), Origin::User)),
            (false, true) => found.push((id.clone(), Origin::Ad)),
            (true, true) => return refuse("in both"),
            (false, false) if asked.is_empty() => {}
            (false, false) => return refuse("in neither"),
        }
    }
    for (origin, name, uri) in [(Origin::User, "users", users.uri), (Origin::Ad, "ads", ads.uri)] {
        if !found.iter().any(|(_, own)| *own == origin) {
            return Err(Error::invalid(format!(
                "no id column is in the {name} `{uri}`, so their predictions could not be told apart; name one with \
                 `--id A,B`"
            )));
        }
    }
    Ok(found)
}

/// The constants as a batch of one row.
fn row(schema: &Schema, constants: &[Constant<'_>]) -> Result<Batch, Error> {
    let column = |feature: &Feature| -> Result<(String, ArrayRef, bool), Error> {
        let value = constants.iter().find(|constant| constant.0 == feature.name).map_or("", |constant| constant.1);
        let present = Some(value.trim()).filter(|value| !value.is_empty());
        let array: ArrayRef = match feature.kind {
            Kind::Numeric => {
                let number = present.map(str::parse::<f64>).transpose();
                let number = number.map_err(|_| {
                    Error::invalid(format!(
                        "`--context {}={value}`: the feature is numeric, `{value}` isn't",
                        feature.name
                    ))
                })?;
                Arc::new(Float64Array::from(vec![number]))
            }
            Kind::Categorical | Kind::Multi => Arc::new(StringArray::from(vec![present])),
        };
        Ok((feature.name.clone(), array, true))
    };
    let columns = schema.features().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let batch = RecordBatch::try_from_iter_with_nullable(columns);
    let batch = batch.map_err(|error| Error::invalid(error.to_string()))?;
    let binding = Binding::new(schema, &Need::default(), &batch.schema())?;
    Ok(binding.batch(&batch, 0)?)
}
