//! Random models and values for them.
#![allow(dead_code)] // Each file of tests uses a part of it.

use std::fmt::Write;

use clickcast_model::trees::{Comparison, Ensemble, Parts, SumWidth, Test, Tree, lightgbm};

/// A small deterministic generator (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// In -1..1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 8_388_608.0 - 1.0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

pub(crate) const ODD: [f64; 16] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    1e-35,
    -1e-36,
    1.1e-35,
    -0.5,
    -1.0,
    -7.0,
    2.7,
    63.99,
    2_147_483_648.0,
    4_294_967_297.0,
    -1e300,
];

/// Shape of a random model.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    pub(crate) features: usize,
    pub(crate) trees: usize,
    pub(crate) leaves_max: usize,
    pub(crate) thresholds: usize,
    pub(crate) categorical_percent: usize,
    pub(crate) rows: usize,
}

fn threshold(random: &mut Random, shape: &Shape) -> f64 {
    let steps = random.below(shape.thresholds) as f64;
    match random.below(12) {
        0 => random.pick(&ODD[1..]),
        1 => f64::from((steps / 7.0) as f32),
        _ => steps / 7.0 - 20.0,
    }
}

fn tree(random: &mut Random, shape: &Shape, text: &mut String) {
    let leaves = 1 + random.below(shape.leaves_max);
    let nodes = leaves - 1;
    // Grown as LightGBM does: a leaf becomes a node, its left child keeps the leaf's index, the right one is new.
    let mut children = vec![[0_i64; 2]; nodes];
    let mut parent: Vec<Option<(usize, usize)>> = vec![None];
    for node in 0..nodes {
        let leaf = if random.below(4) == 0 { parent.len() - 1 } else { random.below(parent.len()) };
        if let Some((above, side)) = parent[leaf] {
            children[above][side] = node as i64;
        }
        children[node] = [!(leaf as i64), !(parent.len() as i64)];
        parent[leaf] = Some((node, 0));
        parent.push(Some((node, 1)));
    }
    let (mut features, mut thresholds, mut decisions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut boundaries, mut words) = (vec![0], Vec::new());
    for _ in 0..nodes {
        features.push(random.below(shape.features) as f64);
        if random.below(100) < shape.categorical_percent {
            decisions.push((1 + 2 * random.below(2)) as f64);
            thresholds.push((boundaries.len() - 1) as f64);
            for _ in 0..random.below(4) {
                words.push(f64::from(random.next() as u32 & random.next() as u32));
            }
            boundaries.push(words.len());
        } else {
            decisions.push((2 * random.below(2) + 4 * random.below(3)) as f64);
            thresholds.push(threshold(random, shape));
        }
    }
    let values: Vec<f64> = (0..leaves).map(|_| random.next() as i64 as f64 / 1e19).collect();
    let join = |values: &[f64]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let side = |side: usize| join(&children.iter().map(|pair| pair[side] as f64).collect::<Vec<_>>());
    let sets = boundaries.len() - 1;
    write!(text, "Tree=0\nnum_leaves={leaves}\nnum_cat={sets}\nsplit_feature={}\n", join(&features)).unwrap();
    write!(text, "threshold={}\ndecision_type={}\n", join(&thresholds), join(&decisions)).unwrap();
    write!(text, "left_child={}\nright_child={}\nleaf_value={}\n", side(0), side(1), join(&values)).unwrap();
    if sets > 0 {
        let boundaries: Vec<f64> = boundaries.iter().map(|&at| at as f64).collect();
        write!(text, "cat_boundaries={}\ncat_threshold={}\n", join(&boundaries), join(&words)).unwrap();
    }
    text.push('\n');
}

pub(crate) fn model(random: &mut Random, shape: &Shape) -> Ensemble {
    let names = vec!["f"; shape.features].join(" ");
    let mut text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx={}\nobjective=binary sigmoid:1\nfeature_names={names}\n\n",
        shape.features - 1
    );
    for _ in 0..shape.trees {
        tree(random, shape, &mut text);
    }
    text.push_str("end of trees\n");
    varied(&lightgbm::parse(text.as_bytes()).unwrap(), random)
}

/// The same trees with what LightGBM does not have: some splits compare by `<`, and half of the models have a base score.
fn varied(ensemble: &Ensemble, random: &mut Random) -> Ensemble {
    let mut trees = Vec::new();
    for tree in ensemble.trees() {
        let mut nodes = tree.nodes().to_vec();
        for node in &mut nodes {
            if let Test::Numeric { threshold, comparison, .. } = &mut node.test
                && *threshold > f64::NEG_INFINITY
                && random.below(3) == 0
            {
                *comparison = Comparison::Less;
            }
        }
        trees.push(Tree::new(nodes, tree.leaf_values().to_vec()).unwrap());
    }
    let base_score = if random.below(2) == 0 { 0.0 } else { f64::from(random.unit()) };
    with(ensemble, trees, base_score, SumWidth::F64)
}

/// The same ensemble with other trees and another sum.
pub(crate) fn with(ensemble: &Ensemble, trees: Vec<Tree>, base_score: f64, sum: SumWidth) -> Ensemble {
    let (features, link) = (ensemble.features().to_vec(), ensemble.link());
    Ensemble::new(Parts { features, trees, base_score, sum, link, average_output: false }).unwrap()
}

pub(crate) fn value(random: &mut Random, shape: &Shape) -> f64 {
    match random.below(4) {
        0 => random.pick(&ODD),
        1 => random.below(130) as f64,
        _ => threshold(random, shape),
    }
}
