//! The precision of predictions.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The floating-point type of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 64-bit floats.
    F64,
}

impl Precision {
    /// Every precision, in the order in which help texts list them.
    pub const ALL: [Self; 2] = [Self::F32, Self::F64];

    /// Returns the name used on the command line and in stored documents: `f32` or `f64`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

impl Display for Precision {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// The error of parsing a [`Precision`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a precision; use `f32` or `f64`")]
pub struct UnknownPrecision(String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Self, UnknownPrecision> {
        let found = Self::ALL.into_iter().find(|precision| precision.as_str() == text);
        found.ok_or_else(|| UnknownPrecision(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Settings {
        precision: Precision,
    }

    #[test]
    fn a_precision_has_one_name_in_text_and_in_documents() {
        for (precision, name) in [(Precision::F32, "f32"), (Precision::F64, "f64")] {
            assert_eq!(precision.to_string(), name);
            assert_eq!(name.parse(), Ok(precision));
            let document = toml::to_string(&Settings { precision }).unwrap();
            assert_eq!(document, format!("precision = \"{name}\"\n"));
            assert_eq!(toml::from_str::<Settings>(&document).unwrap(), Settings { precision });
        }
    }

    #[test]
    fn another_name_is_refused() {
        for name in ["", "F32", "f16", "float64", " f64"] {
            assert!(name.parse::<Precision>().is_err(), "{name}");
            assert!(toml::from_str::<Settings>(&format!("precision = \"{name}\"")).is_err(), "{name}");
        }
    }
}
