//! Pointer jumping by AVX-512 with VBMI.

use std::arch::x86_64::*;

use super::avx512::Avx512;
use super::forest::Forest;
use super::jump::{ROW_BYTES, SPLIT, Tree};
use super::leaves::Ops;

/// The raw score of a row; only its first `64 * REGISTERS` bytes are looked at.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")]
pub(super) fn score<const REGISTERS: usize>(
    trees: &[Tree],
    values: &[[f64; 64]],
    doublings: u32,
    row: &[u8; ROW_BYTES],
) -> f64 {
    let row = quarters(row);
    let mut sum = 0.0;
    for (tree, values) in trees.iter().zip(values) {
        let passed = passed::<REGISTERS>(row, tree);
        let next = _mm512_mask_blend_epi8(passed, load(&tree.right), load(&tree.left));
        sum += values[first_byte(jump(next, doublings)) % 64];
    }
    sum
}

/// Raw scores of a block; see [`super::Jump::score_block`].
#[target_feature(enable = "avx2,bmi1,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,gfni")]
pub(super) fn score_block<const REGISTERS: usize, const WORDS: usize>(
    trees: &[Tree],
    doublings: u32,
    forest: &Forest,
    low: &[u8; ROW_BYTES],
    high: &[u8; ROW_BYTES],
    planes: &[[u64; WORDS]],
    out: &mut [f64],
) {
    let (low, high) = (quarters(low), quarters(high));
    let own_places = load(&OWN_PLACES);
    let mut sums = [[0.0; 64]; WORDS];
    for ((tree, splits), byte_planes) in trees.iter().zip(forest.trees()).zip(forest.byte_planes()) {
        let some = passed::<REGISTERS>(low, tree);
        let all = passed::<REGISTERS>(high, tree);
        let next = _mm512_mask_blend_epi8(some, load(&tree.right), load(&tree.left));
        // Open splits lead to themselves: there the jumps end.
        let next = jump(_mm512_mask_mov_epi8(next, some & !all, own_places), doublings);
        let follow = |children: &[u8; 64]| -> [u8; 64] {
            let children = load(children);
            store(_mm512_mask_permutexvar_epi8(children, _mm512_movepi8_mask(children), children, next))
        };
        let children = [follow(&tree.left), follow(&tree.right)];
        let index = route(first_byte(next), &children, |split| planes[splits.plane(split)]);
        for (sums, index) in sums.iter_mut().zip(index) {
            let index = std::array::from_fn(|bit| index[bit]);
            Avx512::add(index, &[0.0; 64], byte_planes, sums);
        }
    }
    for (out, sums) in out.chunks_mut(64).zip(&sums) {
        for (row, out) in out.iter_mut().enumerate() {
            *out = sums[Avx512::position(row)];
        }
    }
}

/// Routes a block from a place on through open splits; gives for each word the planes of the leaf index's bits.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,gfni")]
fn route<const WORDS: usize>(
    root: usize,
    children: &[[u8; 64]; 2],
    plane: impl Fn(usize) -> [u64; WORDS],
) -> [[u64; 8]; WORDS] {
    let split = usize::from(SPLIT);
    if root < split {
        return [std::array::from_fn(|bit| if root >> bit & 1 == 1 { !0 } else { 0 }); WORDS];
    }
    let mut index = [_mm512_setzero_si512(); WORDS];
    // What waits to be routed: which split, and which rows. One place more, for what turns out to be a leaf.
    let (mut waiting, mut reach) = ([0; 65], [[0; WORDS]; 65]);
    (waiting[0], reach[0]) = (root, [!0; WORDS]);
    let (mut at, mut end) = (0, 1);
    while at < end && end < 64 {
        let (here, own) = (reach[at], waiting[at] % 64);
        let plane = plane(own);
        at += 1;
        for (side, children) in children.iter().enumerate() {
            let child = usize::from(children[own]);
            let is_split = child >= split;
            // No bits of a split, nor of leaf 0.
            let bits = if is_split { 0 } else { child as u8 };
            let mut reached = here;
            for word in 0..WORDS {
                reached[word] &= if side == 0 { plane[word] } else { !plane[word] };
                let rows = _mm512_set1_epi64(reached[word] as i64);
                index[word] = _mm512_mask_or_epi64(index[word], bits, index[word], rows);
            }
            (waiting[end], reach[end]) = (child, reached);
            end += usize::from(is_split);
        }
    }
    let mut planes = [[0; 8]; WORDS];
    for (planes, index) in planes.iter_mut().zip(index) {
        // SAFETY: the store is of 64 bytes to eight words.
        unsafe { _mm512_storeu_si512(planes.as_mut_ptr().cast(), index) };
    }
    planes
}

static OWN_PLACES: [u8; 64] = {
    let mut places = [0; 64];
    let mut place = 0;
    while place < 64 {
        places[place] = SPLIT | place as u8;
        place += 1;
    }
    places
};

/// A bit for each split of a tree: whether the row passes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")]
fn passed<const REGISTERS: usize>(row: [__m512i; 4], tree: &Tree) -> u64 {
    let index = load(&tree.byte);
    let bytes = match REGISTERS {
        1 => _mm512_permutexvar_epi8(index, row[0]),
        2 => _mm512_permutex2var_epi8(row[0], index, row[1]),
        _ => {
            let low = _mm512_permutex2var_epi8(row[0], index, row[1]);
            let high = _mm512_permutex2var_epi8(row[2], index, row[3]);
            _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high)
        }
    };
    _mm512_cmple_epu8_mask(bytes, load(&tree.limit))
}

/// Follows every place's way to its end. Only splits, which have the highest bit, lead on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")]
fn jump(mut next: __m512i, doublings: u32) -> __m512i {
    for _ in 0..doublings {
        next = _mm512_mask_permutexvar_epi8(next, _mm512_movepi8_mask(next), next, next);
    }
    next
}

#[inline]
#[target_feature(enable = "avx512f")]
fn first_byte(bytes: __m512i) -> usize {
    _mm_cvtsi128_si32(_mm512_castsi512_si128(bytes)) as usize % 256
}

#[inline]
#[target_feature(enable = "avx512f")]
fn quarters(row: &[u8; ROW_BYTES]) -> [__m512i; 4] {
    let quarters = row.as_chunks().0;
    [load(&quarters[0]), load(&quarters[1]), load(&quarters[2]), load(&quarters[3])]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the load is of all of `bytes`.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(vector: __m512i) -> [u8; 64] {
    let mut bytes = [0; 64];
    // SAFETY: the store is to all of `bytes`.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), vector) };
    bytes
}
