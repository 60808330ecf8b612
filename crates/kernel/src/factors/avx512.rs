//! Where the compiler doesn't find what AVX-512 can do.

use std::arch::x86_64::{
    __m512, _mm512_add_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_setzero_ps, _mm512_shuffle_f32x4, _mm512_storeu_ps,
};

/// The same bits as [`super::ffm_tiles_portable`]: 16 pairs of fields are four products of 16 lanes, the four others'
/// blocks turned in registers.
#[target_feature(enable = "avx512f")]
pub(super) fn ffm_tiles(vectors: &[&[f32]]) -> [[f32; 4]; 4] {
    let tiled = vectors.len() / 4 * 4;
    let mut sum = _mm512_setzero_ps();
    for first in (0..tiled).step_by(4) {
        for other in (first + 4..tiled).step_by(4) {
            let own: [__m512; 4] = std::array::from_fn(|field| four_blocks(vectors[first + field], other));
            let with = turned(std::array::from_fn(|field| four_blocks(vectors[other + field], first)));
            let product: [__m512; 4] = std::array::from_fn(|field| _mm512_mul_ps(own[field], with[field]));
            let [a, b, c, d] = product;
            sum = _mm512_add_ps(sum, _mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)));
        }
    }
    let mut sums = [[0.0; 4]; 4];
    // SAFETY: the array has the 16 numbers' room.
    unsafe { _mm512_storeu_ps(sums.as_mut_ptr().cast(), sum) };
    sums
}

/// The directions of all fields in whole tiles of four, as [`super::ffm_directions`] with `k = 4` wants them.
#[target_feature(enable = "avx512f")]
pub(super) fn ffm_turn(vectors: &[&[f32]], directions: &mut [f32]) {
    let fields = vectors.len();
    for first in (0..fields / 4 * 4).step_by(4) {
        for other in (0..fields / 4 * 4).step_by(4) {
            let blocks = turned(std::array::from_fn(|field| four_blocks(vectors[first + field], other)));
            for (place, blocks) in blocks.into_iter().enumerate() {
                let to = &mut directions[((other + place) * fields + first) * 4..][..16];
                // SAFETY: the slice has 16 numbers.
                unsafe { _mm512_storeu_ps(to.as_mut_ptr(), blocks) };
            }
        }
    }
}

/// The vector's blocks for four fields, from one on.
#[inline]
#[target_feature(enable = "avx512f")]
fn four_blocks(vector: &[f32], field: usize) -> __m512 {
    let blocks = &vector[field * 4..][..16];
    // SAFETY: the slice has 16 numbers.
    unsafe { _mm512_loadu_ps(blocks.as_ptr()) }
}

/// Turns four rows of four blocks of four lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn turned([a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
    const LOW: i32 = 0x44;
    const HIGH: i32 = 0xEE;
    const EVEN: i32 = 0x88;
    const ODD: i32 = 0xDD;
    let (ab_low, ab_high) = (_mm512_shuffle_f32x4::<LOW>(a, b), _mm512_shuffle_f32x4::<HIGH>(a, b));
    let (cd_low, cd_high) = (_mm512_shuffle_f32x4::<LOW>(c, d), _mm512_shuffle_f32x4::<HIGH>(c, d));
    [
        _mm512_shuffle_f32x4::<EVEN>(ab_low, cd_low),
        _mm512_shuffle_f32x4::<ODD>(ab_low, cd_low),
        _mm512_shuffle_f32x4::<EVEN>(ab_high, cd_high),
        _mm512_shuffle_f32x4::<ODD>(ab_high, cd_high),
    ]
}
