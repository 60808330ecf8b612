//! The bins of values: the same for any data, so that what was counted apart can be compared.
//!
//! Numbers are binned by size, four bins to a doubling, from 2^-16 to 2^48, with one bin for all that is nearer to 0.
//! Categories are binned by hash. Bin 0 is "missing" for both.

use clickcast_record::{Categorical, Column, Kind, Multi, Numeric};

/// The bin of missing values.
pub const MISSING: u16 = 0;
/// Numbers nearer to 0 than the smallest bin.
const ZERO: u16 = 1;
/// Doublings from 2^-16 to 2^48, four bins each.
const MAGNITUDES: u64 = 64 * 4;
const EXPONENT_MIN: u64 = 1023 - 16;
/// Bins of categories beside "missing": most features that sort an audience have fewer values than that, and an id's
/// values fill them evenly.
const CATEGORY_BINS: u64 = 64;

/// Returns how many bins a feature of this kind has.
#[must_use]
pub fn count(kind: Kind) -> usize {
    match kind {
        Kind::Numeric => 2 + 2 * MAGNITUDES as usize,
        Kind::Categorical | Kind::Multi => 1 + CATEGORY_BINS as usize,
    }
}

/// Returns the bin of a number.
#[inline]
#[must_use]
pub fn number(value: f64) -> u16 {
    if value.is_nan() {
        return MISSING;
    }
    let bits = value.to_bits();
    // The exponent and the two highest bits of the fraction.
    let place = (bits >> 50) & 0x1fff;
    if place < EXPONENT_MIN * 4 {
        return ZERO;
    }
    let magnitude = (place - EXPONENT_MIN * 4).min(MAGNITUDES - 1);
    let side = if value < 0.0 { MAGNITUDES } else { 0 };
    2 + (side + magnitude) as u16
}

/// Returns the bin of a category.
#[inline]
#[must_use]
pub fn category(hash: Option<u64>) -> u16 {
    hash.map_or(MISSING, |hash| 1 + (hash >> 58) as u16)
}

/// Returns whether bins of a feature with so many distinct categories hold several of them as a rule.
#[must_use]
pub fn is_shared(distinct: f64) -> bool {
    // Of 12 among 64 bins hardly two share one.
    distinct > 12.0
}

/// The bins of a column, one a row.
pub fn column(column: &Column, out: &mut Vec<u16>) {
    out.clear();
    match column {
        Column::Numeric(Numeric::F32(values)) => out.extend(values.iter().map(|&value| number(f64::from(value)))),
        Column::Numeric(Numeric::F64(values)) => out.extend(values.iter().map(|&value| number(value))),
        Column::Categorical(values) => values.map_into(out, |value| category(value.map(|value| value.hash()))),
        Column::Multi(lists) => out.extend((0..rows(lists)).map(|row| category(list(lists, row)))),
    }
}

/// Returns the hash of one row's value, or `None` if missing.
#[must_use]
pub fn hash(column: &Column, row: usize) -> Option<u64> {
    match column {
        Column::Numeric(values) => {
            let value = values.get(row);
            (!value.is_nan()).then(|| clickcast_record::hash::integer(value.to_bits().cast_signed()))
        }
        Column::Categorical(values) => values.get(row).map(|value| value.hash()),
        Column::Multi(lists) => list(lists, row),
    }
}

/// Appends what tells the values of some rows from others in a sample: a number's bin, the upper half of a category's hash.
pub(super) fn codes(column: &Column, rows: &[usize], out: &mut Vec<u32>) {
    let of_hash = |hash: Option<u64>| hash.map_or(0, |hash| (hash >> 32) as u32);
    match column {
        Column::Numeric(values) => out.extend(rows.iter().map(|&row| u32::from(number(values.get(row))))),
        Column::Categorical(Categorical::Coded { codes, categories }) if categories.len() < rows.len() => {
            let of_code = categories.map(|value| of_hash(value.map(|value| value.hash())));
            out.extend(rows.iter().map(|&row| of_code[codes[row] as usize]));
        }
        other => out.extend(rows.iter().map(|&row| of_hash(hash(other, row)))),
    }
}

/// Returns the bin that a code stands for.
pub(super) fn of_code(kind: Kind, code: u32) -> u16 {
    match kind {
        Kind::Numeric => code as u16,
        Kind::Categorical | Kind::Multi => category((code > 0).then(|| u64::from(code) << 32)),
    }
}

/// Returns what a number's bin holds, for a person.
#[must_use]
pub fn describe(kind: Kind, bin: u16) -> String {
    match (kind, bin) {
        (_, MISSING) => "missing".to_owned(),
        (Kind::Numeric, ZERO) => "0".to_owned(),
        (Kind::Numeric, bin) => {
            let place = u64::from(bin - 2) % MAGNITUDES;
            let sign = if u64::from(bin - 2) >= MAGNITUDES { "-" } else { "" };
            let edge = |place: u64| f64::from_bits((EXPONENT_MIN * 4 + place) << 50);
            format!("{sign}{} to {sign}{}", edge(place), edge(place + 1))
        }
        (_, bin) => format!("in group {bin} of its values"),
    }
}

fn rows(lists: &Multi) -> usize {
    lists.offsets.len().saturating_sub(1)
}

/// Returns the lowest hash of a list's items: the same in whatever order they come.
fn list(lists: &Multi, row: usize) -> Option<u64> {
    let items = lists.offsets[row]..lists.offsets[row + 1];
    items.filter_map(|item| Categorical::get(&lists.values, item)).map(|value| value.hash()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbers_bin_follows_its_size_and_sign() {
        for (value, like, unlike) in [
            (1.0, 1.2, 1.3),
            (-1.0, -1.2, 1.0),
            (30.0, 31.0, 32.0),
            (0.0, -0.0, 0.1),
            (0.0, 1e-9, 1.0),
            (f64::INFINITY, 1e300, f64::NEG_INFINITY),
            (f64::NAN, -f64::NAN, 0.0),
        ] {
            assert_eq!(number(value), number(like), "{value} and {like}");
            assert_ne!(number(value), number(unlike), "{value} and {unlike}");
        }
        let most = [f64::MAX, f64::MIN, f64::MIN_POSITIVE].map(number);
        assert!(most.iter().all(|&bin| usize::from(bin) < count(Kind::Numeric)));
    }

    #[test]
    fn bins_are_described_by_what_they_hold() {
        for (value, expected) in [(1.0, "1 to 1.25"), (-30.0, "-28 to -32"), (0.0, "0"), (f64::NAN, "missing")] {
            assert_eq!(describe(Kind::Numeric, number(value)), expected);
        }
        assert!(usize::from(category(Some(u64::MAX))) < count(Kind::Categorical));
    }
}
