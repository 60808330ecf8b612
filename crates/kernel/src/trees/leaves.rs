//! The inner operations that differ between the forms, and their plain Rust.

/// What the forms do differently; the defaults are plain Rust, which the compiler vectorizes as far as it may.
pub(super) trait Ops {
    /// Whether comparing bytes beats setting one bit a row.
    const COMPARES_BYTES: bool;

    /// Where the sum of row `row` (0 to 63) of a word is kept.
    #[inline(always)]
    fn position(row: usize) -> usize {
        row
    }

    /// The planes of `bins <= 0`, `bins <= 1` and so on, of which there are at most 255.
    fn at_most<const WORDS: usize>(bins: &[[u8; 64]; WORDS], planes: &mut [[u64; WORDS]]);

    /// Bins of codes, at most 64 a word. Every bin is below 256, every code below `bin_of_code.len()`.
    #[inline(always)]
    fn bins<const WORDS: usize>(codes: &[u32], bin_of_code: &[u16], bins: &mut [[u8; 64]; WORDS]) {
        for (bin, &code) in bins.as_flattened_mut().iter_mut().zip(codes) {
            *bin = bin_of_code[code as usize] as u8;
        }
    }

    /// Adds to `sums` the values of 64 rows whose leaf index has these bits.
    #[inline(always)]
    fn add(index: [u64; 6], values: &[f64; 64], _byte_planes: &[[u8; 64]; 8], sums: &mut [f64; 64]) {
        for (octet, sums) in sums.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let leaves = spread_octet(&index, octet).to_le_bytes();
            for (sum, leaf) in sums.iter_mut().zip(leaves) {
                *sum += values[usize::from(leaf) % 64];
            }
        }
    }

    /// Transposes 64 x 64 bits: bit `c` of word `r` becomes bit `r` of word `c`.
    #[inline(always)]
    fn transpose(bits: &mut [u64; 64]) {
        let mut mask = 0x0000_0000_ffff_ffff_u64;
        let mut half = 32;
        while half > 0 {
            for block in (0..64).step_by(2 * half) {
                for low in block..block + half {
                    let swap = (bits[low] >> half ^ bits[low + half]) & mask;
                    bits[low] ^= swap << half;
                    bits[low + half] ^= swap;
                }
            }
            half /= 2;
            mask ^= mask << half.max(1);
        }
    }
}

/// Nothing but plain Rust.
pub(super) struct Plain;

impl Ops for Plain {
    const COMPARES_BYTES: bool = false;

    #[inline(always)]
    fn at_most<const WORDS: usize>(bins: &[[u8; 64]; WORDS], planes: &mut [[u64; WORDS]]) {
        for (plane, limit) in planes.iter_mut().zip(0..=u8::MAX) {
            for (plane, bins) in plane.iter_mut().zip(bins) {
                *plane = bins.iter().rev().fold(0, |plane, &bin| plane << 1 | u64::from(bin <= limit));
            }
        }
    }
}

/// With 256-bit vectors.
#[cfg(target_arch = "x86_64")]
pub(super) struct Avx2;

#[cfg(target_arch = "x86_64")]
impl Ops for Avx2 {
    const COMPARES_BYTES: bool = true;

    #[inline(always)]
    fn at_most<const WORDS: usize>(bins: &[[u8; 64]; WORDS], planes: &mut [[u64; WORDS]]) {
        for (plane, limit) in planes.iter_mut().zip(0..=u8::MAX) {
            // A loop: intrinsics are not inlined through closures.
            for (plane, bins) in plane.iter_mut().zip(bins) {
                // SAFETY: this is only inlined into functions compiled for AVX2, which `super::dispatch` calls after asking
                // the machine for it.
                *plane = unsafe { at_most_avx2(bins, limit) };
            }
        }
    }
}

/// Compares 64 bins with a limit: bit `i` says whether `bins[i] <= limit`.
///
/// # Safety
/// The machine has AVX2.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn at_most_avx2(bins: &[u8; 64], limit: u8) -> u64 {
    use std::arch::x86_64::*;
    // SAFETY: the caller promises the instructions; the loads are of the first and the last 32 of the 64 bytes.
    unsafe {
        let limit = _mm256_set1_epi8(limit as i8);
        let low = _mm256_loadu_si256(bins.as_ptr().cast());
        let high = _mm256_loadu_si256(bins.as_ptr().add(32).cast());
        let low = _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(low, limit), limit)) as u32;
        let high = _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(high, limit), limit)) as u32;
        u64::from(low) | u64::from(high) << 32
    }
}

/// Byte `i` of the answer has as bit `b` the bit `8 * octet + i` of `index[b]`; at most eight planes.
#[inline(always)]
pub(super) fn spread_octet(index: &[u64], octet: usize) -> u64 {
    let mut spread = 0;
    for (bit, plane) in index.iter().enumerate() {
        spread |= SPREAD[(plane >> (8 * octet)) as usize & 255] << bit;
    }
    spread
}

/// Bit `i` of a byte moved to bit 0 of byte `i`.
static SPREAD: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[byte] |= ((byte as u64 >> bit) & 1) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    table
};
