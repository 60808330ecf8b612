//! What AVX-512 with VBMI and GFNI does better.

use std::arch::x86_64::*;

use super::leaves::{Ops, Plain};

/// Its functions are only inlined into functions compiled for these instructions, which `super::dispatch` calls after
/// asking the machine for them; every `SAFETY` comment about instructions relies on this.
pub(super) struct Avx512;

impl Ops for Avx512 {
    const COMPARES_BYTES: bool = true;

    #[inline(always)]
    fn at_most<const WORDS: usize>(bins: &[[u8; 64]; WORDS], planes: &mut [[u64; WORDS]]) {
        // SAFETY: the machine has the instructions (see `Avx512`). Each load is of the 64 bytes of one `bins[word]`.
        unsafe {
            // Bins less the number of planes made.
            let mut left = [_mm512_setzero_si512(); WORDS];
            let mut word = 0;
            while word < WORDS {
                // Rows descend in each qword, as GFNI wants them.
                left[word] = _mm512_shuffle_epi8(_mm512_loadu_si512(bins[word].as_ptr().cast()), qwords_reversed());
                word += 1;
            }
            let (eights, rest) = planes.as_chunks_mut::<8>();
            for planes in eights {
                eight_planes(&mut left, planes);
            }
            if !rest.is_empty() {
                let mut planes = [[0; WORDS]; 8];
                eight_planes(&mut left, &mut planes);
                rest.copy_from_slice(&planes[..rest.len()]);
            }
        }
    }

    /// A whole block's are looked up in registers, which hold tables of up to 256 bytes.
    #[inline(always)]
    fn bins<const WORDS: usize>(codes: &[u32], bin_of_code: &[u16], bins: &mut [[u8; 64]; WORDS]) {
        if bin_of_code.len() > 256 || codes.len() != 64 * WORDS {
            return Plain::bins(codes, bin_of_code, bins);
        }
        let mut table = [0; 256];
        table[..bin_of_code.len()].copy_from_slice(bin_of_code);
        // SAFETY: the machine has the instructions (see `Avx512`). The table has 256 numbers, four times 64; `codes` has
        // `64 * WORDS` numbers, as checked above, so 64 from `64 * word` on; the store fills the 64 bytes of `bins[word]`.
        unsafe {
            let at = table.as_ptr();
            let table = [bytes_of(at), bytes_of(at.add(64)), bytes_of(at.add(128)), bytes_of(at.add(192))];
            let mut word = 0;
            while word < WORDS {
                let at = codes.as_ptr().add(64 * word);
                let code = _mm512_castsi128_si512(_mm512_cvtepi32_epi8(_mm512_loadu_si512(at.cast())));
                let code = _mm512_inserti32x4::<1>(code, _mm512_cvtepi32_epi8(_mm512_loadu_si512(at.add(16).cast())));
                let code = _mm512_inserti32x4::<2>(code, _mm512_cvtepi32_epi8(_mm512_loadu_si512(at.add(32).cast())));
                let code = _mm512_inserti32x4::<3>(code, _mm512_cvtepi32_epi8(_mm512_loadu_si512(at.add(48).cast())));
                let low = _mm512_permutex2var_epi8(table[0], code, table[1]);
                let high = _mm512_permutex2var_epi8(table[2], code, table[3]);
                let found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(code), low, high);
                _mm512_storeu_si512(bins[word].as_mut_ptr().cast(), found);
                word += 1;
            }
        }
    }

    /// Interleaving byte planes leaves the rows in this order; undoing it once a block is cheaper than once a tree.
    #[inline(always)]
    fn position(row: usize) -> usize {
        row % 16 / 2 * 8 + row / 16 * 2 + row % 2
    }

    #[inline(always)]
    fn add(index: [u64; 6], _: &[f64; 64], byte_planes: &[[u8; 64]; 8], sums: &mut [f64; 64]) {
        // SAFETY: the machine has the instructions (see `Avx512`). Loads of bytes are of 64-byte arrays. `half` and `quarter`
        // are 0 or 1, so `at` is at most 48 sums from the start, and the 16 sums from there on are within the 64.
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
        // SAFETY: the machine has the instructions (see `Avx512`). `row` is below 8, so the eight words from `8 * row` on
        // are within the 64.
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

/// Returns the order that reverses the bytes of each qword.
///
/// # Safety
/// The machine has AVX-512F.
#[inline(always)]
unsafe fn qwords_reversed() -> __m512i {
    // SAFETY: the caller promises the instruction.
    unsafe { _mm512_set4_epi32(0x0809_0a0b, 0x0c0d_0e0f, 0x0001_0203, 0x0405_0607) }
}

/// Packs 64 numbers below 256 into bytes.
///
/// # Safety
/// The machine has AVX-512F and AVX-512BW, and 64 numbers can be read from `numbers` on.
#[inline(always)]
unsafe fn bytes_of(numbers: *const u16) -> __m512i {
    // SAFETY: the caller promises the instructions and the 64 numbers; the loads are of the first and the last 32.
    unsafe {
        let low = _mm512_castsi256_si512(_mm512_cvtepi16_epi8(_mm512_loadu_si512(numbers.cast())));
        _mm512_inserti64x4::<1>(low, _mm512_cvtepi16_epi8(_mm512_loadu_si512(numbers.add(32).cast())))
    }
}

/// Makes the planes of `left <= 0` to `left <= 7` and subtracts 8 from `left`: rows become bytes of such bits, which are
/// transposed.
///
/// # Safety
/// The machine has AVX-512F, AVX-512BW, AVX-512VBMI and GFNI.
#[inline(always)]
unsafe fn eight_planes<const WORDS: usize>(left: &mut [__m512i; WORDS], planes: &mut [[u64; WORDS]; 8]) {
    // SAFETY: the caller promises the instructions. If `WORDS` is 4, `planes` are 32 words in a row, the four vectors that
    // are stored; otherwise each store fills the eight words of `own`.
    unsafe {
        // Byte `i` is 255 << i, and 0 from 8 on.
        let bits_of_left = _mm512_set4_epi32(0, 0, 0x80c0_e0f0_u32 as i32, 0xf8fc_feff_u32 as i32);
        let mut words = [_mm512_setzero_si512(); WORDS];
        let mut word = 0;
        while word < WORDS {
            let bits = _mm512_shuffle_epi8(bits_of_left, _mm512_min_epu8(left[word], _mm512_set1_epi8(8)));
            left[word] = _mm512_subs_epu8(left[word], _mm512_set1_epi8(8));
            let order = if WORDS == 4 { &PAIRED } else { &ASCENDING };
            words[word] = permute_bytes(transpose_8x8(bits), order);
            word += 1;
        }
        if WORDS == 4 {
            // Of each word the planes 0, 4, 1, 5, 2, 6, 3, 7: word by word of a plane, then pairs of words.
            let pairs = [
                (_mm512_unpacklo_epi64(words[0], words[1]), _mm512_unpacklo_epi64(words[2], words[3])),
                (_mm512_unpackhi_epi64(words[0], words[1]), _mm512_unpackhi_epi64(words[2], words[3])),
            ];
            let (first, second) =
                (_mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15));
            let at = planes.as_mut_ptr().cast::<__m512i>();
            _mm512_storeu_si512(at, _mm512_permutex2var_epi64(pairs[0].0, first, pairs[0].1));
            _mm512_storeu_si512(at.add(1), _mm512_permutex2var_epi64(pairs[0].0, second, pairs[0].1));
            _mm512_storeu_si512(at.add(2), _mm512_permutex2var_epi64(pairs[1].0, first, pairs[1].1));
            _mm512_storeu_si512(at.add(3), _mm512_permutex2var_epi64(pairs[1].0, second, pairs[1].1));
            return;
        }
        let mut word = 0;
        while word < WORDS {
            let mut own = [0_u64; 8];
            _mm512_storeu_si512(own.as_mut_ptr().cast(), words[word]);
            let mut plane = 0;
            while plane < 8 {
                planes[plane][word] = own[plane];
                plane += 1;
            }
            word += 1;
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

/// As [`ASCENDING`], with the qwords in the order 0, 4, 1, 5, 2, 6, 3, 7.
static PAIRED: [u8; 64] = {
    let mut order = [0; 64];
    let mut at = 0;
    while at < 64 {
        let qword = at / 8;
        order[at] = ASCENDING[8 * (qword / 2 + qword % 2 * 4) + at % 8];
        at += 1;
    }
    order
};

/// Moves bytes: byte `i` of the answer is byte `order[i]` of `rows`.
///
/// # Safety
/// The machine has AVX-512F and AVX-512VBMI.
#[inline(always)]
unsafe fn permute_bytes(rows: __m512i, order: &[u8; 64]) -> __m512i {
    // SAFETY: the caller promises the instructions; the load is of the 64 bytes of `order`.
    unsafe { _mm512_permutexvar_epi8(_mm512_loadu_si512(order.as_ptr().cast()), rows) }
}

/// Transposes each qword, taken as 8 x 8 bits with the rows in descending order.
///
/// # Safety
/// The machine has AVX-512F and GFNI.
#[inline(always)]
unsafe fn transpose_8x8(blocks: __m512i) -> __m512i {
    // SAFETY: the caller promises the instructions; nothing is read from memory.
    unsafe { _mm512_gf2p8affine_epi64_epi8::<0>(_mm512_set1_epi64(0x8040_2010_0804_0201_u64 as i64), blocks) }
}

/// Transposes 8 x 8 qwords.
///
/// # Safety
/// The machine has AVX-512F.
#[inline(always)]
unsafe fn transpose_qwords(rows: [__m512i; 8]) -> [__m512i; 8] {
    // SAFETY: the caller promises the instructions; nothing is read from memory.
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
