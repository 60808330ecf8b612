//! A model carries rows by which it tries itself.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use arrow_array::StringArray;
use bytes::Bytes;
use clickcast_model::artifact::{Artifact, Training};
use clickcast_model::calibration::Calibration;
use clickcast_model::encode::{Coding, Encoder};
use clickcast_model::factors::{FactorFamily, Factors, Shape};
use clickcast_model::{Model, golden};
use clickcast_record::hash::{integer, text};
use clickcast_record::{Batch, Categorical, Categories, Column, Feature, Kind, Multi, Numeric, Schema, Side};

const GOLDEN: &str = "golden.json";

fn model(weight: f32) -> Model {
    let hashes = |mut hashes: Vec<u64>| {
        hashes.sort_unstable();
        hashes
    };
    let integers = || hashes((0..9).map(integer).collect());
    let codings = vec![
        ("price", Kind::Numeric, Coding::Bins { edges: vec![-0.5, 0.0, 0.25, 0.5] }),
        ("country", Kind::Categorical, Coding::Categories { hashes: hashes(["de", "fr", "it"].map(text).to_vec()) }),
        ("ad", Kind::Categorical, Coding::Categories { hashes: integers() }),
        ("interests", Kind::Multi, Coding::Lists { hashes: integers() }),
    ];
    let features = codings.iter().map(|(name, kind, _)| Feature::new(*name, *kind, Side::Context)).collect();
    let schema = Schema::new(features).unwrap();
    let fields = codings.len();
    let encoder =
        Encoder::new(codings.into_iter().map(|(name, _, coding)| (name.to_owned(), coding)).collect()).unwrap();
    let shape = Shape { family: FactorFamily::Fm, k: 4, fields };
    let weights =
        (0..encoder.slots() as usize * shape.stride()).map(|slot| weight * (slot % 13) as f32 - 0.4).collect();
    let factors = Factors::new(shape, -1.5, weights, &encoder).unwrap();
    let (data_hash, notes) = (String::new(), Vec::new());
    let training = Training { rows: 1, positives: 1, times: None, data_hash, held_out: None, notes };
    Model::from_factors(schema, encoder, factors, Calibration::Identity, training).unwrap()
}

/// Values of every kind, those that JSON has no word for among them.
fn batch(rows: usize) -> Batch {
    let prices = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.1, 0.25, f64::MIN_POSITIVE];
    let countries = StringArray::from(vec!["de", "it", "a \"quoted\" one \u{1f600}"]);
    let many = |row: usize| row % 4;
    let mut offsets = vec![0];
    (0..rows).for_each(|row| offsets.push(offsets[row] + many(row)));
    let items = offsets[rows];
    Batch {
        rows,
        first_row: 0,
        features: vec![
            Column::Numeric(Numeric::F64((0..rows).map(|row| prices[row % prices.len()]).collect())),
            Column::Categorical(Categorical::Coded {
                codes: (0..rows).map(|row| row as u32 % 4).collect(),
                categories: Categories::Text(countries),
            }),
            Column::Categorical(Categorical::Integers {
                values: (0..rows).map(|row| row as i64 % 12).collect(),
                nulls: Some((0..rows).map(|row| row % 5 != 0).collect::<Vec<_>>().into()),
            }),
            Column::Multi(Multi {
                offsets,
                values: Categorical::Integers {
                    values: (0..items).map(|item| item as i64 % 11).collect(),
                    nulls: None,
                },
            }),
        ],
        labels: None,
        weights: None,
        times: None,
        carried: Vec::new(),
    }
}

fn read_again(model: &Model, golden: Option<Bytes>) -> Model {
    let artifact = model.artifact();
    let names: Vec<String> = artifact.manifest().payloads.keys().cloned().collect();
    let mut payloads: BTreeMap<String, Bytes> =
        names.into_iter().map(|name| (name.clone(), artifact.payload(&name).unwrap().clone())).collect();
    payloads.extend(golden.map(|bytes| (GOLDEN.to_owned(), bytes)));
    Model::from_artifact(Artifact::new(artifact.manifest().clone(), payloads)).unwrap()
}

#[test]
fn a_model_says_of_its_golden_rows_what_it_said_before() {
    for rows in [1, 7, 32, 1000] {
        let model = model(0.1).with_golden(golden::Rows::of(&batch(rows))).unwrap();
        assert_eq!(model.golden_difference().unwrap(), Some(0.0), "{rows} rows");
        let again = read_again(&model, None);
        assert_eq!(again.golden_difference().unwrap(), Some(0.0), "{rows} rows");
        assert_eq!(again.artifact(), model.artifact(), "adding a payload describes it as reading does");
    }
    assert_eq!(model(0.1).golden_difference().unwrap(), None, "it was made without");
}

#[test]
fn another_models_golden_rows_are_off_and_damaged_ones_are_said_to_be() {
    let golden = model(0.1).with_golden(golden::Rows::of(&batch(100))).unwrap();
    let golden = golden.artifact().payload(GOLDEN).unwrap().clone();
    let difference = read_again(&model(0.3), Some(golden.clone())).golden_difference().unwrap().unwrap();
    assert!(difference > 1e-3, "{difference}");
    let golden = String::from_utf8(golden.to_vec()).unwrap();
    for (from, to) in [("\"rows\":{", "\"rows\":"), ("\"rows\":25", "\"rows\":3"), ("\"scores\":[", "\"scores\":[0.5,")]
    {
        assert!(golden.contains(from), "{from} in {golden}");
        let damaged = golden.replacen(from, to, 1);
        let error = read_again(&model(0.1), Some(damaged.into())).golden_difference().unwrap_err();
        assert!(error.to_string().contains("golden.json"), "{error}");
    }
}
