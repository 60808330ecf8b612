//! One tree: its splits, its leaves, and the walk that is the oracle of every faster path.

use clickcast_kernel::trees::ZERO_THRESHOLD;

use super::{CategorySet, Invalid};

/// One tree. Without nodes it is the constant of its only leaf.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    nodes: Vec<Node>,
    leaf_values: Vec<f64>,
    linear: Option<Vec<LinearLeaf>>,
}

/// A split: rows that pass the test go left.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Index of the feature tested.
    pub feature: u32,
    /// The test.
    pub test: Test,
    /// Where rows that pass go.
    pub left: Child,
    /// Where all other rows go.
    pub right: Child,
}

/// The test of a split.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Passes when the value compares with the threshold; missing values take the default side.
    Numeric {
        /// Never NaN, and with [`Comparison::Less`] above negative infinity.
        threshold: f64,
        /// How a value compares.
        comparison: Comparison,
        /// Which values are missing.
        missing: Missing,
        /// Whether missing values pass.
        default_left: bool,
    },
    /// Passes when the value, truncated towards zero, is in the set; NaN, negative and unknown values never pass.
    Categorical(CategorySet),
}

/// How a numeric split compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `x <= threshold`.
    LessOrEqual,
    /// `x < threshold`.
    Less,
}

/// Which values a numeric split takes for missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Missing {
    /// No value; NaN counts as 0.
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

/// The linear model in a leaf of a linear tree.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearLeaf {
    /// The intercept.
    pub constant: f64,
    /// Feature index and its coefficient, in the order they are added.
    pub terms: Vec<(u32, f64)>,
}

impl Tree {
    /// Makes a tree of its nodes, the root first, and the outputs of its leaves.
    ///
    /// # Errors
    /// If the nodes are not one tree (each node but the root and each leaf has one parent, of a lower index), a threshold can
    /// not be compared with, or an output is not finite.
    pub fn new(nodes: Vec<Node>, leaf_values: Vec<f64>) -> Result<Self, Invalid> {
        if leaf_values.len() != nodes.len() + 1 {
            return Err(Invalid::new(format!("{} leaves for {} nodes", leaf_values.len(), nodes.len())));
        }
        check_shape(&nodes, leaf_values.len())?;
        for (index, node) in nodes.iter().enumerate() {
            if let Test::Numeric { threshold, comparison, .. } = node.test {
                let passes_none = comparison == Comparison::Less && threshold == f64::NEG_INFINITY;
                if threshold.is_nan() || passes_none {
                    return Err(Invalid::new(format!("node {index} compares with {threshold}")));
                }
            }
        }
        if let Some(leaf) = leaf_values.iter().position(|value| !value.is_finite()) {
            return Err(Invalid::new(format!("the output of leaf {leaf} is not finite")));
        }
        Ok(Self { nodes, leaf_values, linear: None })
    }

    /// Gives each leaf a linear model, whose features must not be missing: else the leaf's output counts.
    ///
    /// # Errors
    /// If there is not one model a leaf, or a number is not finite.
    pub fn with_linear(self, models: Vec<LinearLeaf>) -> Result<Self, Invalid> {
        if models.len() != self.leaf_values.len() {
            return Err(Invalid::new(format!("{} linear models for {} leaves", models.len(), self.leaf_values.len())));
        }
        let is_finite = |model: &LinearLeaf| {
            model.constant.is_finite() && model.terms.iter().all(|(_, coefficient)| coefficient.is_finite())
        };
        if let Some(leaf) = models.iter().position(|model| !is_finite(model)) {
            return Err(Invalid::new(format!("a number of the linear model of leaf {leaf} is not finite")));
        }
        Ok(Self { linear: Some(models), ..self })
    }

    /// Returns every feature that the tree looks at, more than once if need be.
    pub(super) fn features(&self) -> impl Iterator<Item = u32> + '_ {
        let terms = self.linear.iter().flatten().flat_map(|model| &model.terms);
        self.nodes.iter().map(|node| node.feature).chain(terms.map(|&(feature, _)| feature))
    }

    /// Returns the splits; the root first, children after their parents.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns the constant outputs of the leaves, shrinkage included.
    pub fn leaf_values(&self) -> &[f64] {
        &self.leaf_values
    }

    /// Returns the linear models of the leaves, if this is a linear tree.
    pub fn linear(&self) -> Option<&[LinearLeaf]> {
        self.linear.as_deref()
    }

    /// Returns the leaf that a row falls into.
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

    pub(super) fn output(&self, row: &[f64]) -> f64 {
        let leaf = self.leaf(row);
        match &self.linear {
            None => self.leaf_values[leaf],
            Some(models) => models[leaf].output(row).unwrap_or(self.leaf_values[leaf]),
        }
    }
}

impl LinearLeaf {
    /// Returns `None` if a feature of the leaf is missing: then the leaf's constant output counts.
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
    /// Returns whether a value goes left.
    pub fn passes(&self, value: f64) -> bool {
        match self {
            Test::Numeric { threshold, comparison, missing, default_left } => {
                let mut value = without_tiny(value);
                if value.is_nan() && *missing != Missing::Nan {
                    value = 0.0;
                }
                let is_missing = match missing {
                    Missing::None => false,
                    Missing::Zero => value == 0.0,
                    Missing::Nan => value.is_nan(),
                };
                if is_missing {
                    return *default_left;
                }
                match comparison {
                    Comparison::LessOrEqual => value <= *threshold,
                    Comparison::Less => value < *threshold,
                }
            }
            Test::Categorical(set) => set.contains(value),
        }
    }
}

/// Proves that the nodes are one tree: every node but the root and every leaf has exactly one parent, of a lower index.
fn check_shape(nodes: &[Node], leaves: usize) -> Result<(), Invalid> {
    let mut node_seen = vec![false; nodes.len()];
    let mut leaf_seen = vec![false; leaves];
    for (parent, node) in nodes.iter().enumerate() {
        for child in [node.left, node.right] {
            let (name, index, seen) = match child {
                Child::Node(index) => ("node", index as usize, node_seen.get_mut(index as usize)),
                Child::Leaf(index) => ("leaf", index as usize, leaf_seen.get_mut(index as usize)),
            };
            let Some(seen) = seen else {
                let message = format!("node {parent} leads to {name} {index}, which the tree does not have");
                return Err(Invalid::new(message));
            };
            if *seen {
                return Err(Invalid::new(format!("{name} {index} has two parents")));
            }
            *seen = true;
            if matches!(child, Child::Node(_)) && index <= parent {
                return Err(Invalid::new(format!("node {parent} leads back to node {index}")));
            }
        }
    }
    Ok(())
}

/// Turns values of tiny magnitude into +0.0, as LightGBM does before anything else.
fn without_tiny(value: f64) -> f64 {
    if value.abs() <= ZERO_THRESHOLD { 0.0 } else { value }
}
