//! How a large input is split: at row groups, by their rows alone, so that every worker finds the same ranges.

/// Rows of a range: some seconds of one core, and a file of some 20 MB.
pub const RANGE_ROWS: u64 = 4 << 20;

/// Returns the ranges of row groups, first and last, that an input is scored in, or `None` if it is scored whole.
///
/// A range ends with the row group that brings it to [`RANGE_ROWS`]; what is left at the end stands alone.
#[must_use]
pub fn ranges(row_groups: &[u64]) -> Option<Vec<(u64, u64)>> {
    if row_groups.len() < 2 || row_groups.iter().sum::<u64>() <= RANGE_ROWS {
        return None;
    }
    let (mut ranges, mut first, mut rows) = (Vec::new(), 0, 0);
    for (group, own) in (0_u64..).zip(row_groups) {
        rows += own;
        if rows >= RANGE_ROWS || group + 1 == row_groups.len() as u64 {
            ranges.push((first, group));
            (first, rows) = (group + 1, 0);
        }
    }
    (ranges.len() > 1).then_some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: u64 = 1 << 20;

    #[test]
    fn ranges_follow_from_row_groups_alone() {
        for (row_groups, expected) in [
            (vec![], None),
            (vec![M], None),
            (vec![9 * M], None),
            (vec![M; 4], None),
            (vec![M; 5], Some(vec![(0, 3), (4, 4)])),
            (vec![M; 9], Some(vec![(0, 3), (4, 7), (8, 8)])),
            (vec![9 * M, 9 * M], Some(vec![(0, 0), (1, 1)])),
            (vec![1, 9 * M, 1, 1], Some(vec![(0, 1), (2, 3)])),
            (vec![0, 0, 5 * M], None),
        ] {
            assert_eq!(ranges(&row_groups), expected, "{row_groups:?}");
        }
    }

    #[test]
    fn every_row_group_is_in_one_range() {
        for count in 2..60_usize {
            let row_groups: Vec<u64> = (0..count as u64).map(|group| group * 7_919 % 13 * M / 4).collect();
            let Some(ranges) = ranges(&row_groups) else { continue };
            let all: Vec<u64> = ranges.iter().flat_map(|&(first, last)| first..=last).collect();
            assert_eq!(all, (0..count as u64).collect::<Vec<_>>(), "{count}");
        }
    }
}
