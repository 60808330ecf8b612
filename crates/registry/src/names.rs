//! Names of models, channels and runs: each is part of an object's key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Kind};

/// A name's length; it is part of a file's name, which may have 255 bytes.
const LENGTH_MAX: usize = 100;

/// The name of a model, of which there are versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A name for one of a model's versions, such as `champion`; never a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Channel(String);

/// The name of a run, such as `dt=2026-11-24`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunName(String);

/// Which of a model's versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// This one.
    Version(u64),
    /// The one that a channel points to.
    Channel(Channel),
}

/// `NAME@VERSION` or `NAME@CHANNEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The model.
    pub name: Name,
    /// The version.
    pub selector: Selector,
}

/// Whether it is a plain word of a key, and why not.
fn check(what: &str, text: &str, marks: &[u8]) -> Result<(), Error> {
    let problem = |problem: &str| Err(Error::new(Kind::Invalid, format!("{what} `{}` {problem}", text.escape_debug())));
    if text.is_empty() || text.len() > LENGTH_MAX {
        return problem(&format!("must have 1 to {LENGTH_MAX} characters"));
    }
    if !text.as_bytes()[0].is_ascii_alphanumeric() {
        return problem("must begin with a letter or a digit");
    }
    if let Some(bad) = text.chars().find(|char| !(char.is_ascii_alphanumeric() || marks.contains(&(*char as u8)))) {
        let allowed: String = marks.iter().map(|&mark| char::from(mark)).collect();
        return problem(&format!("has a `{}`; letters, digits and {allowed} are allowed", bad.escape_debug()));
    }
    Ok(())
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        check("the model's name", text, b"._-")?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Channel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        check("the channel", text, b"._-")?;
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::new(Kind::Invalid, format!("the channel `{text}` is a number, as versions are")));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for RunName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        check("the run", text, b"._=-")?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Some((name, selector)) = text.split_once('@') else {
            let problem = format!("`{}` is neither NAME@VERSION nor NAME@CHANNEL", text.escape_debug());
            return Err(Error::new(Kind::Invalid, problem));
        };
        let selector = match selector.parse() {
            Ok(version) => Selector::Version(version),
            Err(_) => Selector::Channel(selector.parse()?),
        };
        Ok(Self { name: name.parse()?, selector })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.selector {
            Selector::Version(version) => write!(out, "{}@{version}", self.name),
            Selector::Channel(channel) => write!(out, "{}@{channel}", self.name),
        }
    }
}

/// What the three names have in common.
macro_rules! name {
    ($name:ident) => {
        impl $name {
            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name!(Name);
name!(Channel);
name!(RunName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_once_and_odd_ones_refused() {
        for (text, expected) in [
            ("ctr@3", Ok("ctr@3")),
            ("ctr@champion", Ok("ctr@champion")),
            ("my-model.v2@candidate_2", Ok("my-model.v2@candidate_2")),
            ("ctr", Err("neither")),
            ("ctr@", Err("1 to 100")),
            ("@3", Err("1 to 100")),
            ("../x@3", Err("must begin")),
            ("a/b@3", Err("has a `/`")),
            ("_hidden@3", Err("must begin")),
            ("ctr@99999999999999999999999", Err("is a number")),
            ("ctr@a\nb", Err("has a `\\n`")),
            ("größe@1", Err("has a `ö`")),
        ] {
            match (text.parse::<Reference>(), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.to_string(), expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn runs_are_folders_of_a_day_but_never_paths() {
        assert!("dt=2026-11-24".parse::<RunName>().is_ok());
        for bad in ["", "a/b", "..", ".hidden", "_SUCCESS", "a b", &"x".repeat(101)] {
            assert!(bad.parse::<RunName>().is_err(), "{bad}");
        }
    }
}
