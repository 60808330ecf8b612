//! What AVX-512 with VBMI and GFNI does better.

use std::arch::x86_64::*;

use super::bins::{Bins, SingleBins, ZERO_THRESHOLD_SINGLE};
use super::leaves::Ops;

/// Only instantiated inside functions compiled for, and run on, machines with these instructions (`super::dispatch`).
pub(super) struct Avx512;

impl Ops for Avx512 {
    const COMPARES_BYTES: bool = true;

    #[inline(always)]
    fn at_most(bins: &[u8; 64], limit: u8) -> u64 {
        // SAFETY: the instructions are there (see `Avx512`); the load is of all of `bins`.
        unsafe { _mm512_cmple_epu8_mask(_mm512_loadu_si512(bins.as_ptr().cast()), _mm512_set1_epi8(limit as i8)) }
    }

    /// Interleaving byte planes leaves the rows in this order; undoing it once a block is cheaper than once a tree.
    #[inline(always)]
    fn position(row: usize) -> usize {
        row % 16 / 2 * 8 + row / 16 * 2 + row % 2
    }

    #[inline(always)]
    fn add(index: [u64; 6], _: &[f64; 64], byte_planes: &[[u8; 64]; 8], sums: &mut [f64; 64]) {
        // SAFETY: the instructions are there (see `Avx512`); loads and stores stay inside the 64-byte arrays and the 64 sums.
        unsafe {
            let mut leaf = _mm512_setzero_si512();
            for (bit, &plane) in index.iter().enumerate() {
                leaf = _mm512_mask_add_epi8(leaf, plane, leaf, _mm512_set1_epi8(1 << bit));
            }
            let byte =
                |plane: usize| _mm512_permutexvar_epi8(leaf, _mm512_loadu_si512(byte_planes[plane].as_ptr().cast()));
            let (b0, b1, b2, b3) = (byte(0), byte(1), byte(2), byte(3));
            let (b4, b5, b6, b7) = (byte(4), byte(5), byte(6), byte(7));
            let low = [
                [_mm512_unpacklo_epi8(b0, b1), _mm512_unpacklo_epi8(b2, b3)],
                [_mm512_unpackhi_epi8(b0, b1), _mm512_unpackhi_epi8(b2, b3)],
            ];
            let high = [
                [_mm512_unpacklo_epi8(b4, b5), _mm512_unpacklo_epi8(b6, b7)],
                [_mm512_unpackhi_epi8(b4, b5), _mm512_unpackhi_epi8(b6, b7)],
            ];
            for half in 0..2 {
                let [l01, l23] = low[half];
                let [h45, h67] = high[half];
                let quarters = [
                    (_mm512_unpacklo_epi16(l01, l23), _mm512_unpacklo_epi16(h45, h67)),
                    (_mm512_unpackhi_epi16(l01, l23), _mm512_unpackhi_epi16(h45, h67)),
                ];
                for (quarter, (l, h)) in quarters.into_iter().enumerate() {
                    let at = sums.as_mut_ptr().add((half * 4 + quarter * 2) * 8);
                    let first = _mm512_castsi512_pd(_mm512_unpacklo_epi32(l, h));
                    let second = _mm512_castsi512_pd(_mm512_unpackhi_epi32(l, h));
                    _mm512_storeu_pd(at, _mm512_add_pd(_mm512_loadu_pd(at), first));
                    _mm512_storeu_pd(at.add(8), _mm512_add_pd(_mm512_loadu_pd(at.add(8)), second));
                }
            }
        }
    }

    /// Bytes are gathered to 8 x 8 blocks by `vpermb`, and GFNI transposes each block.
    #[inline(always)]
    fn transpose(bits: &mut [u64; 64]) {
        // SAFETY: the instructions are there (see `Avx512`); all accesses are to the 64 words.
        unsafe {
            let at = bits.as_mut_ptr();
            let mut blocks = [_mm512_setzero_si512(); 8];
            for (row, block) in blocks.iter_mut().enumerate() {
                *block = permute_bytes(_mm512_loadu_si512(at.add(8 * row).cast()), &DESCENDING);
            }
            // Now qword `c` of blocks[r] has the bytes (8r+7 down to 8r, c): an 8 x 8 bit block. Transpose the grid of blocks ...
            let blocks = transpose_qwords(blocks);
            for (row, block) in blocks.into_iter().enumerate() {
                // ... each block ...
                let block = transpose_8x8(block);
                // ... and spread its bytes over the rows again.
                _mm512_storeu_si512(at.add(8 * row).cast(), permute_bytes(block, &ASCENDING));
            }
        }
    }
}

/// Where the bytes of 8 x 8 come from to transpose them; with the rows in descending order as GFNI wants its matrices, or not.
const fn byte_order(descending: bool) -> [u8; 64] {
    let mut order = [0; 64];
    let mut at = 0;
    while at < 64 {
        let row = if descending { 7 - at % 8 } else { at % 8 };
        order[at] = (row * 8 + at / 8) as u8;
        at += 1;
    }
    order
}

static ASCENDING: [u8; 64] = byte_order(false);
static DESCENDING: [u8; 64] = byte_order(true);

#[inline(always)]
unsafe fn permute_bytes(rows: __m512i, order: &[u8; 64]) -> __m512i {
    // SAFETY: as the caller's; `order` has 64 bytes.
    unsafe { _mm512_permutexvar_epi8(_mm512_loadu_si512(order.as_ptr().cast()), rows) }
}

/// Each qword taken as 8 x 8 bits, rows descending, transposed.
#[inline(always)]
unsafe fn transpose_8x8(blocks: __m512i) -> __m512i {
    // SAFETY: as the caller's.
    unsafe { _mm512_gf2p8affine_epi64_epi8::<0>(_mm512_set1_epi64(0x8040_2010_0804_0201_u64 as i64), blocks) }
}

/// 8 x 8 qwords, transposed.
#[inline(always)]
unsafe fn transpose_qwords(rows: [__m512i; 8]) -> [__m512i; 8] {
    // SAFETY: as the caller's.
    unsafe {
        let pair = |a, b| (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
        let (a0, a1) = pair(rows[0], rows[1]);
        let (a2, a3) = pair(rows[2], rows[3]);
        let (a4, a5) = pair(rows[4], rows[5]);
        let (a6, a7) = pair(rows[6], rows[7]);
        let four = |a, b| (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xdd>(a, b));
        // Even columns 0 2 4 6 are in a0 a2 a4 a6: lanes are columns 0, 2, 4, 6 of a pair of rows.
        let (e02, e13) = four(a0, a2);
        let (f02, f13) = four(a4, a6);
        let (o02, o13) = four(a1, a3);
        let (p02, p13) = four(a5, a7);
        let (c0, c4) = four(e02, f02);
        let (c2, c6) = four(e13, f13);
        let (c1, c5) = four(o02, p02);
        let (c3, c7) = four(o13, p13);
        [c0, c1, c2, c3, c4, c5, c6, c7]
    }
}

/// Codes of f32 values, 16 at a time: five steps of the binary search by look-ups in two registers, the rest by gathers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) fn codes(bins: &SingleBins, nan_code: u32, zero_code: Option<u32>, values: &[f32], codes: &mut [u32]) {
    let (value_chunks, value_rest) = values.as_chunks::<16>();
    let (code_chunks, code_rest) = codes.as_chunks_mut::<16>();
    for (values, codes) in value_chunks.iter().zip(&mut *code_chunks) {
        codes_of_16(bins, nan_code, zero_code, values, codes);
    }
    let length = code_rest.len().min(value_rest.len());
    if length > 0 && value_chunks.len() == code_chunks.len() {
        let (mut values, mut codes) = ([0.0; 16], [0; 16]);
        values[..length].copy_from_slice(&value_rest[..length]);
        codes_of_16(bins, nan_code, zero_code, &values, &mut codes);
        code_rest[..length].copy_from_slice(&codes[..length]);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn codes_of_16(bins: &SingleBins, nan_code: u32, zero_code: Option<u32>, values: &[f32; 16], codes: &mut [u32; 16]) {
    assert_eq!(bins.padded.len(), 32 << bins.steps);
    // SAFETY: loads and stores are of whole arrays; gathers are at `at + step - 1` below `padded.len()`, see there.
    unsafe {
        let values = _mm512_loadu_ps(values.as_ptr());
        let tiny = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(_mm512_abs_ps(values), _mm512_set1_ps(ZERO_THRESHOLD_SINGLE));
        let values = _mm512_mask_mov_ps(values, tiny, _mm512_setzero_ps());
        let low = _mm512_loadu_ps(bins.pivots.as_ptr());
        let high = _mm512_loadu_ps(bins.pivots.as_ptr().add(16));
        let mut at = _mm512_setzero_si512();
        for step in [16, 8, 4, 2, 1] {
            let pivot = _mm512_permutex2var_ps(low, _mm512_add_epi32(at, _mm512_set1_epi32(step - 1)), high);
            let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(pivot, values);
            at = _mm512_mask_add_epi32(at, below, at, _mm512_set1_epi32(step));
        }
        at = _mm512_sll_epi32(at, _mm_cvtsi32_si128(bins.steps as i32));
        let mut step = 1 << bins.steps >> 1;
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
