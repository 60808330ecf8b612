//! An intermediate representation of tree ensembles: what readers of model files make, and what engines score.
//!
//! Constructors check everything, so every index in an [`Ensemble`] is in range and every tree is a tree.
//! [`Ensemble::raw_score`] is the scalar oracle that every faster path is held against.

mod category;
mod tree;

pub use category::{Category, CategorySet};
pub use tree::{Child, Comparison, LinearLeaf, Missing, Node, Test, Tree};

use crate::calibration::logistic;

/// Why parts are not an ensemble.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

/// An ensemble that predicts a probability of a click. Values of a magnitude of at most 1e-35 count as zero, as in LightGBM.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    parts: Parts,
}

/// What an ensemble is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// The input columns.
    pub features: Vec<Feature>,
    /// The trees, in the order in which their outputs are added.
    pub trees: Vec<Tree>,
    /// What the sum of outputs starts at.
    pub base_score: f64,
    /// How wide the sum is.
    pub sum: SumWidth,
    /// How a raw score becomes a probability.
    pub link: Link,
    /// Whether the raw sum is divided by the number of trees before the link, as in random forests.
    pub average_output: bool,
}

/// The width of the sum of the trees' outputs, which is rounded to it after each addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SumWidth {
    /// 32 bits; every output is rounded to them, too.
    F32,
    /// 64 bits.
    F64,
}

/// One input column of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Name in training; LightGBM writes spaces as `_`.
    pub name: String,
    /// What training took the column for.
    pub kind: FeatureKind,
    /// A pandas column's category values: the value at index `c` is fed to the model as `c`, any other as NaN.
    pub categories: Option<Vec<Category>>,
}

/// What training took a column for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureKind {
    /// Split by thresholds.
    Numeric,
    /// Split by sets of non-negative integers.
    Categorical,
    /// Constant in training, hence in no split.
    Unused,
}

/// How a raw score becomes a probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Link {
    /// `binary sigmoid:a`: `1 / (1 + exp(-a raw))`.
    Binary {
        /// The slope `a`, finite and positive.
        slope: f64,
    },
    /// `cross_entropy`: the plain sigmoid.
    CrossEntropy,
}

impl Invalid {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl Ensemble {
    /// Makes an ensemble of its parts.
    ///
    /// # Errors
    /// If there are no trees, a tree looks at a feature that is not there, or the base score or the link's slope is not a number
    /// that can be used.
    pub fn new(mut parts: Parts) -> Result<Self, Invalid> {
        if parts.trees.is_empty() {
            return Err(Invalid::new("the model has no trees"));
        }
        let features = parts.features.len();
        for (index, tree) in parts.trees.iter().enumerate() {
            if let Some(feature) = tree.features().find(|&feature| feature as usize >= features) {
                let message = format!("tree {index} looks at feature {feature}, but the model has {features}");
                return Err(Invalid::new(message));
            }
        }
        if !parts.base_score.is_finite() || parts.average_output && parts.base_score != 0.0 {
            return Err(Invalid::new(format!("the base score is {}", parts.base_score)));
        }
        if let Link::Binary { slope } = parts.link
            && !(slope.is_finite() && slope > 0.0)
        {
            return Err(Invalid::new(format!("the slope of the link is {slope}")));
        }
        // Turns -0.0 into 0.0.
        parts.base_score += 0.0;
        Ok(Self { parts })
    }

    /// Returns the input columns, in the order of [`Ensemble::raw_score`]'s row.
    pub fn features(&self) -> &[Feature] {
        &self.parts.features
    }

    /// Returns the trees in the order in which they are added.
    pub fn trees(&self) -> &[Tree] {
        &self.parts.trees
    }

    /// Returns what the sum starts at.
    pub fn base_score(&self) -> f64 {
        self.parts.base_score
    }

    /// Returns how wide the sum is.
    pub fn sum(&self) -> SumWidth {
        self.parts.sum
    }

    /// Returns how a raw score becomes a probability.
    pub fn link(&self) -> Link {
        self.parts.link
    }

    /// Returns whether probabilities divide the raw sum by the number of trees first (random forests).
    pub fn average_output(&self) -> bool {
        self.parts.average_output
    }

    /// Returns the raw score of one row: the base score and the leaf outputs, added in order. It is bit-equal to LightGBM's
    /// `raw_score=True`, and the oracle of every faster path.
    ///
    /// # Shapes
    /// `row`: one value a feature; NaN is missing; categories are their codes.
    /// # Units
    /// Log-odds before [`Ensemble::to_log_odds`].
    /// # Panics
    /// If `row` is shorter than [`Ensemble::features`].
    pub fn raw_score(&self, row: &[f64]) -> f64 {
        let features = self.features().len();
        assert!(row.len() >= features, "a row has {} values, the model {features} features", row.len());
        let outputs = self.trees().iter().map(|tree| tree.output(row));
        match self.sum() {
            SumWidth::F64 => outputs.fold(self.base_score(), |sum, output| sum + output),
            SumWidth::F32 => f64::from(outputs.fold(self.base_score() as f32, |sum, output| sum + output as f32)),
        }
    }

    /// Turns raw scores into log-odds, in place.
    pub fn to_log_odds(&self, raw: &mut [f64]) {
        let slope = match self.link() {
            Link::Binary { slope } => slope,
            Link::CrossEntropy => 1.0,
        };
        if self.average_output() {
            let trees = self.trees().len() as f64;
            raw.iter_mut().for_each(|value| *value /= trees);
        }
        if slope != 1.0 {
            raw.iter_mut().for_each(|value| *value *= slope);
        }
    }

    /// Returns the probability of a click that belongs to a raw score, bit-equal to LightGBM's.
    pub fn probability(&self, raw: f64) -> f64 {
        let mut value = [raw];
        self.to_log_odds(&mut value);
        logistic(value[0])
    }
}

#[cfg(test)]
mod tests;
