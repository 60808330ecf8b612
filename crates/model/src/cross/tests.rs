//! A family that only scores rows crosses, too.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use clickcast_record::{Category, Side as FeatureSide};

use super::*;
use crate::Family;
use crate::calibration::Calibration;
use crate::family_model::FamilyModel;
use crate::model::manifest;

/// Adds a number, the length of a text and the number of a list's items.
#[derive(Debug)]
struct Plain;

impl FamilyModel for Plain {
    fn log_odds(&self, batch: &Batch, _: &mut crate::Scratch, out: &mut Vec<f64>) -> Result<(), Error> {
        let [Column::Numeric(numbers), Column::Categorical(texts), Column::Multi(lists)] = &batch.features[..] else {
            return Err(Error::invalid("other columns"));
        };
        out.clear();
        out.extend((0..batch.rows).map(|row| {
            let length = match texts.get(row) {
                Some(Category::Text(text)) => text.len(),
                Some(Category::Integer(_)) | None => 7,
            };
            numbers.get(row) - length as f64 / 8.0 + (lists.offsets[row + 1] - lists.offsets[row]) as f64
        }));
        Ok(())
    }
}

fn model() -> Model {
    let features = vec![
        Feature::new("bid", Kind::Numeric, FeatureSide::Ad),
        Feature::new("country", Kind::Categorical, FeatureSide::User),
        Feature::new("interests", Kind::Multi, FeatureSide::Context),
    ];
    let calibration = Calibration::Platt { slope: 0.5, intercept: -1.0 };
    let schema = Schema::new(features).unwrap();
    Model::new(manifest(Family::Lr, schema, None, calibration, serde_json::Value::Null), BTreeMap::new(), Plain)
}

fn bids(values: &[f64]) -> Column {
    Column::Numeric(Numeric::F64(values.to_vec().into()))
}

fn countries(texts: &[&str], codes: &[u32]) -> Column {
    let categories = clickcast_record::Categories::Text(texts.to_vec().into());
    Column::Categorical(Categorical::Coded { codes: codes.to_vec().into(), categories })
}

fn interests(offsets: Vec<usize>) -> Column {
    let items = (0..offsets[offsets.len() - 1] as i64).collect();
    Column::Multi(Multi { offsets, values: Categorical::Integers { values: items, nulls: None } })
}

/// Returns what the model predicts for a row that was never two sides.
fn rows(model: &Model, bid: f64, country: Option<&str>, items: usize) -> f64 {
    let columns = vec![
        bids(&[bid]),
        countries(&[country.unwrap_or("")], &[u32::from(country.is_some())]),
        interests(vec![0, items]),
    ];
    let mut out = Vec::new();
    model.score(&batch_of(1, columns), &mut crate::Scratch::default(), &mut out).unwrap();
    out[0]
}

#[test]
fn a_family_without_a_way_for_pairs_scores_them_as_rows() {
    let model = model();
    let constants = batch_of(1, vec![interests(vec![0, 2])]);
    let origins = vec![Origin::Ad, Origin::User, Origin::Constant];
    let cross = Cross::new(&model, origins, Some(&constants), Arithmetic::Fast).unwrap();
    let side = |origin, rows, column| cross.encode(origin, &batch_of(rows, vec![column])).unwrap();
    // The sides' dictionaries differ from batch to batch.
    let users =
        [side(Origin::User, 2, countries(&["de", "italy"], &[2, 0])), side(Origin::User, 1, countries(&["fr"], &[1]))];
    let users = Side::joined(users.into()).unwrap();
    let values: Vec<f64> = (0..100).map(f64::from).collect();
    let ads =
        cross.ads(vec![side(Origin::Ad, 90, bids(&values[..90])), side(Origin::Ad, 10, bids(&values[90..]))]).unwrap();
    let users = cross.users(&users, 0..3).unwrap();
    let (mut scratch, mut out) = (Scratch::default(), vec![0.0; 3 * 36]);
    cross.score_f64(&users, &ads, 64..100, &mut scratch, &mut out).unwrap();
    let expected = [Some("italy"), None, Some("fr")]
        .map(|country| values[64..].iter().map(|&bid| rows(&model, bid, country, 2)).collect::<Vec<_>>());
    assert_eq!(out, expected.concat());
}

#[test]
fn listed_pairs_have_their_own_values_for_any_family() {
    let model = model();
    let cross = Cross::new(&model, vec![Origin::Ad, Origin::User, Origin::Pair], None, Arithmetic::Fast).unwrap();
    let side = |origin, rows, column| cross.encode(origin, &batch_of(rows, vec![column])).unwrap();
    let users = side(Origin::User, 2, countries(&["de", "italy"], &[1, 2]));
    let ads = cross.ads(vec![side(Origin::Ad, 2, bids(&[0.5, 1.5]))]).unwrap();
    let table = side(Origin::Pair, 2, interests(vec![0, 1, 4]));
    let pairs = [Listed { user: 1, ad: 0, entry: 1 }, Listed { user: 0, ad: 1, entry: 0 }];
    let mut out = Vec::new();
    let sides = ListedSides { users: &users, ads: &ads, table: &table };
    cross.score_listed(sides, &pairs, &mut Scratch::default(), &mut out).unwrap();
    assert_eq!(out, [rows(&model, 0.5, Some("italy"), 3), rows(&model, 1.5, Some("de"), 1)]);
}
