//! From a column's codes to its predicate planes.

use super::leaves::Ops;
use super::{Form, dispatch};

/// 64-bit words in memory aligned to cache lines, so that no vector load crosses one.
#[derive(Debug, Default)]
pub struct Words(Vec<Line>);

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u64; 8]);

impl Words {
    /// Grows to at least `count` words; new ones are zero.
    pub fn grow(&mut self, count: usize) {
        let lines = count.div_ceil(8);
        if lines > self.0.len() {
            self.0.resize(lines, Line([0; 8]));
        }
    }

    /// The words.
    pub fn as_mut_slice(&mut self) -> &mut [u64] {
        // SAFETY: `Line` is `repr(C)`: eight `u64` without padding (64 bytes, aligned to 64).
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast::<u64>(), self.0.len() * 8) }
    }
}

/// Makes the planes of predicates "bin <= i", i = 0, 1, 2 ...
///
/// # Shapes
/// `codes`: at most `64 * WORDS` rows, each below `bin_of_code.len()`; `planes`: `[predicates, WORDS]`; `equal`: as long as `planes` at
/// least, all zero before and after. A bin at or beyond the number of predicates passes none.
pub fn threshold_planes<const WORDS: usize>(
    form: Form,
    codes: &[u32],
    bin_of_code: &[u16],
    equal: &mut [u64],
    planes: &mut [u64],
) {
    dispatch!(form, threshold_planes_inlined::<WORDS>(codes: &[u32], bin_of_code: &[u16], equal: &mut [u64], planes: &mut [u64]));
}

#[inline(always)]
fn threshold_planes_inlined<const WORDS: usize, O: Ops>(
    codes: &[u32],
    bin_of_code: &[u16],
    equal: &mut [u64],
    planes: &mut [u64],
) {
    let planes = planes.as_chunks_mut::<WORDS>().0;
    if O::COMPARES_BYTES && planes.len() <= 255 {
        let mut bins = [[0; 64]; WORDS];
        O::bins(codes, bin_of_code, &mut bins);
        O::at_most::<WORDS>(&bins, planes);
        return;
    }
    let equal = &mut equal.as_chunks_mut::<WORDS>().0[..planes.len()];
    for (word, codes) in codes.chunks(64).enumerate().take(WORDS) {
        for (bit, &code) in codes.iter().enumerate() {
            if let Some(plane) = equal.get_mut(usize::from(bin_of_code[code as usize])) {
                plane[word] |= 1 << bit;
            }
        }
    }
    let mut passed = [0; WORDS];
    for (plane, equal) in planes.iter_mut().zip(equal) {
        for word in 0..WORDS {
            passed[word] |= equal[word];
        }
        *plane = passed;
        *equal = [0; WORDS];
    }
}

/// Makes the planes of category predicates: a row of the table has one bit for each of the column's sets.
///
/// # Shapes
/// `codes`: at most `64 * WORDS` rows, each a row of `table`, `[rows, words]`; `planes`: `[64 * words, WORDS]`.
pub fn category_planes<const WORDS: usize>(form: Form, codes: &[u32], table: &[u64], words: usize, planes: &mut [u64]) {
    dispatch!(form, category_planes_inlined::<WORDS>(codes: &[u32], table: &[u64], words: usize, planes: &mut [u64]));
}

#[inline(always)]
fn category_planes_inlined<const WORDS: usize, O: Ops>(codes: &[u32], table: &[u64], words: usize, planes: &mut [u64]) {
    let planes = planes.as_chunks_mut::<WORDS>().0;
    for (word, codes) in codes.chunks(64).enumerate().take(WORDS) {
        for (set_word, planes) in planes.chunks_exact_mut(64).enumerate().take(words) {
            let mut bits = [0; 64];
            for (bits, &code) in bits.iter_mut().zip(codes) {
                *bits = table[code as usize * words + set_word];
            }
            O::transpose(&mut bits);
            for (plane, bits) in planes.iter_mut().zip(bits) {
                plane[word] = bits;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const WORDS: usize>(form: Form, planes_count: usize, table_length: usize, rows: usize) {
        let bin_of_code: Vec<u16> = (0..table_length).map(|code| (code * 7 % (planes_count + 1)) as u16).collect();
        let codes: Vec<u32> = (0..rows).map(|row| (row * 31 % table_length) as u32).collect();
        let mut equal = vec![0; planes_count * WORDS];
        let mut planes = vec![u64::MAX; planes_count * WORDS];
        threshold_planes::<WORDS>(form, &codes, &bin_of_code, &mut equal, &mut planes);
        for (plane, words) in planes.chunks(WORDS).enumerate() {
            for (row, &code) in codes.iter().enumerate() {
                let passed = words[row / 64] >> (row % 64) & 1 == 1;
                let bin = usize::from(bin_of_code[code as usize]);
                assert_eq!(passed, bin <= plane, "{form:?}: plane {plane} of {planes_count}, row {row}, {WORDS} words");
            }
        }
        assert!(equal.iter().all(|&word| word == 0));
    }

    #[test]
    fn planes_are_comparisons_on_every_form() {
        for form in Form::ALL {
            for planes in [1, 7, 8, 9, 63, 200, 254, 255, 256, 300] {
                for table in [2, 64, 255, 256, 257, 400] {
                    for rows in [1, 63, 64] {
                        check::<1>(form, planes, table, rows);
                    }
                    check::<2>(form, planes, table, 128);
                    check::<4>(form, planes, table, 250);
                    check::<4>(form, planes, table, 256);
                }
            }
        }
    }
}
