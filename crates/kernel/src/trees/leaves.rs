//! From leaf planes to leaf values, in plain Rust.

/// What the forms do differently.
pub(super) trait Ops {
    /// Where the sum of row `row` (0 to 63) of a word is kept.
    fn position(row: usize) -> usize;

    /// Adds to `sums` the values of 64 rows whose leaf index has these bits.
    fn add(index: [u64; 6], values: &[f64; 64], byte_planes: &[[u8; 64]; 8], sums: &mut [f64; 64]);

    /// Transposes 64 x 64 bits: bit `c` of word `r` becomes bit `r` of word `c`.
    fn transpose(bits: &mut [u64; 64]);
}

/// Plain Rust, in natural row order; the compiler vectorizes it as far as the enabled instructions allow.
pub(super) struct Plain;

impl Ops for Plain {
    #[inline(always)]
    fn position(row: usize) -> usize {
        row
    }

    #[inline(always)]
    fn add(index: [u64; 6], values: &[f64; 64], _: &[[u8; 64]; 8], sums: &mut [f64; 64]) {
        for (octet, sums) in sums.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let leaves = spread_octet(&index, octet).to_le_bytes();
            for (sum, leaf) in sums.iter_mut().zip(leaves) {
                *sum += values[usize::from(leaf) % 64];
            }
        }
    }

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
