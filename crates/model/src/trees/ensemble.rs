//! The ensemble as it is after parsing, and the scalar oracle.

use clickcast_kernel::trees::ZERO_THRESHOLD;

use super::pandas::Category;
use crate::calibration::logistic;

/// A parsed binary-response ensemble. Every index in it is in range and every tree is a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    pub(super) features: Vec<Feature>,
    pub(super) trees: Vec<Tree>,
    pub(super) link: Link,
    pub(super) average_output: bool,
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

/// One tree. Without nodes it is the constant of its only leaf.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) leaf_values: Vec<f64>,
    pub(super) linear: Option<Vec<LinearLeaf>>,
}

/// A split: rows that pass the test go left.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Index of the feature tested.
    pub feature: u32,
    /// The test.
    pub test: Test,
    /// Where rows go that pass.
    pub left: Child,
    /// Where all others go.
    pub right: Child,
}

/// The test of a split.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Passes when `x <= threshold`; missing values take the default side.
    Numeric {
        /// Never NaN.
        threshold: f64,
        /// Which values are missing.
        missing: Missing,
        /// Whether missing values pass.
        default_left: bool,
    },
    /// Passes when the value, truncated towards zero, is in the set; NaN, negative and unknown values never pass.
    Categorical(CategorySet),
}

/// Which values a numeric split takes for missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Missing {
    /// None; NaN counts as 0.
    None,
    /// Zeros and NaN.
    Zero,
    /// NaN only.
    Nan,
}

/// Where an edge leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// To the node of this index, always above its parent's.
    Node(u32),
    /// To the leaf of this index.
    Leaf(u32),
}

/// A set of category codes, one bit each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CategorySet(pub(super) Box<[u32]>);

/// The linear model in a leaf of a linear tree.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearLeaf {
    /// The intercept.
    pub constant: f64,
    /// Feature index and its coefficient, in the order they are added.
    pub terms: Vec<(u32, f64)>,
}

impl Ensemble {
    /// The input columns, in the order of [`Ensemble::raw_score`]'s row.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The trees in file order.
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// How a raw score becomes a probability.
    pub fn link(&self) -> Link {
        self.link
    }

    /// Whether probabilities divide the raw sum by the number of trees first (random forests).
    pub fn average_output(&self) -> bool {
        self.average_output
    }

    /// The raw score of one row: leaf outputs added in file order, bit-equal to LightGBM's `raw_score=True`.
    ///
    /// This is the oracle of every faster path.
    ///
    /// # Shapes
    /// `row`: one value a feature; NaN is missing; categories are their codes.
    /// # Units
    /// Log-odds (for `average_output` their plain sum; [`Ensemble::probability`] divides).
    /// # Panics
    /// If `row` is shorter than [`Ensemble::features`].
    pub fn raw_score(&self, row: &[f64]) -> f64 {
        assert!(
            row.len() >= self.features.len(),
            "a row has {} values, the model {} features",
            row.len(),
            self.features.len()
        );
        let mut sum = 0.0;
        for tree in &self.trees {
            sum += tree.output(row);
        }
        sum
    }

    /// Turns raw scores into log-odds, in place.
    pub fn to_log_odds(&self, raw: &mut [f64]) {
        let slope = match self.link {
            Link::Binary { slope } => slope,
            Link::CrossEntropy => 1.0,
        };
        if self.average_output {
            let trees = self.trees.len() as f64;
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

impl Tree {
    /// The splits; the root first, children after their parents.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The constant outputs of the leaves, shrinkage included.
    pub fn leaf_values(&self) -> &[f64] {
        &self.leaf_values
    }

    /// The linear models of the leaves, if this is a linear tree.
    pub fn linear(&self) -> Option<&[LinearLeaf]> {
        self.linear.as_deref()
    }

    /// The leaf a row falls into.
    fn leaf(&self, row: &[f64]) -> usize {
        let mut at = if self.nodes.is_empty() { Child::Leaf(0) } else { Child::Node(0) };
        loop {
            match at {
                Child::Leaf(leaf) => return leaf as usize,
                Child::Node(index) => {
                    let node = &self.nodes[index as usize];
                    at = if node.test.passes(row[node.feature as usize]) { node.left } else { node.right };
                }
            }
        }
    }

    fn output(&self, row: &[f64]) -> f64 {
        let leaf = self.leaf(row);
        match &self.linear {
            None => self.leaf_values[leaf],
            Some(models) => models[leaf].output(row).unwrap_or(self.leaf_values[leaf]),
        }
    }
}

impl LinearLeaf {
    /// `None` if a feature of the leaf is missing: then the leaf's constant output counts.
    fn output(&self, row: &[f64]) -> Option<f64> {
        let mut sum = self.constant;
        for &(feature, coefficient) in &self.terms {
            let value = without_tiny(row[feature as usize]);
            if value.is_nan() {
                return None;
            }
            sum += coefficient * value;
        }
        Some(sum)
    }
}

impl Test {
    /// Whether a value goes left.
    pub fn passes(&self, value: f64) -> bool {
        match self {
            Test::Numeric { threshold, missing, default_left } => {
                let mut value = without_tiny(value);
                if value.is_nan() && *missing != Missing::Nan {
                    value = 0.0;
                }
                let is_missing = match missing {
                    Missing::None => false,
                    Missing::Zero => value == 0.0,
                    Missing::Nan => value.is_nan(),
                };
                if is_missing { *default_left } else { value <= *threshold }
            }
            Test::Categorical(set) => set.contains(value),
        }
    }
}

impl CategorySet {
    /// Whether the set has this value, truncated towards zero.
    pub fn contains(&self, value: f64) -> bool {
        // Also false for NaN. From 2^31 on LightGBM's conversion is undefined; on x86-64 it goes right, as here.
        if !(value > -1.0 && value < 2_147_483_648.0) {
            return false;
        }
        let code = value as u32;
        self.0.get(code as usize / 32).is_some_and(|word| word >> (code % 32) & 1 == 1)
    }

    /// The codes of the set, ascending.
    pub fn codes(&self) -> impl Iterator<Item = u32> + '_ {
        self.0
            .iter()
            .zip(0_u32..)
            .flat_map(|(&word, index)| (0..32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 32 + bit))
    }
}

/// LightGBM's prediction turns values of tiny magnitude into +0.0 before anything else.
fn without_tiny(value: f64) -> f64 {
    if value.abs() <= ZERO_THRESHOLD { 0.0 } else { value }
}
