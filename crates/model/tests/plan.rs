//! Every form of the fast path gives the oracle's bits.
#![allow(clippy::unwrap_used)]

use std::path::Path;

mod random;

use clickcast_model::trees::{Ensemble, Form, Plan, PlanError, Scratch, SumWidth, TreeColumn, lightgbm};
use proptest::prelude::*;
use random::{ODD, Random, Shape, model, value, with};

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
        let ensemble = lightgbm::parse(&std::fs::read(&path).unwrap()).unwrap();
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

#[test]
fn sums_in_32_bits_are_left_to_the_oracle() {
    let shape =
        Shape { seed: 9, features: 3, trees: 20, leaves_max: 31, thresholds: 40, categorical_percent: 20, rows: 100 };
    let random = &mut Random(shape.seed);
    let wide = model(random, &shape);
    let narrow = with(&wide, wide.trees().to_vec(), 0.1, SumWidth::F32);
    assert!(!Plan::new(&narrow).is_sliced());
    let values: Vec<Vec<f64>> = (0..3).map(|_| (0..100).map(|_| value(random, &shape)).collect()).collect();
    let columns: Vec<TreeColumn<'_>> = values.iter().map(|values| TreeColumn::F64(values)).collect();
    check("a narrow sum", &narrow, &columns, 100);
}
