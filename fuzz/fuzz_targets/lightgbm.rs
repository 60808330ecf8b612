//! A LightGBM file is read or refused, and what was read scores alike by the oracle and by the plan.
#![no_main]

use clickcast_model::trees::{Form, Plan, Scratch, TreeColumn, lightgbm};
use libfuzzer_sys::fuzz_target;

/// Missing, zeros of both signs, LightGBM's zero threshold, codes, and the ends of the range.
const VALUES: [f64; 16] = [
    f64::NAN,
    0.0,
    -0.0,
    1e-35,
    -1e-35,
    1.0,
    2.0,
    31.0,
    32.0,
    -1.0,
    0.5,
    -0.5,
    1e300,
    4294967296.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
];
/// More than a block's first word, and not whole words.
const ROWS: usize = 70;
/// Scoring thousands of columns would take the time of reading many files.
const FEATURES_MAX: usize = 256;

fuzz_target!(|text: &[u8]| {
    let Ok(ensemble) = lightgbm::parse(text) else { return };
    let features = ensemble.features().len();
    if features > FEATURES_MAX {
        return;
    }
    let value =
        |row: usize, feature: usize| VALUES[(row * (2 * feature + 1) + feature + row / VALUES.len()) % VALUES.len()];
    let columns: Vec<Vec<f64>> =
        (0..features).map(|feature| (0..ROWS).map(|row| value(row, feature)).collect()).collect();
    let columns: Vec<TreeColumn<'_>> = columns.iter().map(|values| TreeColumn::F64(values)).collect();
    for form in [Form::best(), Form::Portable] {
        let mut scores = [0.0; ROWS];
        let plan = Plan::with_form(&ensemble, form);
        plan.score(&columns, ROWS, &mut Scratch::default(), &mut scores).expect("the columns fit the model");
        for (row, &score) in scores.iter().enumerate() {
            let values: Vec<f64> = (0..features).map(|feature| value(row, feature)).collect();
            let raw = ensemble.raw_score(&values);
            let same = raw.to_bits() == score.to_bits() || raw.is_nan() && score.is_nan();
            assert!(same, "row {row}, {form:?}: the oracle says {raw:?}, the plan {score:?}");
            let probability = ensemble.probability(raw);
            assert!(raw.is_nan() || (0.0..=1.0).contains(&probability), "{raw:?} became {probability:?}");
        }
    }
});
