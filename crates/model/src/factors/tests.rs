#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use bytes::Bytes;

use super::*;
use crate::encode::Coding;
use crate::tensor::Values;

const FAMILIES: [(FactorFamily, usize); 4] =
    [(FactorFamily::Lr, 0), (FactorFamily::Fm, 5), (FactorFamily::Ffm, 4), (FactorFamily::Ffm, 3)];

fn encoder() -> Encoder {
    Encoder::new(vec![
        ("a".to_owned(), Coding::Bins { edges: vec![0.0, 1.0] }),
        ("b".to_owned(), Coding::Categories { hashes: vec![3, 5, 9] }),
        ("c".to_owned(), Coding::Lists { hashes: vec![1, 2] }),
    ])
    .unwrap()
}

/// Two rows: one slot of each field; and a list of three, one slot twice.
fn rows() -> Encoded {
    let columns = vec![
        Slots::One(vec![1, 0]),
        Slots::One(vec![6, 4]),
        Slots::Many { offsets: vec![0, 1, 4], slots: vec![10, 11, 12, 11] },
    ];
    Encoded { rows: 2, columns }
}

fn model(family: FactorFamily, k: usize) -> Factors {
    let encoder = encoder();
    let shape = Shape { family, k, fields: 3 };
    let count = encoder.slots() as usize * shape.stride();
    let weights = (0..count).map(|index| ((index * 7919 + 13) % 101) as f32 / 50.0 - 1.0).collect();
    Factors::new(shape, -0.25, weights, &encoder).unwrap()
}

/// Returns the formula of the papers, term by term in f64: a linear weight a slot, and an inner product for
/// each pair of slots of different fields.
fn by_the_formula(model: &Factors, encoded: &Encoded, row: usize) -> f64 {
    let shape = model.shape();
    let slots: Vec<(usize, u32, f64)> = (0..3)
        .flat_map(|field| {
            let of_field = encoded.columns[field].row(row);
            of_field.iter().map(move |&slot| (field, slot, f64::from(value_of(of_field.len()))))
        })
        .collect();
    let vector = |slot: u32, field: usize| match shape.family {
        FactorFamily::Lr => Vec::new(),
        FactorFamily::Fm => model.slot(slot)[1..].to_vec(),
        FactorFamily::Ffm => model.slot(slot)[field * shape.k..][..shape.k].to_vec(),
    };
    let mut sum = -0.25;
    for (index, &(field, slot, value)) in slots.iter().enumerate() {
        sum += value * f64::from(model.slot(slot)[shape.linear(field)]);
        for &(other_field, other, other_value) in &slots[index + 1..] {
            if other_field != field {
                let pair = vector(slot, other_field).into_iter().zip(vector(other, field));
                let product: f64 = pair.map(|(a, b)| f64::from(a) * f64::from(b)).sum();
                sum += value * other_value * product;
            }
        }
    }
    sum
}

#[test]
fn log_odds_are_those_of_the_formula() {
    let mut logits = Vec::new();
    for (family, k) in FAMILIES {
        for weights in [WeightType::F32, WeightType::Bf16] {
            let model = model(family, k).into_type(weights);
            model.logits(&rows(), &mut logits);
            assert_eq!(logits.len(), 2);
            for (row, logit) in logits.iter().enumerate() {
                let expected = by_the_formula(&model, &rows(), row);
                assert!((logit - expected).abs() < 1e-5, "{family:?} row {row}: {logit}, not {expected}");
            }
        }
    }
}

#[test]
fn weights_of_half_the_size_are_near_and_survive_writing() {
    for (family, k) in FAMILIES {
        let exact = model(family, k);
        let model = exact.clone().into_type(WeightType::Bf16);
        for slot in 0..encoder().slots() {
            for (exact, found) in exact.slot(slot).iter().zip(model.slot(slot)) {
                assert!((exact - found).abs() <= exact.abs() / 256.0, "{found} for {exact}");
            }
        }
        let (description, tensors) = model.to_parts();
        let bytes = crate::tensor::to_bytes(&tensors).unwrap();
        // Numbers are read as well where they lie askew.
        let askew = Bytes::from([&[0], &bytes[..]].concat()).slice(1..);
        for bytes in [bytes.into(), askew] {
            let read = crate::tensor::from_bytes(&bytes).unwrap();
            assert!(Factors::from_parts(&description, read, &encoder()).unwrap() == model);
        }
    }
}

#[test]
fn a_shift_is_added_to_every_row() {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut model = model(FactorFamily::Fm, 5);
    model.logits(&rows(), &mut before);
    model.shift(-1.5);
    model.logits(&rows(), &mut after);
    assert!(before.iter().zip(&after).all(|(before, after)| (before - 1.5 - after).abs() < 1e-6));
}

#[test]
fn a_field_that_never_changes_tells_nothing() {
    let encoder = encoder();
    let shape = Shape { family: FactorFamily::Lr, k: 0, fields: 3 };
    let mut weights = vec![0.0; encoder.slots() as usize];
    (weights[1], weights[2], weights[4]) = (2.0, -2.0, 7.0);
    let model = Factors::new(shape, 0.0, weights, &encoder).unwrap();
    let columns = vec![Slots::One(vec![1, 2]), Slots::One(vec![4, 4]), Slots::One(vec![10, 11])];
    assert_eq!(model.importance(&Encoded { rows: 2, columns }), [2.0, 0.0, 0.0]);
}

#[test]
fn what_was_written_is_read() {
    for (family, k) in FAMILIES {
        let model = model(family, k);
        let (description, tensors) = model.to_parts();
        assert_eq!(Factors::from_parts(&description, tensors, &encoder()).unwrap(), model);
    }
}

#[test]
fn weights_of_another_shape_or_not_finite_are_refused() {
    let encoder = encoder();
    let slots = encoder.slots() as usize;
    let shape = |family, k, fields| Shape { family, k, fields };
    for (name, shape, intercept, weights) in [
        ("too few", shape(FactorFamily::Lr, 0, 3), 0.0, vec![0.0; slots - 1]),
        ("other fields", shape(FactorFamily::Lr, 0, 2), 0.0, vec![0.0; slots]),
        ("lr with vectors", shape(FactorFamily::Lr, 2, 3), 0.0, vec![0.0; slots]),
        ("ffm without", shape(FactorFamily::Ffm, 0, 3), 0.0, vec![]),
        ("absurd k", shape(FactorFamily::Fm, usize::MAX, 3), 0.0, vec![]),
        ("NaN", shape(FactorFamily::Lr, 0, 3), 0.0, vec![f32::NAN; slots]),
        ("infinite intercept", shape(FactorFamily::Lr, 0, 3), f32::INFINITY, vec![0.0; slots]),
    ] {
        assert!(Factors::new(shape, intercept, weights, &encoder).is_err(), "{name}");
    }
}

proptest! {
    #[test]
    fn damage_is_refused_or_harmless_and_never_a_panic(
        family in prop_oneof![Just("lr"), Just("fm"), Just("ffm"), Just("gbm")],
        k in any::<u64>(),
        small_k in 0u64..12,
        is_small in any::<bool>(),
        weights in proptest::collection::vec(any::<f32>(), 0..200),
        keep in any::<bool>(),
    ) {
        let (mut description, mut tensors) = model(FactorFamily::Fm, 5).to_parts();
        description["family"] = family.into();
        description["k"] = if is_small { small_k } else { k }.into();
        if !keep {
            tensors[0].values = Values::F32(weights.into());
        }
        if let Ok(model) = Factors::from_parts(&description, tensors, &encoder()) {
            let mut logits = Vec::new();
            model.logits(&rows(), &mut logits);
            prop_assert_eq!(logits.len(), 2);
        }
    }
}
