//! Passes over the rows until those held out stop improving.

use clickcast_model::encode::Encoder;
use clickcast_model::factors::{FactorFamily, Shape};

use crate::held::{held_rows, mean_loss};
use crate::optimizer::{Block, Optimizer, Rates};

/// A pass must better the held-out log loss by this much, relatively, to be followed by another.
const GAIN_MIN: f64 = 1e-4;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) family: FactorFamily,
    pub(crate) k: usize,
    pub(crate) bins: usize,
    pub(crate) count_min: u32,
    pub(crate) rates: Rates,
}

impl Candidate {
    pub(crate) fn shape(&self, encoder: &Encoder) -> Shape {
        let k = if self.family == FactorFamily::Lr { 0 } else { self.k };
        Shape { family: self.family, k, fields: encoder.fields() }
    }
}

/// Learns pass by pass while the held-out log loss falls, and goes back to the best pass; gives that loss after each.
///
/// `pass` learns every row once; it calls its argument now and then, which says whether to go on.
pub(crate) fn until_it_stops_improving<E>(
    optimizer: &mut Optimizer,
    held: &[Block],
    epochs_max: usize,
    mut pass: impl FnMut(&Optimizer, &mut dyn FnMut() -> bool) -> Result<(), E>,
) -> Result<Vec<f64>, E> {
    let held_out = |optimizer: &Optimizer| mean_loss(&held_rows(optimizer, held));
    let mut history: Vec<f64> = Vec::new();
    let mut best: Option<(f64, crate::optimizer::Snapshot)> = None;
    for _ in 0..epochs_max {
        let best_loss = best.as_ref().map(|(loss, _)| *loss);
        let mut worse = false;
        pass(optimizer, &mut || {
            // A pass that makes things worse does so early on; the rest of it is saved.
            worse = best_loss.is_some_and(|best_loss| held_out(optimizer) > best_loss * (1.0 + GAIN_MIN));
            !worse
        })?;
        if worse {
            break;
        }
        let loss = held_out(optimizer);
        if best_loss.is_some_and(|best_loss| loss >= best_loss) {
            break;
        }
        history.push(loss);
        let enough = best_loss.is_some_and(|best_loss| loss > best_loss * (1.0 - GAIN_MIN));
        let older = best.take().map(|(_, snapshot)| snapshot);
        best = Some((loss, optimizer.snapshot(older)));
        if enough {
            break;
        }
    }
    if let Some((_, snapshot)) = best {
        optimizer.restore(snapshot);
    }
    Ok(history)
}

/// The settings that hold where rows are many, and from which a search starts where they are few.
pub(crate) fn default_candidate(family: FactorFamily) -> Candidate {
    let rates = Rates { rate: 0.1, rate_linear: 0.03, l1: 0.0, l2: 2e-3, l2_linear: 0.0, init: 0.05, square: 1.0 };
    match family {
        FactorFamily::Lr => {
            Candidate { family, k: 0, bins: 64, count_min: 2, rates: Rates { rate: 0.08, l1: 0.0, l2: 2.0, ..rates } }
        }
        FactorFamily::Fm => Candidate { family, k: 16, bins: 64, count_min: 4, rates: Rates { rate: 0.02, ..rates } },
        FactorFamily::Ffm => Candidate { family, k: 4, bins: 64, count_min: 4, rates: Rates { rate: 0.07, ..rates } },
    }
}

/// What to try from a candidate, one coordinate after another.
pub(crate) fn coordinates(family: FactorFamily) -> Vec<Vec<fn(&mut Candidate)>> {
    let count_min: Vec<fn(&mut Candidate)> = vec![|c| c.count_min = 1, |c| c.count_min = 3, |c| c.count_min = 10];
    let bins: Vec<fn(&mut Candidate)> = vec![|c| c.bins = 8, |c| c.bins = 24, |c| c.bins = 128];
    match family {
        FactorFamily::Lr => vec![
            vec![|c| c.rates.l2 = 0.5, |c| c.rates.l2 = 8.0, |c| c.rates.l2 = 24.0, |c| c.rates.l2 = 80.0],
            vec![|c| c.rates.rate = 0.03, |c| c.rates.rate = 0.2],
            bins,
            count_min,
            vec![|c| c.rates.l1 = 0.3, |c| c.rates.l1 = 1.0],
        ],
        FactorFamily::Fm | FactorFamily::Ffm => vec![
            vec![|c| c.rates.l2 = 3e-4, |c| c.rates.l2 = 6e-3, |c| c.rates.l2 = 1.6e-2, |c| c.rates.l2 = 5e-2],
            vec![|c| c.rates.rate = 0.03, |c| c.rates.rate = 0.2],
            vec![|c| c.rates.l2_linear = 1e-4, |c| c.rates.l2_linear = 1e-3, |c| c.rates.l2_linear = 5e-3],
            bins,
            count_min,
            vec![|c| c.k = 2, |c| c.k = 8],
        ],
    }
}
