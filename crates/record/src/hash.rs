//! The frozen hash of a category: models store slots by it, so it never changes.
//!
//! Text is hashed by XXH3-64 (seed 0) of its UTF-8 bytes. Integers, and text that is an integer in
//! canonical decimal form, are hashed by SplitMix64's output function, so that `7` from a Parquet
//! integer column and `7` from a CSV file are the same category. Unsigned integers beyond those of
//! `i64` are hashed by their bits, in either form. Test vectors: below.
//!
//! # Source
//! XXH3: the xxHash specification. SplitMix64: see [`crate::random`].

use crate::random;

/// Hashes a text category.
#[must_use]
pub fn text(value: &str) -> u64 {
    match canonical_integer(value) {
        Some(integer_value) => integer(integer_value),
        None => xxhash_rust::xxh3::xxh3_64(value.as_bytes()),
    }
}

/// Hashes an integer category. The hash is a bijection, so integers never collide.
#[inline]
#[must_use]
pub fn integer(value: i64) -> u64 {
    random::mix(value.cast_unsigned().wrapping_add(random::INCREMENT))
}

/// Returns the integer that `value` spells, if it is in the form in which integers are printed (`-3`, `0`, `42`). Those
/// beyond `i64` that fit 64 unsigned bits are returned by their bits.
fn canonical_integer(value: &str) -> Option<i64> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits || leading_zero || value == "-0" {
        return None;
    }
    value.parse().ok().or_else(|| value.parse().ok().map(u64::cast_signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_frozen() {
        // Changing one of these breaks every model ever stored. Those of texts are by the reference (PyPI xxhash 3).
        for (value, expected) in [
            ("", 0x2d06_8005_38d3_94c2),
            ("a", 0xe6c6_32b6_1e96_4e1f),
            ("iPhone 12", 0x9805_a95b_80fd_14dc),
            ("a text beyond seventeen bytes", 0x439b_cc9e_df67_06dd),
            // Beyond 240 bytes XXH3 takes its last path.
            (&"impression ".repeat(30), 0xed1a_ca0d_5002_25a8),
            ("0", 0xe220_a839_7b1d_cdaf),
            ("1", 0x910a_2dec_8902_5cc1),
        ] {
            assert_eq!(text(value), expected, "{value:?}");
        }
        assert_eq!(integer(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(integer(1), 0x910a_2dec_8902_5cc1);
        assert_eq!(integer(-1), 0xe4d9_7177_1b65_2c20);
    }

    #[test]
    fn integers_and_their_decimal_text_are_one_category() {
        for value in [0, 1, -1, 42, i64::MAX, i64::MIN] {
            assert_eq!(text(&value.to_string()), integer(value));
        }
        for value in [1 << 63, u64::MAX] {
            assert_eq!(text(&value.to_string()), integer(value.cast_signed()));
        }
        for value in ["007", "+1", "-0", "1.0", "", "-", "18446744073709551616", "-9223372036854775809"] {
            assert_eq!(canonical_integer(value), None, "{value}");
        }
    }
}
