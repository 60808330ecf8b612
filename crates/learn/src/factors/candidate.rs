//! Settings of factor models to try.

use clickcast_model::encode::Encoder;
use clickcast_model::factors::{FactorFamily, Shape};

use super::optimizer::Rates;

/// Settings of one fit.
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

/// Returns the settings for many rows, from which the search for few rows starts.
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

/// Returns the changes of a candidate to try, one coordinate after another.
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
