//! From an ensemble to columns of codes, predicate planes and a forest.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use clickcast_kernel::trees::{Bins, Forest, Slot, Split, lower_bound};

use super::super::ir::{CategorySet, Child, Comparison, Ensemble, Missing, Node, SumWidth, Test, Tree};

/// Models with larger tables are scored by the oracle: the tables would not pay.
const TABLE_BYTES_MAX: usize = 1 << 28;

/// A compiled ensemble.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) columns: Vec<Column>,
    pub(super) planes: usize,
    pub(super) forest: Forest,
}

/// A used feature: how its values become codes, and codes predicate planes.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) feature: usize,
    pub(super) kind: ColumnKind,
}

#[derive(Debug)]
pub(super) enum ColumnKind {
    /// Codes: those of the bins.
    Numeric { bins: Bins, groups: Vec<PredicateGroup> },
    /// Codes: rows of `table`, which have one bit a category set. Row 0 is of the codes no set has.
    Categorical { row_of_category: Vec<u32>, table: Vec<u64>, words: usize, first_plane: usize },
}

/// The predicates of a feature that treat missing values alike: planes `x <= threshold`, thresholds ascending.
#[derive(Debug)]
pub(super) struct PredicateGroup {
    pub(super) first_plane: usize,
    pub(super) planes: usize,
    /// For each code of the column the index of the first predicate it passes.
    pub(super) bin_of_code: Vec<u16>,
}

impl Column {
    /// Returns the code of a value.
    #[inline]
    pub(super) fn code(&self, value: f64) -> u32 {
        match &self.kind {
            ColumnKind::Numeric { bins, .. } => bins.code(value),
            ColumnKind::Categorical { row_of_category, .. } => {
                if !(value > -1.0 && value < 4_294_967_296.0) {
                    return 0;
                }
                row_of_category.get(value as usize).copied().unwrap_or(0)
            }
        }
    }
}

/// A predicate's key within its numeric feature. Thresholds are ordered by their bits made monotone.
type NumericKey = (Missing, bool, u64);

/// The predicates of some of an ensemble's splits: the columns they compare, and the plane of each.
#[derive(Debug)]
pub(super) struct Predicates<'a> {
    pub(super) columns: Vec<Column>,
    pub(super) planes: usize,
    numeric_plane: HashMap<(u32, NumericKey), usize>,
    set_plane: HashMap<(u32, &'a CategorySet), usize>,
}

impl<'a> Predicates<'a> {
    /// `None` if tables would be too large.
    pub(super) fn new(nodes: impl Iterator<Item = &'a Node>) -> Option<Self> {
        let mut numeric: BTreeMap<u32, BTreeSet<NumericKey>> = BTreeMap::new();
        let mut sets: BTreeMap<u32, Vec<&CategorySet>> = BTreeMap::new();
        let mut set_plane: HashMap<(u32, &CategorySet), usize> = HashMap::new();
        for node in nodes {
            match &node.test {
                Test::Numeric { .. } => {
                    numeric.entry(node.feature).or_default().extend(numeric_key(&node.test));
                }
                Test::Categorical(set) => {
                    set_plane.entry((node.feature, set)).or_insert_with(|| {
                        let sets = sets.entry(node.feature).or_default();
                        sets.push(set);
                        sets.len() - 1
                    });
                }
            }
        }
        let mut columns = Vec::new();
        let mut planes = 0;
        let mut numeric_plane: HashMap<(u32, NumericKey), usize> = HashMap::new();
        for (feature, keys) in &numeric {
            numeric_plane.extend(keys.iter().enumerate().map(|(index, &key)| ((*feature, key), planes + index)));
            columns.push(numeric_column(*feature, keys, planes)?);
            planes += keys.len();
        }
        if !sets.is_empty() {
            // A row's bits are then copied by the word.
            planes = planes.next_multiple_of(64);
        }
        for (feature, sets) in &sets {
            for set in sets {
                *set_plane.get_mut(&(*feature, *set))? += planes;
            }
            columns.push(category_column(*feature, sets, planes)?);
            planes += 64 * sets.len().div_ceil(64);
        }
        Some(Self { columns, planes, numeric_plane, set_plane })
    }

    /// Returns the plane of a split; `None` if it is not of those given.
    pub(super) fn plane(&self, node: &Node) -> Option<usize> {
        match &node.test {
            Test::Numeric { .. } => self.numeric_plane.get(&(node.feature, numeric_key(&node.test)?)).copied(),
            Test::Categorical(set) => self.set_plane.get(&(node.feature, set)).copied(),
        }
    }
}

/// Returns whether the engine's sums are the ensemble's: they are of constants, in 64 bits.
pub(super) fn fits(ensemble: &Ensemble) -> bool {
    ensemble.sum() == SumWidth::F64 && ensemble.trees().iter().all(|tree| tree.linear().is_none())
}

/// Returns the output of a leaf to add first, as a tree of its own, if the sum does not start at zero.
pub(super) fn base_leaf(ensemble: &Ensemble) -> Option<f64> {
    (ensemble.base_score() != 0.0).then(|| ensemble.base_score())
}

/// Compiles an ensemble, or returns `None` if the bit-sliced engine can't score it: linear trees, giant trees, sums in 32 bits,
/// tables that would be too large.
pub(super) fn compile(ensemble: &Ensemble) -> Option<Compiled> {
    if !fits(ensemble) {
        return None;
    }
    let predicates = Predicates::new(ensemble.trees().iter().flat_map(|tree| tree.nodes()))?;
    let mut forest = Forest::new(predicates.planes);
    if let Some(base) = base_leaf(ensemble) {
        forest.push(&[], &[base]).ok()?;
    }
    for tree in ensemble.trees() {
        let splits: Vec<Split> =
            splits(tree, |node| predicates.plane(node))?.into_iter().map(|(_, split)| split).collect();
        forest.push(&splits, tree.leaf_values()).ok()?;
    }
    Some(Compiled { columns: predicates.columns, planes: predicates.planes, forest })
}

/// Returns the key of a test. Tests that route all values alike have equal keys: without a missing value the default side does
/// not matter.
fn numeric_key(test: &Test) -> Option<NumericKey> {
    let Test::Numeric { threshold, comparison, missing, default_left } = test else { return None };
    // No number lies between.
    let at_most = match comparison {
        Comparison::LessOrEqual => *threshold,
        Comparison::Less => threshold.next_down(),
    };
    // NaN counts as 0 if there is no missing value: then it goes left like any other zero.
    let (missing, nan_left) = match missing {
        Missing::None => (Missing::Nan, 0.0 <= at_most),
        other => (*other, *default_left),
    };
    // -0.0 and 0.0 compare equal.
    let bits = (at_most + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    Some((missing, nan_left, ordered))
}

fn threshold_of(key: NumericKey) -> f64 {
    let ordered = key.2;
    f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered })
}

fn numeric_column(feature: u32, keys: &BTreeSet<NumericKey>, first_plane: usize) -> Option<Column> {
    let mut thresholds: Vec<f64> = keys.iter().map(|&key| threshold_of(key)).collect();
    thresholds.sort_unstable_by(f64::total_cmp);
    thresholds.dedup();
    let zero_is_apart = keys.iter().any(|key| key.0 == Missing::Zero);
    let mut groups = Vec::new();
    let mut done = 0;
    let keys: Vec<NumericKey> = keys.iter().copied().collect();
    for group in keys.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let (missing, missing_left, _) = group[0];
        let own: Vec<f64> = group.iter().map(|&key| threshold_of(key)).collect();
        let bin = |value: f64| lower_bound(&own, value) as usize;
        let default = if missing_left { 0 } else { own.len() };
        // Code `c` below the NaN code stands for values up to thresholds[c] and above the one before; the last for all above.
        let mut bins: Vec<usize> = thresholds.iter().map(|&threshold| bin(threshold)).collect();
        bins.extend([own.len(), default]);
        if zero_is_apart {
            bins.push(if missing == Missing::Zero { default } else { bin(0.0) });
        }
        let bin_of_code = bins.into_iter().map(|bin| u16::try_from(bin).ok()).collect::<Option<_>>()?;
        groups.push(PredicateGroup { first_plane: first_plane + done, planes: own.len(), bin_of_code });
        done += own.len();
    }
    Some(Column {
        feature: feature as usize,
        kind: ColumnKind::Numeric { bins: Bins::new(thresholds, zero_is_apart), groups },
    })
}

fn category_column(feature: u32, sets: &[&CategorySet], first_plane: usize) -> Option<Column> {
    let words = sets.len().div_ceil(64);
    let mut members: Vec<(u32, u32)> =
        sets.iter().zip(0..).flat_map(|(set, index)| set.codes().map(move |code| (code, index))).collect();
    members.sort_unstable();
    let categories = members.last().map_or(0, |&(code, _)| code as usize + 1);
    if categories * 4 > TABLE_BYTES_MAX {
        return None;
    }
    let mut row_of_category = vec![0; categories];
    let mut rows: HashMap<Vec<u64>, u32> = HashMap::from([(vec![0; words], 0)]);
    let mut table = vec![0; words];
    for group in members.chunk_by(|a, b| a.0 == b.0) {
        let mut bits = vec![0_u64; words];
        for &(_, set) in group {
            bits[set as usize / 64] |= 1 << (set % 64);
        }
        let next = rows.len() as u32;
        let row = *rows.entry(bits).or_insert_with_key(|bits| {
            table.extend_from_slice(bits);
            next
        });
        row_of_category[group[0].0 as usize] = row;
        if table.len() * 8 > TABLE_BYTES_MAX {
            return None;
        }
    }
    Some(Column {
        feature: feature as usize,
        kind: ColumnKind::Categorical { row_of_category, table, words, first_plane },
    })
}

/// Returns a tree's splits in breadth-first order, each with the node it is of.
pub(super) fn splits(tree: &Tree, plane_of: impl Fn(&Node) -> Option<usize>) -> Option<Vec<(&Node, Split)>> {
    let mut order: Vec<u32> = if tree.nodes().is_empty() { Vec::new() } else { vec![0] };
    let mut splits = Vec::with_capacity(tree.nodes().len());
    while splits.len() < order.len() {
        let node = &tree.nodes()[order[splits.len()] as usize];
        let mut slot = |child| match child {
            Child::Leaf(leaf) => u16::try_from(leaf).ok().map(Slot::Leaf),
            Child::Node(index) => {
                order.push(index);
                u16::try_from(order.len() - 1).ok().map(Slot::Split)
            }
        };
        let (left, right) = (slot(node.left)?, slot(node.right)?);
        splits.push((node, Split { plane: u32::try_from(plane_of(node)?).ok()?, left, right }));
    }
    Some(splits)
}
