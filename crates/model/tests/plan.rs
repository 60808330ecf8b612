//! Every form of the fast path gives the oracle's bits.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;

use clickcast_model::trees::{Ensemble, Form, Plan, PlanError, Scratch, TreeColumn};
use proptest::prelude::*;

/// A small deterministic generator (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const ODD: [f64; 16] = [
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
struct Shape {
    seed: u64,
    features: usize,
    trees: usize,
    leaves_max: usize,
    thresholds: usize,
    categorical_percent: usize,
    rows: usize,
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

fn model(random: &mut Random, shape: &Shape) -> Ensemble {
    let names = vec!["f"; shape.features].join(" ");
    let mut text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx={}\nobjective=binary sigmoid:1\nfeature_names={names}\n\n",
        shape.features - 1
    );
    for _ in 0..shape.trees {
        tree(random, shape, &mut text);
    }
    text.push_str("end of trees\n");
    Ensemble::parse(text.as_bytes()).unwrap()
}

fn value(random: &mut Random, shape: &Shape) -> f64 {
    match random.below(4) {
        0 => random.pick(&ODD),
        1 => random.below(130) as f64,
        _ => threshold(random, shape),
    }
}

/// Scores the same rows with the oracle and every form, in plain and dictionary-coded columns.
fn check(context: &str, ensemble: &Ensemble, columns: &[TreeColumn<'_>], rows: usize) {
    let row = |row: usize| -> Vec<f64> {
        let value = |column: &TreeColumn<'_>| match column {
            TreeColumn::F32(values) => f64::from(values[row]),
            TreeColumn::F64(values) => values[row],
            TreeColumn::Coded { codes, values } => values[codes[row] as usize],
            TreeColumn::Constant(value) => *value,
        };
        columns.iter().map(value).collect()
    };
    let expected: Vec<u64> = (0..rows).map(|index| ensemble.raw_score(&row(index)).to_bits()).collect();
    for form in Form::ALL {
        if !form.is_available() {
            eprintln!("skipped: this machine has no {form:?}");
            continue;
        }
        let plan = Plan::with_form(ensemble, form);
        let mut scratch = Scratch::default();
        // Twice: the second call finds a used scratch.
        for _ in 0..2 {
            let mut out = vec![f64::NAN; rows];
            plan.score(columns, rows, &mut scratch, &mut out).unwrap();
            let wrong = out.iter().zip(&expected).position(|(out, expected)| out.to_bits() != *expected);
            assert_eq!(wrong, None, "{context}, {form:?}: first wrong row, of {rows}");
        }
    }
}

fn check_random(shape: &Shape) {
    let random = &mut Random(shape.seed);
    let ensemble = model(random, shape);
    let dense: Vec<Vec<f64>> =
        (0..shape.features).map(|_| (0..shape.rows).map(|_| value(random, shape)).collect()).collect();
    let single: Vec<Vec<f32>> = dense.iter().map(|values| values.iter().map(|&value| value as f32).collect()).collect();
    let dictionary: Vec<f64> = (0..1 + random.below(400)).map(|_| value(random, shape)).collect();
    let codes: Vec<u32> = (0..shape.rows).map(|_| random.below(dictionary.len()) as u32).collect();
    let columns: Vec<TreeColumn<'_>> = (0..shape.features)
        .map(|feature| match random.below(5) {
            0 => TreeColumn::Coded { codes: &codes, values: &dictionary },
            1 => TreeColumn::Constant(value(random, shape)),
            2 => TreeColumn::F32(&single[feature]),
            _ => TreeColumn::F64(&dense[feature]),
        })
        .collect();
    assert!(Plan::new(&ensemble).is_sliced());
    check(&format!("{shape:?}"), &ensemble, &columns, shape.rows);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_models_score_as_by_the_oracle(
        seed in any::<u64>(),
        features in 1_usize..6,
        trees in 1_usize..9,
        leaves_max in prop::sample::select(vec![1, 2, 9, 63, 64, 65, 300]),
        thresholds in prop::sample::select(vec![2, 40, 280]),
        categorical_percent in prop::sample::select(vec![0, 30, 100]),
        rows in prop::sample::select(vec![0, 1, 7, 40, 63, 64, 65, 128, 129, 256, 300, 600]),
    ) {
        check_random(&Shape { seed, features, trees, leaves_max, thresholds, categorical_percent, rows });
    }
}

#[test]
fn trees_of_thousands_of_leaves_and_thresholds_score_as_by_the_oracle() {
    let base = Shape {
        seed: 3,
        features: 2,
        trees: 2,
        leaves_max: 9000,
        thresholds: 70_000,
        categorical_percent: 0,
        rows: 300,
    };
    check_random(&base);
    check_random(&Shape { seed: 4, features: 1, trees: 6, leaves_max: 600, categorical_percent: 50, ..base });
}

#[test]
fn few_rows_of_many_features_score_as_by_the_oracle() {
    // Four ways to treat missing values a feature: rows of 40, 80, 180 and 360 bytes, the last too many for jumping.
    for features in [10, 20, 45, 90] {
        for rows in [1, 16] {
            check_random(&Shape {
                seed: 6,
                features,
                trees: 60,
                leaves_max: 64,
                thresholds: 90,
                categorical_percent: 0,
                rows,
            });
        }
    }
}

#[test]
fn rows_with_much_in_common_score_as_by_the_oracle() {
    for (seed, features) in (0..40).zip([2, 10, 20, 45].into_iter().cycle()) {
        let random = &mut Random(seed);
        let rows = random.pick(&[17, 64, 65, 128, 129, 600]);
        let shape = Shape { seed, features, trees: 20, leaves_max: 64, thresholds: 90, categorical_percent: 0, rows };
        let ensemble = model(random, &shape);
        let own: Vec<Vec<f64>> = (0..features).map(|_| (0..rows).map(|_| value(random, &shape)).collect()).collect();
        let single = vec![random.pick(&ODD) as f32; rows];
        let columns: Vec<TreeColumn<'_>> = (0..features)
            .map(|feature| match random.below(4) {
                0 => TreeColumn::F64(&own[feature]),
                1 => TreeColumn::F32(&single),
                2 => TreeColumn::Coded { codes: &[3; 600], values: &[0.5, 1.0, 2.0, -1.5] },
                _ => TreeColumn::Constant(value(random, &shape)),
            })
            .collect();
        check(&format!("{shape:?}"), &ensemble, &columns, rows);
    }
}

#[test]
fn golden_models_score_as_by_the_oracle() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let ensemble = Ensemble::parse(&std::fs::read(&path).unwrap()).unwrap();
        let linear = ensemble.trees().iter().any(|tree| tree.linear().is_some());
        assert_eq!(Plan::new(&ensemble).is_sliced(), !linear, "{}", path.display());
        let shape =
            Shape { seed: 5, features: 0, trees: 0, leaves_max: 0, thresholds: 280, categorical_percent: 0, rows: 700 };
        let random = &mut Random(shape.seed);
        let dense: Vec<Vec<f64>> =
            ensemble.features().iter().map(|_| (0..shape.rows).map(|_| value(random, &shape)).collect()).collect();
        let columns: Vec<TreeColumn<'_>> = dense.iter().map(|values| TreeColumn::F64(values)).collect();
        check(&path.display().to_string(), &ensemble, &columns, shape.rows);
    }
}

#[test]
fn columns_that_do_not_fit_are_refused() {
    let shape = Shape { seed: 1, features: 2, trees: 2, leaves_max: 9, thresholds: 9, categorical_percent: 0, rows: 0 };
    let plan = Plan::new(&model(&mut Random(1), &shape));
    let constant = TreeColumn::Constant(0.0);
    let cases = [
        (vec![constant], 2, PlanError::Columns { given: 1, features: 2 }),
        (vec![constant, TreeColumn::F32(&[1.0])], 2, PlanError::Rows { column: 1, given: 1, rows: 2 }),
        (
            vec![TreeColumn::Coded { codes: &[0, 3], values: &[1.0; 3] }, constant],
            2,
            PlanError::Code { column: 0, code: 3, entries: 3 },
        ),
        (vec![constant, constant], 3, PlanError::Out { given: 2, rows: 3 }),
    ];
    for (columns, rows, error) in cases {
        assert_eq!(plan.score(&columns, rows, &mut Scratch::default(), &mut [0.0; 2]), Err(error));
    }
}
