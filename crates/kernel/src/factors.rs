//! Hot loops of the factor models: FM and FFM, and the weights' formats.
//!
//! Every loop is plain Rust over fixed lanes, compiled once for each instruction set and chosen by
//! what the CPU can do. Lanes are summed in one fixed order and nothing is fused, so all versions
//! give the same bits: a model trained on one machine is the model trained on another.

#[cfg(target_arch = "x86_64")]
mod avx512;

const LANES: usize = 16;

dispatched! {
    /// The inner product of two vectors of one length (the shorter counts).
    fn dot(left: &[f32], right: &[f32]) -> f32 = dot_body
}

dispatched! {
    /// Builds the directions of a row of a field-aware factorization machine: what each field's
    /// vector is multiplied by, which is also its gradient's direction.
    ///
    /// # Shapes
    /// `vectors`: `fields` slices of `fields * k`, of which block `j` meets field `j`; block `f` of
    /// field `f` starts with its linear weight. `directions`: `[fields, fields * k]`, row-major.
    /// # Panics
    /// Where a slice is shorter.
    /// # Source
    /// Juan et al., "Field-aware Factorization Machines for CTR Prediction", RecSys 2016, eq. 4.
    fn ffm_directions(vectors: &[&[f32]], k: usize, directions: &mut [f32]) = ffm_directions_body
}

dispatched! {
    /// Builds the directions of a row of a factorization machine: the sum of the other fields'
    /// vectors.
    ///
    /// # Shapes
    /// `vectors`: `fields` slices of `1 + k`, the first number the linear weight; `sum`: `1 + k`;
    /// `directions`: `[fields, 1 + k]`, row-major.
    /// # Panics
    /// Where a slice is shorter.
    /// # Source
    /// Rendle, "Factorization Machines", ICDM 2010, eq. 1 and lemma 3.1.
    fn fm_directions(vectors: &[&[f32]], sum: &mut [f32], directions: &mut [f32]) = fm_directions_body
}

dispatched! {
    /// The log-odds of a row of a field-aware factorization machine, without the intercept: linear weights, and an
    /// inner product for each pair of fields, met once.
    ///
    /// # Shapes
    /// As [`ffm_directions`].
    fn ffm_log_odds(vectors: &[&[f32]], k: usize) -> f32 = ffm_log_odds_body
}

dispatched! {
    /// The log-odds of a row of a factorization machine, without the intercept.
    ///
    /// # Shapes
    /// As [`fm_directions`]; `sum` is overwritten.
    fn fm_log_odds(vectors: &[&[f32]], sum: &mut [f32]) -> f32 = fm_log_odds_body
}

dispatched! {
    /// Turns bf16, the upper halves of f32, into f32; as many as both slices have.
    fn widen(from: &[u16], to: &mut [f32]) = widen_body
}

dispatched! {
    /// Rounds finite numbers to the nearest bf16, ties to even; as many as both slices have.
    fn narrow(from: &[f32], to: &mut [u16]) = narrow_body
}

#[inline(always)]
fn widen_body(from: &[u16], to: &mut [f32]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = f32::from_bits(u32::from(from) << 16);
    }
}

#[inline(always)]
fn narrow_body(from: &[f32], to: &mut [u16]) {
    for (to, from) in to.iter_mut().zip(from) {
        let bits = from.to_bits();
        *to = ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16;
    }
}

#[inline(always)]
fn dot_body(left: &[f32], right: &[f32]) -> f32 {
    let length = left.len().min(right.len());
    let (left, right) = (&left[..length], &right[..length]);
    let mut lanes = [0.0f32; LANES];
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    for (l, r) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..LANES {
            lanes[lane] += l[lane] * r[lane];
        }
    }
    for (lane, (l, r)) in left_rest.iter().zip(right_rest).enumerate() {
        lanes[lane] += l * r;
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

#[inline(always)]
fn ffm_directions_body(vectors: &[&[f32]], k: usize, directions: &mut [f32]) {
    match k {
        4 => {
            let tiled = ffm_turn(vectors, directions);
            ffm_directions_of::<4>(vectors, tiled, directions);
        }
        8 => ffm_directions_of::<8>(vectors, 0, directions),
        _ => {
            let stride = vectors.len() * k;
            for (field, vector) in vectors.iter().enumerate() {
                for (other, block) in vector[..stride].chunks_exact(k).enumerate() {
                    directions[other * stride + field * k..][..k].copy_from_slice(block);
                }
            }
        }
    }
    let stride = vectors.len() * k;
    for field in 0..vectors.len() {
        let own = &mut directions[field * stride + field * k..][..k];
        own.fill(0.0);
        own[0] = 1.0;
    }
}

/// The blocks in which either field is none of the first `done`.
#[inline(always)]
fn ffm_directions_of<const K: usize>(vectors: &[&[f32]], done: usize, directions: &mut [f32]) {
    let fields = vectors.len();
    let (blocks, _) = directions.as_chunks_mut::<K>();
    for (field, vector) in vectors.iter().enumerate() {
        let first = if field < done { done } else { 0 };
        let (vector, _) = vector.as_chunks::<K>();
        let column = blocks.iter_mut().skip(first * fields + field).step_by(fields);
        for (to, from) in column.zip(&vector[first..fields]) {
            *to = *from;
        }
    }
}

/// For `k = 4`, the blocks of as many fields as there are whole tiles of four, where that can be done by tiles; says of
/// how many.
#[inline]
fn ffm_turn(vectors: &[&[f32]], directions: &mut [f32]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was detected on the line above.
        unsafe { avx512::ffm_turn(vectors, directions) };
        return vectors.len() / 4 * 4;
    }
    let _ = (vectors, directions);
    0
}

#[inline(always)]
fn fm_directions_body(vectors: &[&[f32]], sum: &mut [f32], directions: &mut [f32]) {
    let stride = sum.len();
    sum.fill(0.0);
    for vector in vectors {
        for (total, value) in sum.iter_mut().zip(&vector[..stride]) {
            *total += value;
        }
    }
    for (vector, direction) in vectors.iter().zip(directions.chunks_exact_mut(stride)) {
        for ((to, total), value) in direction.iter_mut().zip(&*sum).zip(&vector[..stride]) {
            *to = total - value;
        }
        direction[0] = 1.0;
    }
}

#[inline(always)]
fn ffm_log_odds_body(vectors: &[&[f32]], k: usize) -> f32 {
    match k {
        2 => ffm_log_odds_of::<2>(vectors),
        4 => ffm_log_odds_of_4(vectors),
        8 => ffm_log_odds_of::<8>(vectors),
        _ => {
            let mut total = 0.0;
            for (field, vector) in vectors.iter().enumerate() {
                total += vector[field * k];
                for (other, with) in vectors.iter().enumerate().skip(field + 1) {
                    total += dot_body(&vector[other * k..][..k], &with[field * k..][..k]);
                }
            }
            total
        }
    }
}

#[inline(always)]
fn ffm_log_odds_of<const K: usize>(vectors: &[&[f32]]) -> f32 {
    // Four sums at a time, for one would wait for itself.
    let mut sums = [[0.0; K]; 4];
    let mut total = 0.0;
    for (field, vector) in vectors.iter().enumerate() {
        let blocks = &vector.as_chunks::<K>().0[..vectors.len()];
        total += blocks[field][0];
        let (blocks, others) = (&blocks[field + 1..], &vectors[field + 1..]);
        for (blocks, others) in blocks.chunks(4).zip(others.chunks(4)) {
            for ((sum, block), other) in sums.iter_mut().zip(blocks).zip(others) {
                let with = &other.as_chunks::<K>().0[field];
                for lane in 0..K {
                    sum[lane] += block[lane] * with[lane];
                }
            }
        }
    }
    let [a, b, c, d] = sums;
    for lane in 0..K {
        total += (a[lane] + b[lane]) + (c[lane] + d[lane]);
    }
    total
}

/// For `k = 4`, by tiles of four fields and four others.
#[inline(always)]
fn ffm_log_odds_of_4(vectors: &[&[f32]]) -> f32 {
    let fields = vectors.len();
    let tiled = fields / 4 * 4;
    let mut sums = ffm_tiles(vectors);
    // The pairs inside a tile, and with the fields beyond the last.
    let mut total = 0.0;
    for (field, vector) in vectors.iter().enumerate() {
        let blocks = &vector.as_chunks::<4>().0[..fields];
        total += blocks[field][0];
        let tile_end = (field / 4 * 4 + 4).min(fields);
        for (place, other) in (field + 1..tile_end).chain(tile_end.max(tiled)..fields).enumerate() {
            let (own, with) = (&blocks[other], &vectors[other].as_chunks::<4>().0[field]);
            for lane in 0..4 {
                sums[place % 4][lane] += own[lane] * with[lane];
            }
        }
    }
    let [a, b, c, d] = sums;
    for lane in 0..4 {
        total += (a[lane] + b[lane]) + (c[lane] + d[lane]);
    }
    total
}

/// The products of all pairs of fields of different tiles, summed by the other's place in its tile.
#[inline]
fn ffm_tiles(vectors: &[&[f32]]) -> [[f32; 4]; 4] {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was detected on the line above.
        return unsafe { avx512::ffm_tiles(vectors) };
    }
    ffm_tiles_portable(vectors)
}

fn ffm_tiles_portable(vectors: &[&[f32]]) -> [[f32; 4]; 4] {
    let tiled = vectors.len() / 4 * 4;
    let mut sums = [[0.0; 4]; 4];
    for first in (0..tiled).step_by(4) {
        for other in (first + 4..tiled).step_by(4) {
            for (place, sum) in sums.iter_mut().enumerate() {
                let with = &vectors[other + place].as_chunks::<4>().0[first..first + 4];
                let own = |field: usize| &vectors[first + field].as_chunks::<4>().0[other + place];
                let [a, b, c, d] = [own(0), own(1), own(2), own(3)];
                for lane in 0..4 {
                    sum[lane] += (a[lane] * with[0][lane] + b[lane] * with[1][lane])
                        + (c[lane] * with[2][lane] + d[lane] * with[3][lane]);
                }
            }
        }
    }
    sums
}

#[inline(always)]
fn fm_log_odds_body(vectors: &[&[f32]], sum: &mut [f32]) -> f32 {
    let stride = sum.len();
    sum.fill(0.0);
    let mut squares = 0.0;
    for vector in vectors {
        let vector = &vector[..stride];
        for (total, value) in sum.iter_mut().zip(vector) {
            *total += value;
        }
        squares += dot_body(&vector[1..], &vector[1..]);
    }
    sum[0] + 0.5 * (dot_body(&sum[1..], &sum[1..]) - squares)
}

/// Asks for a slice's memory ahead of its use.
#[inline]
pub fn prefetch<T>(slice: &[T]) {
    const LINE_BYTES: usize = 64;
    #[cfg(target_arch = "x86_64")]
    for line in slice.chunks(LINE_BYTES / size_of::<T>()) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: prefetching never faults, and the address is that of a live slice.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = slice;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::numbers;

    #[test]
    fn narrowed_numbers_are_the_nearest_of_bf16() {
        let mut exact: Vec<f32> = numbers(3, 1001).iter().map(|number| number * 1e3).collect();
        exact.extend([0.0, -0.0, 1.0, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, f32::MIN_POSITIVE, -1e-40, 1e38]);
        let (mut narrowed, mut widened) = (vec![0; exact.len()], vec![0.0; exact.len()]);
        narrow(&exact, &mut narrowed);
        widen(&narrowed, &mut widened);
        for ((&exact, &bits), &found) in exact.iter().zip(&narrowed).zip(&widened) {
            let near = |bits: u16| f64::from(f32::from_bits(u32::from(bits) << 16));
            let error = (near(bits) - f64::from(exact)).abs();
            for other in [bits.wrapping_sub(1), bits.wrapping_add(1)] {
                let other_error = (near(other) - f64::from(exact)).abs();
                let is_nearer = error < other_error || error == other_error && bits % 2 == 0;
                assert!(is_nearer || !near(other).is_finite(), "{exact}: {found}");
            }
        }
        // A tie goes to the even neighbour.
        assert_eq!(narrowed[1004..1006], [0x3f80, 0x3f82]);
    }

    #[test]
    fn every_instruction_set_gives_the_scalar_bits() {
        for length in [0, 1, 3, 4, 15, 16, 17, 31, 32, 33, 156, 1000] {
            let (left, right) = (numbers(1, length), numbers(2, length));
            assert_eq!(dot(&left, &right).to_bits(), dot_body(&left, &right).to_bits());
            let exact: f64 = left.iter().zip(&right).map(|(&l, &r)| f64::from(l) * f64::from(r)).sum();
            assert!((f64::from(dot(&left, &right)) - exact).abs() < 1e-4);
        }
    }

    #[test]
    fn ffm_directions_transpose_the_blocks() {
        for (fields, k) in [(1, 4), (2, 4), (4, 4), (5, 4), (8, 4), (3, 8), (4, 3), (39, 4)] {
            let stride = fields * k;
            let owned: Vec<Vec<f32>> = (0..fields as u64).map(|f| numbers(f, stride)).collect();
            let vectors: Vec<&[f32]> = owned.iter().map(Vec::as_slice).collect();
            let mut directions = vec![f32::NAN; fields * stride];
            ffm_directions(&vectors, k, &mut directions);
            if k == 4 {
                let mut one_by_one = directions.clone();
                ffm_directions_of::<4>(&vectors, 0, &mut one_by_one);
                let linear = |place: usize| place / stride == place % stride / k;
                let differs = |&place: &usize| one_by_one[place] != directions[place] && !linear(place);
                assert_eq!((0..directions.len()).find(differs), None, "{fields} fields by tiles");
            }
            for field in 0..fields {
                for other in 0..fields {
                    let block = &directions[field * stride + other * k..][..k];
                    if field == other {
                        assert_eq!(block[0], 1.0);
                        assert!(block[1..].iter().all(|&value| value == 0.0));
                    } else {
                        assert_eq!(block, &owned[other][field * k..][..k]);
                    }
                }
            }
        }
    }

    #[test]
    fn fm_directions_sum_the_other_fields() {
        let owned: Vec<Vec<f32>> = (0..5).map(|f| numbers(f, 9)).collect();
        let vectors: Vec<&[f32]> = owned.iter().map(Vec::as_slice).collect();
        let (mut sum, mut directions) = ([0.0; 9], [0.0; 45]);
        fm_directions(&vectors, &mut sum, &mut directions);
        for field in 0..5 {
            assert_eq!(directions[field * 9], 1.0);
            for index in 1..9 {
                let others = (0..5).filter(|&other| other != field);
                let expected: f32 = others.map(|other| owned[other][index]).sum();
                assert!((directions[field * 9 + index] - expected).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn log_odds_are_linear_weights_and_an_inner_product_for_each_pair() {
        for (fields, k) in [(1, 4), (2, 2), (4, 4), (5, 4), (8, 4), (6, 8), (4, 3), (39, 4), (39, 16)] {
            let ffm: Vec<Vec<f32>> = (0..fields as u64).map(|field| numbers(field, fields * k)).collect();
            let fm: Vec<Vec<f32>> = (0..fields as u64).map(|field| numbers(field, 1 + k)).collect();
            let (mut ffm_exact, mut fm_exact) = (0.0, 0.0);
            let product =
                |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
            for field in 0..fields {
                ffm_exact += f64::from(ffm[field][field * k]);
                fm_exact += f64::from(fm[field][0]);
                for other in field + 1..fields {
                    ffm_exact += product(&ffm[field][other * k..][..k], &ffm[other][field * k..][..k]);
                    fm_exact += product(&fm[field][1..], &fm[other][1..]);
                }
            }
            let vectors: Vec<&[f32]> = ffm.iter().map(Vec::as_slice).collect();
            let found = ffm_log_odds(&vectors, k);
            assert_eq!(found.to_bits(), ffm_log_odds_body(&vectors, k).to_bits());
            if k == 4 {
                assert_eq!(ffm_tiles(&vectors), ffm_tiles_portable(&vectors), "{fields} fields by tiles");
            }
            assert!((f64::from(found) - ffm_exact).abs() < 1e-4, "{fields} fields, k {k}: {found}, not {ffm_exact}");
            let (vectors, mut sum): (Vec<&[f32]>, _) = (fm.iter().map(Vec::as_slice).collect(), vec![0.0; 1 + k]);
            let found = fm_log_odds(&vectors, &mut sum);
            assert_eq!(found.to_bits(), fm_log_odds_body(&vectors, &mut sum).to_bits());
            assert!((f64::from(found) - fm_exact).abs() < 1e-4, "{fields} fields, k {k}: {found}, not {fm_exact}");
        }
    }
}
