//! The bins of numbers among rising edges.

/// Values searched side by side.
const LANES: usize = 16;

dispatched! {
    /// Finds the bin of each value: how many edges lie at or below it; 0 for NaN.
    ///
    /// # Shapes
    /// `edges`: rising, padded by infinity to 64 or 256; `out`: one bin a value. Infinity passes the
    /// padding as well.
    fn bins_f64(values: &[f64], edges: &[f64], out: &mut [u32]) = bins_f64_body
}

dispatched! {
    /// Does the same as [`bins_f64`] for f32 values, which are compared as f64.
    fn bins_f32(values: &[f32], edges: &[f64], out: &mut [u32]) = bins_f32_body
}

#[inline(always)]
fn bins_f64_body(values: &[f64], edges: &[f64], out: &mut [u32]) {
    bins_of(values, edges, out);
}

#[inline(always)]
fn bins_f32_body(values: &[f32], edges: &[f64], out: &mut [u32]) {
    bins_of(values, edges, out);
}

#[inline(always)]
fn bins_of<T: Copy + Into<f64>>(values: &[T], edges: &[f64], out: &mut [u32]) {
    if let Ok(edges) = <&[f64; 64]>::try_from(edges) {
        bins_among(values, edges, out);
    } else if let Ok(edges) = <&[f64; 256]>::try_from(edges) {
        bins_among(values, edges, out);
    } else {
        for (out, &value) in out.iter_mut().zip(values) {
            let value = value.into();
            *out = edges.iter().filter(|&&edge| edge <= value).count() as u32;
        }
    }
}

/// Searches for several values side by side, without branches: each step halves the range.
#[inline(always)]
fn bins_among<const N: usize, T: Copy + Into<f64>>(values: &[T], edges: &[f64; N], out: &mut [u32]) {
    let (out_chunks, out_rest) = out.as_chunks_mut::<LANES>();
    let (chunks, rest) = values.as_chunks::<LANES>();
    for (out, values) in out_chunks.iter_mut().zip(chunks) {
        let values: [f64; LANES] = values.map(Into::into);
        let mut bins = [0u32; LANES];
        let mut step = N / 2;
        while step > 0 {
            for lane in 0..LANES {
                let edge = edges[(bins[lane] as usize + step - 1) & (N - 1)];
                bins[lane] += if edge <= values[lane] { step as u32 } else { 0 };
            }
            step /= 2;
        }
        *out = bins;
    }
    for (out, &value) in out_rest.iter_mut().zip(rest) {
        let value: f64 = value.into();
        *out = edges.partition_point(|&edge| edge <= value) as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::numbers;

    #[test]
    fn bins_count_the_edges_at_or_below() {
        for (count, size) in [(0, 64), (1, 64), (40, 64), (63, 64), (64, 256), (255, 256), (3, 5)] {
            let mut edges = numbers(3, count).into_iter().map(f64::from).collect::<Vec<_>>();
            edges.sort_by(f64::total_cmp);
            let mut values = numbers(4, 1001);
            values.extend(edges.iter().map(|&edge| edge as f32));
            values.extend([f32::NAN, f32::NEG_INFINITY, f32::MIN, f32::MAX]);
            let naive = |value: f64| edges.iter().filter(|&&edge| edge <= value).count() as u32;
            let mut padded = edges.clone();
            padded.resize(size, f64::INFINITY);
            let mut out = vec![u32::MAX; values.len()];
            bins_f32(&values, &padded, &mut out);
            assert!(out.iter().zip(&values).all(|(&bin, &value)| bin == naive(value.into())), "{count} of {size}");
            let wide: Vec<f64> = values.iter().map(|&value| value.into()).collect();
            out.fill(u32::MAX);
            bins_f64(&wide, &padded, &mut out);
            assert!(out.iter().zip(&wide).all(|(&bin, &value)| bin == naive(value)), "{count} of {size}");
        }
    }
}
