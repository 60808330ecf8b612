//! Every form of products gives the oracle's bits of the expanded pairs.
#![allow(clippy::unwrap_used)]

mod random;

use std::path::Path;

use clickcast_model::trees::{
    CrossLeft, CrossPlan, CrossRight, CrossScratch, Ensemble, Form, PlanError, TreeColumn, lightgbm,
};
use proptest::prelude::*;
use random::{Random, Shape, model, value};

/// Who gives which feature, and how many left entities there are; right ones are the shape's rows.
#[derive(Debug, Clone)]
struct Sides {
    left_percent: usize,
    left_rows: usize,
}

/// Values of each feature, from a few odd ones, on thresholds and off.
fn values(random: &mut Random, shape: &Shape, features: usize, rows: usize) -> Vec<Vec<f64>> {
    (0..features).map(|_| (0..rows).map(|_| value(random, shape)).collect()).collect()
}

/// Scores all pairs with every form and holds them against the oracle's scores of the expanded rows.
fn check(context: &str, ensemble: &Ensemble, shape: &Shape, sides: &Sides, random: &mut Random) {
    let features = ensemble.features().len();
    let is_left: Vec<bool> = (0..features).map(|_| random.below(100) < sides.left_percent).collect();
    let left = values(random, shape, features, sides.left_rows);
    let right = values(random, shape, features, shape.rows);
    let expanded = |pair: usize| -> Vec<f64> {
        let (left_row, right_row) = (pair / shape.rows, pair % shape.rows);
        let value = |feature: usize| if is_left[feature] { left[feature][left_row] } else { right[feature][right_row] };
        (0..features).map(value).collect()
    };
    let pairs = 0..sides.left_rows * shape.rows;
    let expected: Vec<u64> = pairs.map(|pair| ensemble.raw_score(&expanded(pair)).to_bits()).collect();
    // A side's own columns dictionary-coded or plain, the other's of no rows at all.
    let codes: Vec<u32> = (0..shape.rows as u32).collect();
    let left_column = |(feature, values)| if is_left[feature] { TreeColumn::F64(values) } else { TreeColumn::F64(&[]) };
    let left_columns: Vec<TreeColumn<'_>> = left.iter().map(Vec::as_slice).enumerate().map(left_column).collect();
    let right_columns: Vec<TreeColumn<'_>> =
        right.iter().map(|values| TreeColumn::Coded { codes: &codes, values }).collect();
    for form in Form::ALL {
        if !form.is_available() {
            eprintln!("skipped: this machine has no {form:?}");
            continue;
        }
        let plan = CrossPlan::with_form(ensemble, &is_left, form).unwrap();
        let fit = ensemble.trees().iter().all(|tree| tree.linear().is_none() && tree.leaf_values().len() <= 8192);
        assert_eq!(plan.is_sliced(), fit, "{context}");
        let mut scratch = CrossScratch::default();
        let (mut left, mut right) = (CrossLeft::default(), CrossRight::default());
        // Twice: the second time finds used memory.
        for _ in 0..2 {
            plan.left(&left_columns, sides.left_rows, &mut scratch, &mut left).unwrap();
            plan.right(&right_columns, shape.rows, &mut scratch, &mut right).unwrap();
            assert_eq!((left.rows(), right.rows()), (sides.left_rows, shape.rows));
            let mut out = vec![f64::NAN; expected.len()];
            plan.score(&left, &right, &mut scratch, &mut out).unwrap();
            let wrong = out.iter().zip(&expected).position(|(out, expected)| out.to_bits() != *expected);
            assert_eq!(wrong, None, "{context}, {form:?}, left {is_left:?}: first wrong pair");
        }
    }
}

fn check_random(shape: &Shape, sides: &Sides) {
    let random = &mut Random(shape.seed);
    let ensemble = model(random, shape);
    check(&format!("{shape:?} {sides:?}"), &ensemble, shape, sides, random);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_models_score_products_as_by_the_oracle(
        seed in any::<u64>(),
        features in 1_usize..9,
        trees in prop::sample::select(vec![1, 2, 5, 16, 17, 40]),
        leaves_max in prop::sample::select(vec![1, 2, 9, 40, 64, 65, 300]),
        thresholds in prop::sample::select(vec![2, 40, 280]),
        categorical_percent in prop::sample::select(vec![0, 30, 100]),
        left_percent in prop::sample::select(vec![0, 20, 50, 80, 100]),
        left_rows in prop::sample::select(vec![0, 1, 2, 63, 64, 65, 70]),
        rows in prop::sample::select(vec![0, 1, 5, 127, 128, 129, 140]),
    ) {
        let shape = Shape { seed, features, trees, leaves_max, thresholds, categorical_percent, rows };
        check_random(&shape, &Sides { left_percent, left_rows });
    }
}

#[test]
fn several_blocks_and_tiles_score_as_by_the_oracle() {
    let shape =
        Shape { seed: 7, features: 6, trees: 20, leaves_max: 63, thresholds: 40, categorical_percent: 10, rows: 0 };
    for (left_rows, rows) in [(600, 3), (3, 2200), (257, 260)] {
        check_random(&Shape { rows, ..shape.clone() }, &Sides { left_percent: 50, left_rows });
    }
}

#[test]
fn trees_of_thousands_of_leaves_score_products_as_by_the_oracle() {
    let shape = Shape {
        seed: 3,
        features: 4,
        trees: 3,
        leaves_max: 8192,
        thresholds: 70_000,
        categorical_percent: 0,
        rows: 150,
    };
    let larger = Shape { leaves_max: 20_000, rows: 5, ..shape.clone() };
    check_random(&larger, &Sides { left_percent: 50, left_rows: 3 });
    for left_percent in [0, 50, 100] {
        check_random(&shape, &Sides { left_percent, left_rows: 30 });
    }
}

#[test]
fn golden_models_score_products_as_by_the_oracle() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let shape =
        Shape { seed: 5, features: 0, trees: 0, leaves_max: 0, thresholds: 280, categorical_percent: 0, rows: 150 };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let ensemble = lightgbm::parse(&std::fs::read(&path).unwrap()).unwrap();
            let sides = Sides { left_percent: 60, left_rows: 70 };
            check(&path.display().to_string(), &ensemble, &shape, &sides, &mut Random(shape.seed));
        }
    }
}

#[test]
fn sides_that_do_not_fit_are_refused() {
    let shape = Shape { seed: 1, features: 2, trees: 2, leaves_max: 9, thresholds: 9, categorical_percent: 0, rows: 0 };
    let ensemble = model(&mut Random(1), &shape);
    let refused = CrossPlan::new(&ensemble, &[true]).map(|_| ());
    assert_eq!(refused, Err(PlanError::Columns { given: 1, features: 2 }));
    let plan = CrossPlan::new(&ensemble, &[true, false]).unwrap();
    let scratch = &mut CrossScratch::default();
    let columns = [TreeColumn::F32(&[1.0]), TreeColumn::F32(&[])];
    let (mut left, mut right) = (CrossLeft::default(), CrossRight::default());
    let refused = plan.left(&columns, 2, scratch, &mut left);
    assert_eq!(refused, Err(PlanError::Rows { column: 0, given: 1, rows: 2 }));
    let refused = plan.right(&columns, 2, scratch, &mut right);
    assert_eq!(refused, Err(PlanError::Rows { column: 1, given: 0, rows: 2 }));
    plan.left(&columns, 1, scratch, &mut left).unwrap();
    plan.right(&[TreeColumn::Constant(0.0); 2], 3, scratch, &mut right).unwrap();
    assert_eq!(plan.score(&left, &right, scratch, &mut [0.0; 2]), Err(PlanError::Out { given: 2, rows: 3 }));
}
