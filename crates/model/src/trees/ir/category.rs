//! Categories: the values that a model lists, and the sets that its splits test.

use super::Invalid;

/// Words of a set: codes are below 2^31.
const WORDS_MAX: usize = 1 << 26;

/// A category value that a model lists for a feature.
#[derive(Debug, Clone, PartialEq)]
pub enum Category {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A truth value.
    Boolean(bool),
}

impl Category {
    /// Returns the value as a cell of a text file spells it: numbers in their shortest form, `true`, `false`.
    pub fn text(&self) -> String {
        match self {
            Category::Text(value) => value.clone(),
            Category::Integer(value) => value.to_string(),
            Category::Float(value) => value.to_string(),
            Category::Boolean(value) => value.to_string(),
        }
    }
}

/// A set of category codes, one bit each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CategorySet(Box<[u32]>);

impl CategorySet {
    /// Takes a bit for each code: bit `c % 32` of word `c / 32`.
    ///
    /// # Errors
    /// If there are codes of 2^31 and above.
    pub fn new(words: &[u32]) -> Result<Self, Invalid> {
        if words.len() > WORDS_MAX {
            return Err(Invalid::new("a category set of more than 2^31 codes"));
        }
        Ok(Self(words.into()))
    }

    /// Returns whether the set has this value, truncated towards zero.
    pub fn contains(&self, value: f64) -> bool {
        // Also false for NaN. From 2^31 on LightGBM's conversion is undefined; on x86-64 it goes right, as here.
        if !(value > -1.0 && value < 2_147_483_648.0) {
            return false;
        }
        let code = value as u32;
        self.0.get(code as usize / 32).is_some_and(|word| word >> (code % 32) & 1 == 1)
    }

    /// Returns the codes of the set, ascending.
    pub fn codes(&self) -> impl Iterator<Item = u32> + '_ {
        self.0
            .iter()
            .zip(0_u32..)
            .flat_map(|(&word, index)| (0..32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 32 + bit))
    }
}
