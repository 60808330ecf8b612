//! What a run's output says of itself, and whether outputs cover their input.

use serde::{Deserialize, Serialize};

/// An output of a closed run, as its manifest records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// Its key below the run's `ctr/`.
    pub key: String,
    /// The key of the input that it was made from.
    pub input: String,
    /// That input's ETag.
    pub input_etag: String,
    /// The first and the last row group of the input that it covers; `None` if it covers the whole input.
    pub row_groups: Option<(u64, u64)>,
    /// The hash of the artifact that made it.
    pub artifact: String,
    /// Its number of rows.
    pub rows: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hex.
    pub sha256: String,
}

/// Returns whether outputs cover their input exactly once: either one output of the whole input, or ranges of row groups
/// (first and last) that follow each other to the end. `row_groups` returns the input's number of row groups; it is called
/// only if there are ranges.
pub fn covers(outputs: &[Option<(u64, u64)>], row_groups: impl FnOnce() -> Option<u64>) -> bool {
    if outputs == [None] {
        return true;
    }
    let mut ranges: Vec<(u64, u64)> = outputs.iter().copied().flatten().collect();
    if ranges.len() != outputs.len() || ranges.is_empty() {
        return false;
    }
    ranges.sort_unstable();
    let mut next = 0;
    for (first, last) in ranges {
        if first != next || last < first {
            return false;
        }
        next = last + 1;
    }
    row_groups() == Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_covered_by_one_whole_output_or_by_ranges_without_gaps_and_overlaps() {
        for (outputs, row_groups, expected) in [
            (&[][..], Some(0), false),
            (&[None], None, true),
            (&[None, None], None, false),
            (&[None, Some((0, 1))], Some(2), false),
            (&[Some((2, 2)), Some((0, 1))], Some(3), true),
            (&[Some((0, 1))], Some(3), false),
            (&[Some((0, 1)), Some((1, 2))], Some(3), false),
            (&[Some((0, 0)), Some((2, 2))], Some(3), false),
            (&[Some((0, 2))], None, false),
        ] {
            assert_eq!(covers(outputs, || row_groups), expected, "{outputs:?} of {row_groups:?}");
        }
    }
}
