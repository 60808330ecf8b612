//! One `Tree=` section.

use super::super::ir::{CategorySet, Child, Comparison, LinearLeaf, Missing, Node, Test, Tree};
use super::error::ParseError;
use super::section::Section;

/// LightGBM's own bound on `num_leaves` is 131,072.
const LEAVES_MAX: usize = 131_072;

/// Reads and checks a tree of a model with `features` columns.
pub(super) fn tree(section: &Section<'_>, features: usize) -> Result<Tree, ParseError> {
    let entry = section.require("num_leaves")?;
    let leaves = entry.number::<usize>()?;
    if leaves == 0 || leaves > LEAVES_MAX {
        return Err(entry.error(format!("{leaves} leaves; a tree has 1 to {LEAVES_MAX}")));
    }
    let leaf_values = section.require("leaf_value")?.finite_numbers(leaves)?;
    let nodes = if leaves == 1 { Vec::new() } else { nodes(section, leaves - 1, features)? };
    let place = section.find("left_child").unwrap_or(entry);
    let tree = Tree::new(nodes, leaf_values).map_err(|invalid| place.error(invalid.to_string()))?;
    let is_linear = match section.find("is_linear") {
        None => false,
        Some(entry) => match entry.number::<u8>()? {
            0 => false,
            1 => true,
            other => return Err(entry.error(format!("{other} is neither 0 nor 1"))),
        },
    };
    if !is_linear {
        return Ok(tree);
    }
    let models = linear_leaves(section, leaves, features)?;
    tree.with_linear(models).map_err(|invalid| entry.error(invalid.to_string()))
}

fn nodes(section: &Section<'_>, count: usize, features: usize) -> Result<Vec<Node>, ParseError> {
    let split_feature = section.require("split_feature")?;
    let split_features = split_feature.numbers::<u32>(count)?;
    if let Some(&bad) = split_features.iter().find(|&&feature| feature as usize >= features) {
        return Err(split_feature.error(format!("feature {bad}, but the model has {features}")));
    }
    let left = section.require("left_child")?.numbers::<i32>(count)?;
    let right = section.require("right_child")?.numbers::<i32>(count)?;
    let tests = tests(section, count)?;
    let child = |index: i32| if index >= 0 { Child::Node(index as u32) } else { Child::Leaf(!index as u32) };
    Ok(tests
        .into_iter()
        .enumerate()
        .map(|(index, test)| Node {
            feature: split_features[index],
            test,
            left: child(left[index]),
            right: child(right[index]),
        })
        .collect())
}

fn tests(section: &Section<'_>, count: usize) -> Result<Vec<Test>, ParseError> {
    const CATEGORICAL: u8 = 1;
    const DEFAULT_LEFT: u8 = 2;
    let thresholds_entry = section.require("threshold")?;
    let thresholds = thresholds_entry.numbers::<f64>(count)?;
    let decision_entry = section.require("decision_type")?;
    let decisions = decision_entry.numbers::<u8>(count)?;
    let mut sets = category_sets(section)?;
    let mut tests = Vec::with_capacity(thresholds.len());
    for (&threshold, &decision) in thresholds.iter().zip(&decisions) {
        if decision & CATEGORICAL != 0 {
            // A negative, fractional or NaN index finds no set either.
            let index = if threshold.fract() == 0.0 && threshold >= 0.0 { threshold as usize } else { usize::MAX };
            // Taken, not copied: sets shared by many nodes would let a small file ask for much memory.
            let set = sets.get_mut(index).and_then(Option::take).ok_or_else(|| {
                thresholds_entry.error(format!("category set {threshold} is not there or used twice"))
            })?;
            tests.push(Test::Categorical(set));
            continue;
        }
        if threshold.is_nan() {
            return Err(thresholds_entry.error("a threshold is NaN"));
        }
        let missing = match decision >> 2 {
            0 => Missing::None,
            1 => Missing::Zero,
            2 => Missing::Nan,
            _ => return Err(decision_entry.error(format!("{decision} is no decision type"))),
        };
        let (comparison, default_left) = (Comparison::LessOrEqual, decision & DEFAULT_LEFT != 0);
        tests.push(Test::Numeric { threshold, comparison, missing, default_left });
    }
    Ok(tests)
}

fn category_sets(section: &Section<'_>) -> Result<Vec<Option<CategorySet>>, ParseError> {
    let count_entry = section.require("num_cat")?;
    let count = count_entry.number::<usize>()?;
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > LEAVES_MAX {
        return Err(count_entry.error(format!("{count} category sets; a tree has fewer than {LEAVES_MAX} splits")));
    }
    let entry = section.require("cat_boundaries")?;
    let boundaries = entry.numbers::<usize>(count + 1)?;
    // Category codes are below 2^31, hence a set has 2^26 words at most.
    if boundaries.windows(2).any(|pair| pair[1].saturating_sub(pair[0]) > 1 << 26) {
        return Err(entry.error("a category set of more than 2^31 codes"));
    }
    let words_entry = section.require("cat_threshold")?;
    let words = words_entry.numbers::<u32>(boundaries[count])?;
    if boundaries[0] != 0 {
        return Err(entry.error("the first is not 0"));
    }
    boundaries
        .windows(2)
        .map(|pair| match words.get(pair[0]..pair[1]) {
            Some(set) => CategorySet::new(set).map(Some).map_err(|invalid| entry.error(invalid.to_string())),
            None => Err(entry.error("not in ascending order")),
        })
        .collect()
}

fn linear_leaves(section: &Section<'_>, leaves: usize, features: usize) -> Result<Vec<LinearLeaf>, ParseError> {
    let constants = section.require("leaf_const")?.finite_numbers(leaves)?;
    let counts_entry = section.require("num_features")?;
    let counts = counts_entry.numbers::<usize>(leaves)?;
    let total = counts
        .iter()
        .try_fold(0_usize, |sum, &count| sum.checked_add(count))
        .ok_or_else(|| counts_entry.error("the sum overflows"))?;
    let features_entry = section.require("leaf_features")?;
    let leaf_features = features_entry.numbers::<u32>(total)?;
    if let Some(&bad) = leaf_features.iter().find(|&&feature| feature as usize >= features) {
        return Err(features_entry.error(format!("feature {bad}, but the model has {features}")));
    }
    let coefficients = section.require("leaf_coeff")?.finite_numbers(total)?;
    let mut terms = leaf_features.into_iter().zip(coefficients);
    Ok(constants
        .into_iter()
        .zip(counts)
        .map(|(constant, count)| LinearLeaf { constant, terms: terms.by_ref().take(count).collect() })
        .collect())
}
