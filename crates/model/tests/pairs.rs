//! Pairs score as the same pairs written out as rows, for every family.
#![allow(clippy::unwrap_used)]

use std::path::Path;

mod random;

use clickcast_model::Model;
use clickcast_model::artifact::{Artifact, Training};
use clickcast_model::calibration::Calibration;
use clickcast_model::cross::{Arithmetic, Cross, Listed, ListedSides, Origin};
use clickcast_model::encode::{Coding, Encoder};
use clickcast_model::factors::{FactorFamily, Factors, Shape};
use clickcast_record::{Batch, Categorical, Column, Feature, Kind, Multi, Numeric, Schema, Side};
use proptest::prelude::*;
use random::Random;

fn kind(field: usize) -> Kind {
    [Kind::Numeric, Kind::Categorical, Kind::Multi][field % 3]
}

/// A factor model of as many fields, of every kind in turn, whose weights look random.
fn factors(family: FactorFamily, k: usize, fields: usize, calibration: Calibration, seed: u64) -> Model {
    let mut random = Random(seed);
    let hashes = || {
        let mut hashes: Vec<u64> = (0..9).map(clickcast_record::hash::integer).collect();
        hashes.sort_unstable();
        hashes
    };
    let coding = |field| match kind(field) {
        Kind::Numeric => Coding::Bins { edges: vec![-0.5, 0.0, 0.25, 0.5] },
        Kind::Categorical => Coding::Categories { hashes: hashes() },
        Kind::Multi => Coding::Lists { hashes: hashes() },
    };
    let encoder = Encoder::new((0..fields).map(|field| (format!("f{field}"), coding(field))).collect()).unwrap();
    let shape = Shape { family, k, fields };
    let weights = (0..encoder.slots() as usize * shape.stride()).map(|_| random.unit() * 0.5).collect();
    let factors = Factors::new(shape, -1.5, weights, &encoder).unwrap();
    let feature = |field| Feature::new(format!("f{field}"), kind(field), Side::Context);
    let schema = Schema::new((0..fields).map(feature).collect()).unwrap();
    let (data_hash, notes) = (String::new(), Vec::new());
    let training = Training { rows: 1, positives: 1, times: None, data_hash, held_out: None, notes };
    Model::from_factors(schema, encoder, factors, calibration, training).unwrap()
}

/// A column of random values, some missing.
fn column(kind: Kind, rows: usize, random: &mut Random) -> Column {
    let integers = |count: usize, random: &mut Random| Categorical::Integers {
        values: (0..count).map(|_| random.below(12) as i64).collect(),
        nulls: Some((0..count).map(|_| random.below(10) > 0).collect::<Vec<_>>().into()),
    };
    match kind {
        Kind::Numeric => {
            let value = |random: &mut Random| if random.below(9) == 0 { f32::NAN } else { random.unit() };
            Column::Numeric(Numeric::F32((0..rows).map(|_| value(random)).collect()))
        }
        Kind::Categorical => Column::Categorical(integers(rows, random)),
        Kind::Multi => {
            let mut offsets = vec![0];
            (0..rows).for_each(|row| offsets.push(offsets[row] + random.below(4)));
            Column::Multi(Multi { values: integers(offsets[rows], random), offsets })
        }
    }
}

/// Some rows of a column, in any order and number.
fn taken(column: &Column, rows: &[usize]) -> Column {
    let categories = |values: &Categorical, rows: &[usize]| match values {
        Categorical::Integers { values, nulls } => Categorical::Integers {
            values: rows.iter().map(|&row| values[row]).collect(),
            nulls: nulls.as_ref().map(|nulls| rows.iter().map(|&row| nulls.is_valid(row)).collect::<Vec<_>>().into()),
        },
        Categorical::Coded { codes, categories } => {
            Categorical::Coded { codes: rows.iter().map(|&row| codes[row]).collect(), categories: categories.clone() }
        }
    };
    match column {
        Column::Numeric(values) => Column::Numeric(Numeric::F64(rows.iter().map(|&row| values.get(row)).collect())),
        Column::Categorical(values) => Column::Categorical(categories(values, rows)),
        Column::Multi(lists) => {
            let (mut offsets, mut items) = (vec![0], Vec::new());
            for &row in rows {
                items.extend(lists.offsets[row]..lists.offsets[row + 1]);
                offsets.push(items.len());
            }
            Column::Multi(Multi { offsets, values: categories(&lists.values, &items) })
        }
    }
}

fn missing(kind: Kind, rows: usize) -> Column {
    let none =
        |rows: usize| Categorical::Integers { values: vec![0; rows].into(), nulls: Some(vec![false; rows].into()) };
    match kind {
        Kind::Numeric => Column::Numeric(Numeric::F64(vec![f64::NAN; rows].into())),
        Kind::Categorical => Column::Categorical(none(rows)),
        Kind::Multi => Column::Multi(Multi { offsets: vec![0; rows + 1], values: none(0) }),
    }
}

fn batch(rows: usize, features: Vec<Column>) -> Batch {
    let carried = Vec::new();
    Batch { rows, first_row: 0, features, labels: None, weights: None, times: None, carried }
}

/// Scores users x ads as pairs and as rows; checks that they agree.
fn check(model: &Model, origins: &[Origin], users: usize, ads: usize, random: &mut Random) {
    let features = model.schema().features();
    let rows_of = |origin: Origin| match origin {
        Origin::User => users,
        Origin::Ad => ads,
        Origin::Constant => 1,
        Origin::Pair => users * ads,
    };
    let columns: Vec<Column> =
        features.iter().zip(origins).map(|(feature, &origin)| column(feature.kind, rows_of(origin), random)).collect();
    let of = |wanted: Origin| {
        let own = columns.iter().zip(origins).filter(|(_, origin)| **origin == wanted);
        batch(rows_of(wanted), own.map(|(column, _)| column.clone()).collect())
    };
    // The pairs as rows.
    let pairs: Vec<(usize, usize)> = (0..users).flat_map(|user| (0..ads).map(move |ad| (user, ad))).collect();
    let expanded = columns.iter().zip(origins).map(|(column, origin)| {
        let rows: Vec<usize> = match origin {
            Origin::User => pairs.iter().map(|pair| pair.0).collect(),
            Origin::Ad => pairs.iter().map(|pair| pair.1).collect(),
            Origin::Constant => vec![0; pairs.len()],
            Origin::Pair => (0..pairs.len()).collect(),
        };
        taken(column, &rows)
    });
    let rows = batch(pairs.len(), expanded.collect());
    let score = |rows: &Batch| {
        let mut scores = Vec::new();
        model.score(rows, &mut clickcast_model::Scratch::default(), &mut scores).unwrap();
        scores
    };
    let with_table = score(&rows);
    // Pairs that no table lists lack what it would say.
    let mut unlisted = rows;
    for ((feature, origin), column) in features.iter().zip(origins).zip(&mut unlisted.features) {
        if *origin == Origin::Pair {
            *column = missing(feature.kind, pairs.len());
        }
    }
    let expected = score(&unlisted);

    let constants = origins.contains(&Origin::Constant).then(|| of(Origin::Constant));
    for arithmetic in [Arithmetic::Fast, Arithmetic::AsRows] {
        let cross = Cross::new(model, origins.to_vec(), constants.as_ref(), arithmetic).unwrap();
        let user_side = cross.encode(Origin::User, &of(Origin::User)).unwrap();
        // The ads come in two batches.
        let cut = ads / 2;
        let part = |rows: std::ops::Range<usize>| {
            let rows: Vec<usize> = rows.collect();
            let features = of(Origin::Ad).features.iter().map(|column| taken(column, &rows)).collect();
            cross.encode(Origin::Ad, &batch(rows.len(), features)).unwrap()
        };
        let ads_prepared = cross.ads(vec![part(0..cut), part(cut..ads)]).unwrap();
        let mut scratch = clickcast_model::cross::Scratch::default();
        if origins.contains(&Origin::Pair) {
            let table = cross.encode(Origin::Pair, &of(Origin::Pair)).unwrap();
            let listed =
                |entry: usize| Listed { user: pairs[entry].0 as u32, ad: pairs[entry].1 as u32, entry: entry as u32 };
            // Any order, and not all.
            let listed: Vec<Listed> = (0..pairs.len()).rev().filter(|entry| entry % 7 != 3).map(listed).collect();
            let mut scores = Vec::new();
            let sides = ListedSides { users: &user_side, ads: &ads_prepared, table: &table };
            cross.score_listed(sides, &listed, &mut scratch, &mut scores).unwrap();
            for (pair, score) in listed.iter().zip(&scores) {
                assert_eq!(score.to_bits(), with_table[pair.entry as usize].to_bits(), "{pair:?}");
            }
            assert_eq!(scores.len(), listed.len());
        }
        let step = users.div_ceil(2).max(1);
        let ads_step = cross.ads_step() * 2;
        for first in (0..users).step_by(step) {
            let block = cross.users(&user_side, first..(first + step).min(users)).unwrap();
            for start in (0..ads).step_by(ads_step) {
                let range = start..(start + ads_step).min(ads);
                let rows = (first + step).min(users) - first;
                let (mut narrow, mut wide) = (vec![f32::NAN; rows * range.len()], vec![f64::NAN; rows * range.len()]);
                cross.score_f32(&block, &ads_prepared, range.clone(), &mut scratch, &mut narrow).unwrap();
                cross.score_f64(&block, &ads_prepared, range.clone(), &mut scratch, &mut wide).unwrap();
                for (place, (&narrow, &wide)) in narrow.iter().zip(&wide).enumerate() {
                    let (user, ad) = (first + place / range.len(), start + place % range.len());
                    let row = expected[user * ads + ad];
                    assert!(
                        (f64::from(narrow) - row).abs() <= 1e-6,
                        "{arithmetic:?} {user} x {ad}: {narrow} for {row}"
                    );
                    if arithmetic == Arithmetic::AsRows {
                        assert_eq!(wide.to_bits(), row.to_bits(), "{user} x {ad}: {wide} for {row}");
                    }
                }
            }
        }
    }
}

fn origins(fields: usize, random: &mut Random) -> Vec<Origin> {
    let mut origins: Vec<Origin> =
        (0..fields).map(|_| [Origin::User, Origin::Ad, Origin::Constant, Origin::Pair][random.below(4)]).collect();
    (origins[0], origins[fields - 1]) = (Origin::User, Origin::Ad);
    origins
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn pairs_of_factor_models_score_as_rows(
        seed in any::<u64>(), family in 0..3_usize, k in 1..20_usize, fields in 2..12_usize,
        calibration in 0..4_usize, users in 1..30_usize, ads in 1..260_usize,
    ) {
        let (family, k) = [(FactorFamily::Lr, 0), (FactorFamily::Fm, k), (FactorFamily::Ffm, k.min(9))][family];
        let staircase = |steep: f64| Calibration::Isotonic {
            log_odds: vec![-4.0, -1.0, 1.0 - steep, 1.0, 3.0],
            probabilities: vec![0.01, 0.2, 0.3, 0.5, 0.9],
        };
        let calibration = match calibration {
            0 => Calibration::Identity,
            1 => Calibration::Platt { slope: 0.8, intercept: -0.3 },
            2 => staircase(1.0),
            _ => staircase(1e-6),
        };
        let model = factors(family, k, fields, calibration, seed);
        let mut random = Random(seed ^ 1);
        let origins = origins(fields, &mut random);
        check(&model, &origins, users, ads, &mut random);
    }
}

#[test]
fn pairs_of_trees_score_as_rows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for name in ["numeric", "categorical_small", "missing_nan", "linear", "cross_entropy", "one_leaf", "random_forest"]
    {
        let text = std::fs::read(folder.join(format!("{name}.txt"))).unwrap();
        let model = Model::from_lightgbm(text, None).unwrap();
        for seed in 0..3 {
            let mut random = Random(seed);
            let origins = origins(model.schema().features().len(), &mut random);
            check(&model, &origins, 5, 2100, &mut random);
        }
        let model = calibrated(&model, Calibration::Platt { slope: 0.7, intercept: 0.2 });
        let mut random = Random(3);
        let origins = origins(model.schema().features().len(), &mut random);
        check(&model, &origins, 5, 1100, &mut random);
    }
}

/// The same model with another calibration.
fn calibrated(model: &Model, calibration: Calibration) -> Model {
    let artifact = model.artifact();
    let mut manifest = artifact.manifest().clone();
    manifest.calibration = calibration;
    let payload = |name: &String| (name.clone(), artifact.payload(name).unwrap().clone());
    let payloads = manifest.payloads.keys().map(payload).collect();
    Model::from_artifact(Artifact::new(manifest, payloads)).unwrap()
}

#[test]
fn trees_are_calibrated_as_their_artifact_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let staircase = Calibration::Isotonic { log_odds: vec![-2.0, 0.0, 2.0], probabilities: vec![0.1, 0.2, 0.6] };
    for name in ["custom_sigmoid", "random_forest", "cross_entropy", "linear"] {
        let model = Model::from_lightgbm(std::fs::read(folder.join(format!("{name}.txt"))).unwrap(), None).unwrap();
        let mut random = Random(5);
        let features = model.schema().features().iter().map(|feature| column(feature.kind, 300, &mut random));
        let rows = batch(300, features.collect());
        let score = |model: &Model| {
            let mut out = Vec::new();
            model.score(&rows, &mut clickcast_model::Scratch::default(), &mut out).unwrap();
            out
        };
        let plain = score(&model);
        for calibration in [Calibration::Platt { slope: 0.7, intercept: 0.2 }, staircase.clone()] {
            let scores = score(&calibrated(&model, calibration.clone()));
            for (plain, score) in plain.iter().zip(scores) {
                let expected = calibration.probability((plain / (1.0 - plain)).ln());
                assert!((score - expected).abs() < 1e-9, "{name}: {score} for {expected}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let model = factors(FactorFamily::Fm, 4, 4, Calibration::Identity, 1);
    let origins = vec![Origin::User, Origin::User, Origin::Ad, Origin::Constant];
    let error = |result: Result<Cross<'_>, clickcast_model::Error>| result.unwrap_err().to_string();
    let short = Cross::new(&model, origins[..3].to_vec(), None, Arithmetic::Fast);
    assert!(error(short).contains("3 origins for 4 features"));
    let without = Cross::new(&model, origins.clone(), None, Arithmetic::Fast);
    assert!(error(without).contains("0 constants are given for 1"));
    let constants = batch(1, vec![column(Kind::Numeric, 1, &mut Random(1))]);
    let cross = Cross::new(&model, origins, Some(&constants), Arithmetic::Fast).unwrap();
    assert!(cross.encode(Origin::User, &constants).unwrap_err().to_string().contains("1 features and the model 2"));
    assert!(cross.ads(Vec::new()).unwrap_err().to_string().contains("no ads"));
}
