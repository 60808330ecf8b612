//! The families of models.

use serde::{Deserialize, Serialize};

/// What kind of model an artifact holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Family {
    /// Logistic regression.
    Lr,
    /// Factorization machine.
    Fm,
    /// Field-aware factorization machine.
    Ffm,
    /// A tree ensemble imported from LightGBM.
    Lightgbm,
}

/// A name that no family has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model family `{}` is unknown to this program", .0.escape_debug())]
pub struct UnknownFamily(pub String);

impl Family {
    /// Every family.
    pub const ALL: [Self; 4] = [Self::Lr, Self::Fm, Self::Ffm, Self::Lightgbm];

    /// Returns the name that artifacts and commands use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lr => "lr",
            Self::Fm => "fm",
            Self::Ffm => "ffm",
            Self::Lightgbm => "lightgbm",
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.name())
    }
}

impl From<Family> for &'static str {
    fn from(family: Family) -> Self {
        family.name()
    }
}

impl std::str::FromStr for Family {
    type Err = UnknownFamily;

    fn from_str(name: &str) -> Result<Self, UnknownFamily> {
        Self::ALL.into_iter().find(|family| family.name() == name).ok_or_else(|| UnknownFamily(name.to_owned()))
    }
}

impl TryFrom<String> for Family {
    type Error = UnknownFamily;

    fn try_from(name: String) -> Result<Self, UnknownFamily> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_family_is_written_and_read_by_its_name() {
        for family in Family::ALL {
            let text = serde_json::to_string(&family).unwrap();
            assert_eq!(text, format!("\"{family}\""));
            assert_eq!(serde_json::from_str::<Family>(&text).unwrap(), family);
        }
    }

    #[test]
    fn an_unknown_family_is_refused_by_name() {
        let error = serde_json::from_str::<Family>("\"tr\\u001bees\"").unwrap_err().to_string();
        assert!(error.contains("`tr\\u{1b}ees` is unknown"), "{error}");
    }
}
