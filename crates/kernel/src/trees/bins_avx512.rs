//! From values to codes with AVX-512.

use std::arch::x86_64::*;

use super::bins::{Bins, SingleBins, ZERO_THRESHOLD_SINGLE};

/// Codes of f32 values, 16 at a time: eight steps of the binary search by look-ups in registers, the rest by gathers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) fn codes(bins: &SingleBins, nan_code: u32, zero_code: Option<u32>, values: &[f32], codes: &mut [u32]) {
    match bins.steps {
        0 => codes_by::<0>(bins, nan_code, zero_code, values, codes),
        1 => codes_by::<1>(bins, nan_code, zero_code, values, codes),
        2 => codes_by::<2>(bins, nan_code, zero_code, values, codes),
        _ => codes_by::<3>(bins, nan_code, zero_code, values, codes),
    }
}

/// `32 * PAIRS` numbers in registers.
type Table<const PAIRS: usize> = [[__m512; 2]; PAIRS];

/// A bin table's numbers in registers, of which the first `LEVELS` levels are used.
struct Tables<const LEVELS: u32> {
    pivots: Table<1>,
    levels: (Table<1>, Table<2>, Table<4>),
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn codes_by<const LEVELS: u32>(
    bins: &SingleBins,
    nan_code: u32,
    zero_code: Option<u32>,
    values: &[f32],
    codes: &mut [u32],
) {
    let (first, second, third) = &*bins.levels;
    // SAFETY: this function is compiled for the instructions that `pairs` wants, and so runs on machines that have them.
    let tables = unsafe {
        let levels = (pairs(first), pairs(second), pairs(third));
        Tables::<LEVELS> { pivots: pairs(&bins.pivots), levels }
    };
    let (value_chunks, value_rest) = values.as_chunks::<16>();
    let (code_chunks, code_rest) = codes.as_chunks_mut::<16>();
    for (values, codes) in value_chunks.iter().zip(&mut *code_chunks) {
        // SAFETY: this function is compiled for the instructions that `codes_of_16` wants.
        unsafe { codes_of_16(bins, &tables, nan_code, zero_code, values, codes) };
    }
    let length = code_rest.len().min(value_rest.len());
    if length > 0 && value_chunks.len() == code_chunks.len() {
        let (mut values, mut codes) = ([0.0; 16], [0; 16]);
        values[..length].copy_from_slice(&value_rest[..length]);
        // SAFETY: this function is compiled for the instructions that `codes_of_16` wants.
        unsafe { codes_of_16(bins, &tables, nan_code, zero_code, &values, &mut codes) };
        code_rest[..length].copy_from_slice(&codes[..length]);
    }
}

/// Loads a table into registers.
///
/// # Safety
/// The machine has AVX-512F.
#[inline(always)]
unsafe fn pairs<const NUMBERS: usize, const PAIRS: usize>(table: &[f32; NUMBERS]) -> Table<PAIRS> {
    const { assert!(NUMBERS == 32 * PAIRS) };
    // SAFETY: the caller promises the instructions. `pair` is below `PAIRS` and the table has `32 * PAIRS` numbers, so the
    // 32 numbers from `32 * pair` on are within it.
    unsafe {
        let mut pairs = [[_mm512_setzero_ps(); 2]; PAIRS];
        let mut pair = 0;
        while pair < PAIRS {
            let at = table.as_ptr().add(32 * pair);
            pairs[pair] = [_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(16))];
            pair += 1;
        }
        pairs
    }
}

/// Looks up the numbers of a table at these places, which are below `32 * PAIRS`.
///
/// # Safety
/// The machine has AVX-512F.
#[inline(always)]
unsafe fn look_up<const PAIRS: usize>(table: &Table<PAIRS>, at: __m512i) -> __m512 {
    // SAFETY: the caller promises the instructions. The table is in registers: a place beyond it gives another of its
    // numbers, and reads no memory.
    unsafe {
        let mut found = _mm512_permutex2var_ps(table[0][0], at, table[0][1]);
        // A loop: iterators are not compiled for these instructions.
        let mut pair = 1;
        while pair < PAIRS {
            let is_here = _mm512_cmpge_epi32_mask(at, _mm512_set1_epi32(32 * pair as i32));
            let [low, high] = table[pair];
            found = _mm512_mask_mov_ps(found, is_here, _mm512_permutex2var_ps(low, at, high));
            pair += 1;
        }
        found
    }
}

/// Finds the codes of 16 values.
///
/// # Safety
/// The machine has AVX-512F, AVX-512BW, AVX-512VL and AVX-512DQ.
#[inline(always)]
unsafe fn codes_of_16<const LEVELS: u32>(
    bins: &SingleBins,
    tables: &Tables<LEVELS>,
    nan_code: u32,
    zero_code: Option<u32>,
    values: &[f32; 16],
    codes: &mut [u32; 16],
) {
    assert_eq!(bins.padded.len(), 32 << bins.steps);
    // SAFETY: the caller promises the instructions. The load and the store are of arrays of 16 numbers. Gathers read
    // `padded` at `at + step - 1`, which is below its length: the assertion above, and the comment at the gather, say why.
    unsafe {
        let values = _mm512_loadu_ps(values.as_ptr());
        let tiny = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(_mm512_abs_ps(values), _mm512_set1_ps(ZERO_THRESHOLD_SINGLE));
        let values = _mm512_mask_mov_ps(values, tiny, _mm512_setzero_ps());
        let mut at = _mm512_setzero_si512();
        for step in [16, 8, 4, 2, 1] {
            let pivot = look_up(&tables.pivots, _mm512_add_epi32(at, _mm512_set1_epi32(step - 1)));
            let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(pivot, values);
            at = _mm512_mask_add_epi32(at, below, at, _mm512_set1_epi32(step));
        }
        // From here on `at` counts ranges, which are halved.
        let (first, second, third) = &tables.levels;
        if LEVELS > 0 {
            at = halved(at, look_up(first, at), values);
        }
        if LEVELS > 1 {
            at = halved(at, look_up(second, at), values);
        }
        if LEVELS > 2 {
            at = halved(at, look_up(third, at), values);
        }
        let mut step = 1 << (bins.steps - LEVELS) >> 1;
        at = _mm512_sll_epi32(at, _mm_cvtsi32_si128((bins.steps - LEVELS) as i32));
        while step > 0 {
            // `at` is a multiple of `2 * step` below `padded.len()`, itself one: `at + step - 1` is below it too.
            let index = _mm512_add_epi32(at, _mm512_set1_epi32(step - 1));
            let threshold = _mm512_i32gather_ps::<4>(index, bins.padded.as_ptr());
            let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(threshold, values);
            at = _mm512_mask_add_epi32(at, below, at, _mm512_set1_epi32(step));
            step >>= 1;
        }
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(values, values);
        at = _mm512_mask_mov_epi32(at, nan, _mm512_set1_epi32(nan_code as i32));
        if let Some(zero_code) = zero_code {
            at = _mm512_mask_mov_epi32(at, tiny, _mm512_set1_epi32(zero_code as i32));
        }
        _mm512_storeu_si512(codes.as_mut_ptr().cast(), at);
    }
}

/// Finds the half of each range that the value is in: the second one if the last number of the first is below it.
///
/// # Safety
/// The machine has AVX-512F.
#[inline(always)]
unsafe fn halved(at: __m512i, middle: __m512, values: __m512) -> __m512i {
    // SAFETY: the caller promises the instructions; nothing is read from memory.
    unsafe {
        let at = _mm512_add_epi32(at, at);
        let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(middle, values);
        _mm512_mask_add_epi32(at, below, at, _mm512_set1_epi32(1))
    }
}

/// The codes of a row's values; those that f32 holds are looked up by comparisons of 16 thresholds at once.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,popcnt")]
pub(super) fn row_codes<'a>(columns: impl Iterator<Item = (&'a Bins, f64)>, codes: &mut Vec<u32>) {
    /// Beyond so many steps a binary search takes fewer.
    const STEPS_MAX: u32 = 5;
    for (bins, value) in columns {
        let single = value as f32;
        let is_exact = f64::from(single) == value || value.is_nan();
        codes.push(if is_exact && bins.single.steps <= STEPS_MAX {
            code_of_one(bins, single)
        } else {
            bins.code(value)
        });
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,popcnt")]
fn code_of_one(bins: &Bins, value: f32) -> u32 {
    let single = &bins.single;
    if value.is_nan() {
        return bins.nan_code();
    }
    let is_tiny = value.abs() <= ZERO_THRESHOLD_SINGLE;
    if is_tiny && bins.zero_is_apart() {
        return bins.nan_code() + 1;
    }
    let value = _mm512_set1_ps(if is_tiny { 0.0 } else { value });
    let length = 1 << single.steps;
    // SAFETY: the loads of pivots are of both halves; those of thresholds of up to 16 of the slice that is left.
    unsafe {
        let low = _mm512_loadu_ps(single.pivots.as_ptr());
        let high = _mm512_loadu_ps(single.pivots.as_ptr().add(16));
        let low = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(low, value);
        let high = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(high, value);
        let first = ((low.count_ones() + high.count_ones()) as usize) << single.steps;
        let mut code = first as u32;
        for thresholds in single.padded[first..first + length].chunks(16) {
            let lanes = (u32::from(u16::MAX) >> (16 - thresholds.len())) as u16;
            let thresholds = _mm512_maskz_loadu_ps(lanes, thresholds.as_ptr());
            code += _mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(lanes, thresholds, value).count_ones();
        }
        code
    }
}
