//! From a survey of the rows to the encoder of a factor model.

use clickcast_model::encode::{BINS_MAX, Coding, Encoder};
use clickcast_record::Kind;
use rayon::prelude::*;

use super::numbered::Places;
use crate::Error;
use crate::survey::{Field, Survey, Values};

impl Survey {
    /// Returns the encoder's slot of each number.
    pub(crate) fn places(&self, encoder: &Encoder) -> Places {
        let places = self.fields.iter().enumerate().map(|(field, Field { values, .. })| match values {
            Values::Numbers(_) => Vec::new(),
            Values::Counts(counts) => {
                let mut places = vec![encoder.category_slot(field, None); counts.number_max() as usize + 1];
                for (hash, number) in counts.numbers() {
                    places[number as usize] = encoder.category_slot(field, Some(hash));
                }
                places
            }
        });
        places.collect()
    }

    /// Makes an encoder with about `bins` bins a numeric field, a slot for each value seen at least `count_min` times, and at
    /// most about `slots_max` slots: values must be more frequent if there are more.
    pub(crate) fn encoder(&self, bins: usize, count_min: u32, slots_max: usize) -> Result<Encoder, Error> {
        let mut count_min = count_min;
        loop {
            let codings = self.fields.par_iter().map(|field| {
                let coding = match (&field.values, field.feature.kind) {
                    (Values::Numbers(numbers), _) => Coding::Bins { edges: edges(numbers, bins) },
                    (Values::Counts(counts), Kind::Multi) => Coding::Lists { hashes: counts.frequent(count_min) },
                    (Values::Counts(counts), _) => Coding::Categories { hashes: counts.frequent(count_min) },
                };
                (field.feature.name.clone(), coding)
            });
            let codings: Vec<_> = codings.collect();
            let slots: u64 = codings.iter().map(|(_, coding)| coding.slots()).sum();
            if slots <= slots_max as u64 || count_min >= 1 << 30 {
                return Ok(Encoder::new(codings)?);
            }
            count_min += count_min.div_ceil(2);
        }
    }
}

/// Edges of about `bins` bins of equal count, half-way between neighbouring values. A value more
/// frequent than a bin gets a bin of its own.
fn edges(numbers: &[f64], bins: usize) -> Vec<f64> {
    let mut sorted: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let bins = bins.min(BINS_MAX);
    let mut edges = Vec::new();
    let per_bin = sorted.len() as f64 / bins as f64;
    let (mut start, mut index) = (0usize, 0usize);
    while index < sorted.len() {
        let value = sorted[index];
        let end = index + sorted[index..].partition_point(|&other| other <= value);
        // Close the open bin before a value that overfills it more than it is short without.
        let (without, with) = ((index - start) as f64, (end - start) as f64);
        if index > start && with > per_bin && with - per_bin > per_bin - without {
            edges.extend(midpoint(sorted[index - 1], value));
            start = index;
        }
        if (end - start) as f64 >= per_bin && end < sorted.len() {
            edges.extend(midpoint(value, sorted[end]));
            start = end;
        }
        index = end;
    }
    edges.dedup();
    edges.truncate(BINS_MAX - 1);
    edges
}

fn midpoint(below: f64, above: f64) -> Option<f64> {
    let middle = below / 2.0 + above / 2.0;
    let edge = if middle > below { middle } else { above };
    edge.is_finite().then_some(edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_of_equal_count_and_never_split_a_value() {
        let even: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(edges(&even, 4), [24.5, 49.5, 74.5]);
        let few = [1.0, 1.0, 1.0, 2.0, 2.0, 9.0];
        assert_eq!(edges(&few, 50), [1.5, 5.5]);
        let heavy: Vec<f64> = [0.0; 90].into_iter().chain((1..=10).map(f64::from)).collect();
        assert_eq!(edges(&heavy, 10)[0], 0.5);
        for odd in [&[][..], &[f64::NAN], &[3.0], &[f64::NEG_INFINITY, f64::INFINITY]] {
            assert!(edges(odd, 8).iter().all(|edge| edge.is_finite()), "{odd:?}");
        }
    }
}
