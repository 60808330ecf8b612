#![allow(clippy::unwrap_used)]

use arrow_array::StringArray;
use arrow_buffer::ScalarBuffer;
use clickcast_record::{Categories, Multi, hash};
use proptest::prelude::*;

use super::*;

fn integers(values: &[Option<i64>]) -> Categorical {
    Categorical::Integers {
        values: values.iter().map(|value| value.unwrap_or_default()).collect(),
        nulls: Some(values.iter().map(Option::is_some).collect()),
    }
}

fn text(codes: &[u32], categories: &[&str]) -> Categorical {
    let categories = Categories::Text(StringArray::from(categories.to_vec()));
    Categorical::Coded { codes: codes.iter().copied().collect(), categories }
}

fn hashes(values: &[&str]) -> Vec<u64> {
    let mut hashes: Vec<u64> = values.iter().map(|value| hash::text(value)).collect();
    hashes.sort_unstable();
    hashes
}

fn encoder() -> Encoder {
    Encoder::new(vec![
        ("age".to_owned(), Coding::Bins { edges: vec![18.5, 30.0, 65.0] }),
        ("site".to_owned(), Coding::Categories { hashes: hashes(&["a", "b", "7"]) }),
        ("tags".to_owned(), Coding::Lists { hashes: hashes(&["x", "y"]) }),
    ])
    .unwrap()
}

fn batch(ages: Numeric, sites: Categorical, tags: Multi) -> Batch {
    Batch {
        rows: ages.len(),
        first_row: 0,
        features: vec![Column::Numeric(ages), Column::Categorical(sites), Column::Multi(tags)],
        labels: None,
        weights: None,
        times: None,
        carried: Vec::new(),
    }
}

fn some_batch() -> Batch {
    let ages = Numeric::F64(vec![f64::NAN, f64::NEG_INFINITY, 18.5, 1e300].into());
    let tags = Multi { offsets: vec![0, 2, 2, 3, 5], values: text(&[1, 2, 3, 0, 1], &["x", "y", "never"]) };
    batch(ages, text(&[0, 1, 2, 3], &["a", "b", "never"]), tags)
}

/// Returns the place of a value among a field's slots, from the first of those with values of their own.
fn place(values: &[&str], value: &str) -> u32 {
    hashes(values).binary_search(&hash::text(value)).unwrap() as u32
}

#[test]
fn every_value_has_its_slot_and_missing_and_unseen_ones_too() {
    let mut encoded = Encoded::default();
    encoder().encode(&some_batch(), &mut encoded).unwrap();
    // Age has slots 0 (missing) and 1..=4; site 5 (missing), 6 (unseen) and 7..=9; tags 10, 11, 12 and 13.
    let sites = ["a", "b", "7"];
    assert_eq!(encoded.columns[0], Slots::One(vec![0, 1, 2, 4]));
    assert_eq!(encoded.columns[1], Slots::One(vec![5, 7 + place(&sites, "a"), 7 + place(&sites, "b"), 6]));
    let (x, y) = (12 + place(&["x", "y"], "x"), 12 + place(&["x", "y"], "y"));
    let tags = Slots::Many { offsets: vec![0, 2, 3, 4, 6], slots: vec![x, y, 10, 11, 10, x] };
    assert_eq!(encoded.columns[2], tags);
}

#[test]
fn a_number_falls_into_the_bin_that_its_edges_say() {
    for edge_count in [0, 1, 2, 3, 4, 63, 64, 255] {
        let edges: Vec<f64> = (0..edge_count).map(f64::from).collect();
        let encoder = Encoder::new(vec![("a".to_owned(), Coding::Bins { edges: edges.clone() })]).unwrap();
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
        let values: Vec<f64> = (-2..520).map(|half| f64::from(half) / 2.0).chain(odd).collect();
        let mut slots = Slots::One(Vec::new());
        encoder.encode_column(0, &Column::Numeric(Numeric::F64(values.clone().into())), &mut slots).unwrap();
        for (row, value) in values.into_iter().enumerate() {
            let bin = edges.iter().filter(|&&edge| edge <= value).count() as u32;
            let expected = if value.is_nan() { 0 } else { 1 + bin };
            assert_eq!(slots.row(row), [expected], "{value} among {edge_count} edges");
        }
        // Values of f32 are compared as they are.
        let column = Column::Numeric(Numeric::F32(ScalarBuffer::from(vec![1.5f32])));
        encoder.encode_column(0, &column, &mut slots).unwrap();
        assert_eq!(slots.row(0), [1 + edge_count.min(2) as u32]);
    }
}

#[test]
fn the_same_value_has_the_same_slot_whatever_the_column_holds() {
    let encoder = encoder();
    // A dictionary larger than the batch is looked up by row, any other by entry.
    let small = text(&[1, 2, 0, 1], &["7", "a"]);
    let large = text(&[5, 4, 0, 5], &["p", "q", "r", "a", "7"]);
    let numbers = integers(&[Some(7), Some(7), None, Some(7)]);
    let slots = |values: Categorical| {
        let mut slots = Slots::One(Vec::new());
        encoder.encode_column(1, &Column::Categorical(values), &mut slots).unwrap();
        slots
    };
    assert_eq!(slots(small), slots(large.clone()));
    assert_eq!(slots(numbers).row(0), slots(large).row(0));
}

#[test]
fn a_batch_of_other_features_is_refused() {
    let encoder = encoder();
    let mut encoded = Encoded::default();
    let mut swapped = some_batch();
    swapped.features.swap(0, 1);
    let error = encoder.encode(&swapped, &mut encoded).unwrap_err().to_string();
    assert!(error.contains("`age`"), "{error}");
    swapped.features.pop();
    let error = encoder.encode(&swapped, &mut encoded).unwrap_err().to_string();
    assert!(error.contains("2 features and the model 3"), "{error}");
}

#[test]
fn what_was_written_is_read_and_what_is_out_of_order_refused() {
    let (description, tensors) = encoder().to_parts();
    let read = Encoder::from_parts(&description, &tensors).unwrap();
    let (mut one, mut two) = (Encoded::default(), Encoded::default());
    encoder().encode(&some_batch(), &mut one).unwrap();
    read.encode(&some_batch(), &mut two).unwrap();
    assert_eq!(one, two);
    for coding in [
        Coding::Bins { edges: vec![1.0, 1.0] },
        Coding::Bins { edges: vec![f64::NAN] },
        Coding::Bins { edges: vec![f64::INFINITY] },
        Coding::Bins { edges: (0..256).map(f64::from).collect() },
        Coding::Categories { hashes: vec![2, 1] },
        Coding::Lists { hashes: vec![1, 1] },
    ] {
        assert!(Encoder::new(vec![("a".to_owned(), coding.clone())]).is_err(), "{coding:?}");
    }
}

proptest! {
    #[test]
    fn damage_is_refused_or_harmless_and_never_a_panic(
        field in 0usize..3,
        kind in prop_oneof![Just("numeric"), Just("categorical"), Just("multi"), Just("other")],
        count in prop_oneof![Just(serde_json::json!(-1)), Just(serde_json::json!(null)), any::<u64>().prop_map(Into::into), (0u64..8).prop_map(Into::into)],
        edges in proptest::collection::vec(any::<f64>(), 0..6),
        keep_edges in any::<bool>(),
        values in proptest::collection::vec(any::<u32>(), 0..14),
        keep_values in any::<bool>(),
    ) {
        let (mut description, mut tensors) = encoder().to_parts();
        description[field]["kind"] = kind.into();
        description[field]["count"] = count;
        if !keep_edges {
            tensors[0].values = Values::F64(edges.into());
        }
        if !keep_values {
            tensors[1].values = Values::U32(values.into());
        }
        if let Ok(encoder) = Encoder::from_parts(&description, &tensors) {
            let mut encoded = Encoded::default();
            if encoder.encode(&some_batch(), &mut encoded).is_ok() {
                for column in &encoded.columns {
                    prop_assert!((0..4).all(|row| column.row(row).iter().all(|&slot| slot < encoder.slots())));
                }
            }
        }
    }
}
