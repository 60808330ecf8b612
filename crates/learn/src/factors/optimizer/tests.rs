#![allow(clippy::unwrap_used)]
use clickcast_model::encode::Coding;

use super::*;
use crate::held_out::row_loss;

fn encoder() -> Encoder {
    let categories = |count: u64| Coding::Categories { hashes: (1..=count).collect() };
    let fields = [categories(3), categories(4), Coding::Lists { hashes: vec![1, 2, 3] }];
    Encoder::new(fields.into_iter().map(|coding| ("f".to_owned(), coding)).collect()).unwrap()
}

fn block() -> Block {
    let columns = vec![
        Slots::One(vec![2, 3, 4, 2, 0, 1]),
        Slots::One(vec![7, 8, 9, 10, 7, 5]),
        Slots::Many { offsets: vec![0, 1, 3, 6, 7, 9, 10], slots: vec![13, 13, 14, 13, 14, 15, 11, 15, 13, 12] },
    ];
    Block {
        encoded: Encoded { rows: 6, columns },
        labels: vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0],
        weights: Some(vec![1.0, 2.0, 0.5, 1.0, 0.0, 3.0]),
    }
}

const RATES: Rates = Rates { rate: 0.05, rate_linear: 0.05, l1: 0.0, l2: 0.0, l2_linear: 0.0, init: 1.0, square: 1.0 };

#[test]
fn a_step_goes_down_the_gradient_that_finite_differences_give() {
    let encoder = encoder();
    for (family, k) in [(FactorFamily::Fm, 3), (FactorFamily::Ffm, 4), (FactorFamily::Ffm, 2)] {
        let shape = Shape { family, k, fields: 3 };
        for row in 0..6 {
            let one = block().select(&[row]);
            let optimizer = || Optimizer::new(&encoder, shape, RATES, 0.3, 0.0, 5, 1);
            let changed = |place: usize, change: f32| {
                let optimizer = optimizer();
                if let State::AdaGrad(numbers) = &mut optimizer.regions[0].write().state {
                    numbers[place] += change;
                    // As if every slot had been learned: others add nothing.
                    numbers.chunks_exact_mut(2 * shape.stride()).for_each(|slot| slot[shape.stride()..].fill(2.0));
                }
                loss(&optimizer, &one)
            };
            let learned = optimizer();
            learned.learn(&one);
            let (before, after) = (numbers(&optimizer()), numbers(&learned));
            let stride = shape.stride();
            for place in (0..before.len()).filter(|place| (place / stride).is_multiple_of(2)) {
                // What AdaGrad divided the gradient by is known after the step.
                let gradient = (before[place] - after[place]) * after[place + stride].sqrt() / RATES.rate;
                let difference = (changed(place, 1e-2) - changed(place, -1e-2)) / 2e-2;
                assert!(
                    (f64::from(gradient) - difference).abs() < 2e-3,
                    "{shape:?}, row {row}, place {place}: {gradient}, not {difference}"
                );
            }
        }
    }
}

#[test]
fn threads_share_the_work_to_the_same_bits() {
    let encoder = encoder();
    let rows: Vec<usize> = (0..500).map(|row| row * row % 6).collect();
    let block = block().select(&rows);
    for (family, k) in [(FactorFamily::Lr, 0), (FactorFamily::Fm, 3), (FactorFamily::Ffm, 4)] {
        let shape = Shape { family, k, fields: 3 };
        let learned = |threads| {
            let optimizer = Optimizer::new(&encoder, shape, RATES, 0.3, 0.0, 5, threads);
            let losses = [(); 3].map(|()| {
                optimizer.learn(&block);
                loss(&optimizer, &block)
            });
            assert!(losses.is_sorted_by(|a, b| a > b), "{family:?}: {losses:?}");
            let (factors, mut log_odds) = (optimizer.factors(&encoder).unwrap(), Vec::new());
            factors.logits(&block.encoded, &mut log_odds);
            let own = optimizer.log_odds(&block).into_iter().map(f64::from);
            assert!(own.zip(&log_odds).all(|(own, z)| (own - z).abs() < 1e-5), "{family:?} is scored as it is kept");
            (losses, factors)
        };
        let one = learned(1);
        for threads in [2, 3, 5] {
            assert!(learned(threads) == one, "{family:?} on {threads} threads");
        }
    }
}

#[test]
fn a_snapshot_is_gone_back_to_exactly_and_untouched_slots_add_nothing() {
    let encoder = encoder();
    let shape = Shape { family: FactorFamily::Fm, k: 3, fields: 3 };
    let mut optimizer = Optimizer::new(&encoder, shape, RATES, 0.3, 0.0, 5, 2);
    optimizer.learn(&block());
    let (snapshot, factors) = (optimizer.snapshot(None), optimizer.factors(&encoder).unwrap());
    optimizer.learn(&block());
    assert!(optimizer.factors(&encoder).unwrap() != factors);
    optimizer.restore(snapshot);
    assert!(optimizer.factors(&encoder).unwrap() == factors);
    // Slot 6 is in no row.
    assert_eq!(factors.slot(6), [0.0; 4]);
}

/// Returns the sum of the rows' weighted log losses.
fn loss(optimizer: &Optimizer, block: &Block) -> f64 {
    optimizer.rows([block]).iter().map(row_loss).sum()
}

fn numbers(optimizer: &Optimizer) -> Vec<f32> {
    match &optimizer.regions[0].read().state {
        State::AdaGrad(numbers) => numbers.clone(),
        State::Ftrl(_) => Vec::new(),
    }
}
