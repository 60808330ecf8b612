//! The feature schema, `features.toml`: which columns exist and what they mean.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::expression::Use;
use crate::{Error, Expression, Kind, TimeUnit};

/// The side that a feature describes; cross scoring does the work of a side once for each user or ad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Depends on the user alone.
    User,
    /// Depends on the ad alone.
    Ad,
    /// Depends on neither.
    #[default]
    Context,
    /// Depends on both.
    Pair,
}

/// One feature column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Column name in the data.
    pub name: String,
    /// The kind of its values.
    pub kind: Kind,
    /// The side it describes.
    #[serde(default)]
    pub side: Side,
    /// How it is computed from other columns, if its side is `pair`; `None` for a column of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derive: Option<Expression>,
}

impl Feature {
    /// Creates a feature that is a column of the data.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: Kind, side: Side) -> Self {
        Self { name: name.into(), kind, side, derive: None }
    }

    /// Refuses a derivation that contradicts the rest of the schema.
    fn check(&self, fields: &Fields) -> Result<(), Error> {
        let Some(derive) = &self.derive else { return Ok(()) };
        let refuse = |problem: &str| {
            let (feature, derive) = (self.name.clone(), derive.text().to_owned());
            Err(Error::Derived { feature, derive, problem: problem.to_owned() })
        };
        if self.side != Side::Pair {
            return refuse("only a feature with `side = \"pair\"` can be derived");
        }
        if let Err(problem) = derive.fits(self.kind) {
            return refuse(problem);
        }
        for column in derive.columns() {
            if [&fields.label, &fields.weight].into_iter().flatten().any(|role| role == column) {
                return refuse(&format!("it reads `{column}`, which is unknown when predictions are made"));
            }
            if fields.features.iter().any(|feature| feature.derive.is_some() && feature.name == *column) {
                return refuse(&format!("it reads `{column}`, which is itself derived; name columns of the data"));
            }
        }
        Ok(())
    }
}

/// A checked feature schema: names are distinct and non-empty, and there is at least one feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Schema(Fields);

/// The columns of a schema that are not features.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// Column of the click label.
    pub label: Option<String>,
    /// Column of the sample weight.
    pub weight: Option<String>,
    /// Column of the time.
    pub time: Option<String>,
    /// Unit of the time, if it is an integer.
    pub time_unit: Option<TimeUnit>,
    /// Columns carried to the predictions unchanged.
    pub id: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_unit: Option<TimeUnit>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    id: Vec<String>,
    #[serde(default, rename = "feature")]
    features: Vec<Feature>,
}

impl Schema {
    /// Creates a schema of features alone, as an imported model has it.
    ///
    /// # Errors
    /// [`Error::Schema`] if names repeat or are empty, or there is no feature.
    pub fn new(features: Vec<Feature>) -> Result<Self, Error> {
        Self::of(Roles::default(), features)
    }

    /// Reads `features.toml`.
    ///
    /// # Errors
    /// [`Error::Schema`], with the line, if the text does not follow the format.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let fields: Fields =
            toml::from_str(text).map_err(|error| Error::Schema(error.to_string().trim_end().to_owned()))?;
        Self::try_from(fields)
    }

    /// Returns a schema of the same features whose other columns are these.
    ///
    /// # Errors
    /// [`Error::Schema`] if a column would have two roles.
    pub fn with_roles(&self, roles: Roles) -> Result<Self, Error> {
        Self::of(roles, self.0.features.clone())
    }

    fn of(roles: Roles, features: Vec<Feature>) -> Result<Self, Error> {
        let Roles { label, weight, time, time_unit, id } = roles;
        Self::try_from(Fields { label, weight, time, time_unit, id, features })
    }

    /// Returns the columns that are not features.
    #[must_use]
    pub fn roles(&self) -> Roles {
        let Fields { label, weight, time, time_unit, id, features: _ } = self.0.clone();
        Roles { label, weight, time, time_unit, id }
    }

    /// Returns the column of the click label.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.0.label.as_deref()
    }

    /// Returns the column of the sample weight.
    #[must_use]
    pub fn weight(&self) -> Option<&str> {
        self.0.weight.as_deref()
    }

    /// Returns the column of the time, by which data can be split.
    #[must_use]
    pub fn time(&self) -> Option<&str> {
        self.0.time.as_deref()
    }

    /// Returns the unit of an integer time; without one it is inferred, see [`crate::Time`].
    #[must_use]
    pub fn time_unit(&self) -> Option<TimeUnit> {
        self.0.time_unit
    }

    /// Returns the columns carried to the predictions unchanged.
    #[must_use]
    pub fn ids(&self) -> &[String] {
        &self.0.id
    }

    /// Returns the features, in the order in which models see them.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.0.features
    }

    /// Returns the kind as which a column of the data is read: that of the feature of this name, otherwise that of the
    /// features derived from it. Returns `None` if no feature reads it.
    #[must_use]
    pub fn kind_of(&self, column: &str) -> Option<Kind> {
        let (derived, read): (Vec<_>, Vec<_>) = self.features().iter().partition(|feature| feature.derive.is_some());
        if let Some(feature) = read.iter().find(|feature| feature.name == column) {
            return Some(feature.kind);
        }
        let sources = derived.iter().filter_map(|feature| feature.derive.as_ref());
        let uses =
            sources.flat_map(|derive| derive.uses().into_iter().map(|(place, by)| (&derive.columns()[place], by)));
        let own: Vec<Use> = uses.filter(|(name, _)| *name == column).map(|(_, by)| by).collect();
        let kind = if own.contains(&Use::Number) { Kind::Numeric } else { Kind::Categorical };
        (!own.is_empty()).then_some(kind)
    }

    /// Returns the SHA-256, in hex, of what a model depends on: each feature's name, kind, side and derivation, in order.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut digest = Sha256::new();
        for feature in self.features() {
            digest.update(format!("{}\0{:?}\0{:?}", feature.name, feature.kind, feature.side));
            if let Some(derive) = &feature.derive {
                digest.update(format!("\0{}", derive.text()));
            }
            digest.update("\n");
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<Fields> for Schema {
    type Error = Error;

    fn try_from(fields: Fields) -> Result<Self, Error> {
        if fields.features.is_empty() {
            return Err(Error::Schema("the schema has no [[feature]]; name at least one column".to_owned()));
        }
        let single: Vec<&String> = [&fields.label, &fields.weight].into_iter().flatten().collect();
        let mut distinct = HashSet::new();
        let mut names = single.iter().copied().chain(fields.features.iter().map(|feature| &feature.name));
        let twice = names.find(|name| name.is_empty() || !distinct.insert(name.as_str()));
        // The time may be a feature as well.
        let time_twice = fields.time.as_ref().filter(|time| time.is_empty() || single.contains(time));
        if let Some(name) = twice.or(time_twice) {
            return Err(Error::Schema(format!("column `{name}` is empty or named twice in the schema; keep one")));
        }
        if fields.time_unit.is_some() && fields.time.is_none() {
            return Err(Error::Schema("the schema has a `time_unit` but no `time`; name the time's column".to_owned()));
        }
        fields.features.iter().try_for_each(|feature| feature.check(&fields))?;
        let mut ids = HashSet::new();
        if let Some(name) = fields.id.iter().find(|name| name.is_empty() || !ids.insert(name.as_str())) {
            return Err(Error::Schema(format!("id column `{name}` is empty or named twice; keep one")));
        }
        Ok(Self(fields))
    }
}

impl From<Schema> for Fields {
    fn from(schema: Schema) -> Self {
        schema.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_schema_reads_as_the_design_writes_it() {
        let schema = Schema::from_toml(
            "label = \"click\"\ntime = \"ts\"\nid = [\"user_id\"]\n[[feature]]\nname = \"age\"\nkind = \"numeric\"\nside = \"user\"\n\
             [[feature]]\nname = \"user_id\"\nkind = \"categorical\"\n",
        )
        .unwrap();
        assert_eq!(schema.label(), Some("click"));
        assert_eq!(schema.features()[0].side, Side::User);
        assert_eq!(schema.features()[1].side, Side::Context);
        assert_eq!(schema.ids(), ["user_id"]);
    }

    #[test]
    fn what_is_wrong_with_a_schema_is_said() {
        let feature = "[[feature]]\nname = \"a\"\nkind = \"numeric\"\n";
        for (text, said) in [
            (String::new(), "no [[feature]]"),
            (format!("{feature}{feature}"), "`a` is empty or named twice"),
            (format!("label = \"a\"\n{feature}"), "`a` is empty or named twice"),
            (format!("label = \"y\"\ntime = \"y\"\n{feature}"), "`y` is empty or named twice"),
            (format!("label = \"a\"\ntime = \"a\"\n{feature}"), "`a` is empty or named twice"),
            (format!("time = \"a\"\n{feature}{feature}"), "`a` is empty or named twice"),
            (feature.replace("numeric", "text"), "unknown variant `text`"),
            (format!("{feature}derive = \"b + c\"\n"), "only a feature with `side = \"pair\"` can be derived"),
            (format!("{feature}side = \"pair\"\nderive = \"b +\"\n"), "it ends where a number or a column"),
            (format!("{feature}side = \"pair\"\nderive = \"join(b, c)\"\n"), "say `kind = \"categorical\"`"),
            (format!("{feature}side = \"pair\"\nderive = \"a + b\"\n"), "it reads `a`, which is itself derived"),
            (
                format!("label = \"y\"\n{feature}side = \"pair\"\nderive = \"y * b\"\n"),
                "it reads `y`, which is unknown",
            ),
            (format!("time_unit = \"s\"\n{feature}"), "has a `time_unit` but no `time`"),
            (format!("time = \"t\"\ntime_unit = \"h\"\n{feature}"), "unknown variant `h`"),
            (format!("labels = \"y\"\n{feature}"), "unknown field `labels`"),
            (format!("id = [\"x\", \"x\"]\n{feature}"), "`x` is empty or named twice"),
            ("label = ".to_owned(), "line 1"),
        ] {
            let error = Schema::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn the_hash_follows_features_and_nothing_else() {
        let base = "[[feature]]\nname = \"a\"\nkind = \"numeric\"\n";
        let hash = |text: &str| Schema::from_toml(text).unwrap().hash();
        assert_eq!(hash(base), hash(&format!("label = \"y\"\n{base}")));
        assert_eq!(hash(base), hash(&format!("time = \"t\"\ntime_unit = \"us\"\n{base}")));
        assert_ne!(hash(base), hash(&base.replace("numeric", "categorical")));
        assert_ne!(hash(base), hash(&base.replace("\"a\"", "\"b\"")));
        let derived = |derive: &str| hash(&format!("{base}side = \"pair\"\nderive = \"{derive}\"\n"));
        assert_ne!(derived("b + c"), derived("b - c"));
        assert_ne!(derived("b + c"), hash(&format!("{base}side = \"pair\"\n")));
        // Frozen: models are stored with it.
        assert_eq!(hash(base), "c3082aa3db8fbfa5a48692aee9b190542dcec565393a434398cb52bcf48d77f1");
    }
}
