//! From a numeric feature's values to codes, by its thresholds.

use std::hint::select_unpredictable;

use super::Form;

/// At or below this magnitude LightGBM takes a value for zero. It is the *float* 1e-35.
pub const ZERO_THRESHOLD: f64 = ZERO_THRESHOLD_SINGLE as f64;
pub(super) const ZERO_THRESHOLD_SINGLE: f32 = 1e-35;

/// How many of the ascending `thresholds` are below `value`: the first index `i` with `value <= thresholds[i]`.
///
/// NaN gives 0. Free of data-dependent branches, so that look-ups of many rows overlap.
#[inline(always)]
pub fn lower_bound(thresholds: &[f64], value: f64) -> u32 {
    let mut base = 0;
    let mut size = thresholds.len();
    while size > 1 {
        let half = size / 2;
        // SAFETY: `base + size <= thresholds.len()` and `half < size` hold all along.
        let below = unsafe { *thresholds.get_unchecked(base + half - 1) } < value;
        base = select_unpredictable(below, base + half, base);
        size -= half;
    }
    let last = size == 1 && thresholds[base] < value;
    base as u32 + u32::from(last)
}

/// A feature's thresholds, ready for look-up. With `n` of them a value's code is the number of thresholds below it, 0 to `n`;
/// `n + 1` for NaN; and, if zero is apart, `n + 2` for zero. Tiny values count as zero.
#[derive(Debug)]
pub struct Bins {
    thresholds: Vec<f64>,
    zero_is_apart: bool,
    pub(super) single: SingleBins,
}

/// The thresholds rounded down to f32, which changes no comparison with an f32, for a search in steps of powers of two.
#[derive(Debug)]
pub(super) struct SingleBins {
    /// `32 << steps` entries, infinity beyond the thresholds and at least once.
    pub(super) padded: Vec<f32>,
    /// The last of each of the 32 parts of `padded`.
    pub(super) pivots: [f32; 32],
    /// Steps of the search within a part.
    pub(super) steps: u32,
    /// What the first of these steps compare with, where there are so many: `32 << step` of each, one for each outcome of
    /// the search so far.
    pub(super) levels: Box<([f32; 32], [f32; 64], [f32; 128])>,
}

impl Bins {
    /// Takes ascending thresholds, none NaN.
    pub fn new(thresholds: Vec<f64>, zero_is_apart: bool) -> Self {
        let single = SingleBins::new(&thresholds);
        Self { thresholds, zero_is_apart, single }
    }

    /// The thresholds.
    pub fn thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    /// Whether zero has a code of its own.
    pub fn zero_is_apart(&self) -> bool {
        self.zero_is_apart
    }

    /// The code of NaN; that of zero, if apart, is the next.
    pub fn nan_code(&self) -> u32 {
        self.thresholds.len() as u32 + 1
    }

    /// The code of a value.
    #[inline(always)]
    pub fn code(&self, value: f64) -> u32 {
        let value = if value.abs() <= ZERO_THRESHOLD { 0.0 } else { value };
        let bin = lower_bound(&self.thresholds, value);
        let bin = if value.is_nan() { self.nan_code() } else { bin };
        if self.zero_is_apart && value == 0.0 { self.nan_code() + 1 } else { bin }
    }

    /// The codes of values, as many as both slices have.
    pub fn codes_f64(&self, values: &[f64], codes: &mut [u32]) {
        for (code, &value) in codes.iter_mut().zip(values) {
            *code = self.code(value);
        }
    }

    /// The codes of values, as many as both slices have; the same as of their f64.
    pub fn codes_f32(&self, form: Form, values: &[f32], codes: &mut [u32]) {
        #[cfg(target_arch = "x86_64")]
        if form == Form::Avx512 && form.is_available() {
            let zero_code = self.zero_is_apart.then_some(self.nan_code() + 1);
            // SAFETY: this machine has the instructions.
            unsafe { super::bins_avx512::codes(&self.single, self.nan_code(), zero_code, values, codes) };
            return;
        }
        let _ = (form, &self.single);
        for (code, &value) in codes.iter_mut().zip(values) {
            *code = self.code(f64::from(value));
        }
    }
}

/// The codes of one row's values, each by the bins of its column.
pub fn row_codes<'a>(form: Form, columns: impl Iterator<Item = (&'a Bins, f64)>, codes: &mut Vec<u32>) {
    codes.clear();
    #[cfg(target_arch = "x86_64")]
    if form == Form::Avx512 && form.is_available() {
        // SAFETY: this machine has the instructions.
        unsafe { super::bins_avx512::row_codes(columns, codes) };
        return;
    }
    let _ = form;
    codes.extend(columns.map(|(bins, value)| bins.code(value)));
}

impl SingleBins {
    fn new(thresholds: &[f64]) -> Self {
        let length = (thresholds.len() + 1).next_power_of_two().max(32);
        let mut padded: Vec<f32> = thresholds.iter().map(|&threshold| round_down(threshold)).collect();
        padded.resize(length, f32::INFINITY);
        let part = length / 32;
        let pivots = std::array::from_fn(|index| padded[(index + 1) * part - 1]);
        // The last of the first half of the range that is left.
        let middle = |step: u32, index: usize| match part >> step {
            0 | 1 => f32::INFINITY,
            range => padded[index * range + range / 2 - 1],
        };
        let levels = (
            std::array::from_fn(|index| middle(0, index)),
            std::array::from_fn(|index| middle(1, index)),
            std::array::from_fn(|index| middle(2, index)),
        );
        Self { padded, pivots, steps: part.ilog2(), levels: Box::new(levels) }
    }
}

/// The largest f32 at most `value`.
fn round_down(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) > value { nearest.next_down() } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_f32_are_those_of_their_f64_on_every_form() {
        let mut state = 11_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / 8_388_608.0 - 1.0
        };
        for count in [0, 1, 2, 31, 32, 63, 64, 127, 128, 254, 255, 256, 600, 2000] {
            let mut thresholds: Vec<f64> = (0..count).map(|_| next()).collect();
            // Some that f32 holds, and zero's neighbours.
            thresholds.iter_mut().step_by(3).for_each(|threshold| *threshold = f64::from(*threshold as f32));
            thresholds.extend([0.0, 1e-36].iter().take(count.min(2)));
            thresholds.sort_by(f64::total_cmp);
            thresholds.dedup();
            let near = |&threshold: &f64| {
                let single = threshold as f32;
                [single.next_down(), single, single.next_up()]
            };
            let mut values: Vec<f32> = thresholds.iter().flat_map(near).collect();
            values.extend([
                f32::NAN,
                f32::INFINITY,
                f32::NEG_INFINITY,
                0.0,
                -0.0,
                1e-35,
                -1e-35,
                2e-35,
                -2e-35,
                f32::MAX,
            ]);
            for zero_is_apart in [false, true] {
                let bins = Bins::new(thresholds.clone(), zero_is_apart);
                let expected: Vec<u32> = values.iter().map(|&value| bins.code(f64::from(value))).collect();
                for form in Form::ALL {
                    let mut codes = vec![u32::MAX; values.len()];
                    bins.codes_f32(form, &values, &mut codes);
                    assert_eq!(codes, expected, "{form:?}, {count} thresholds");
                }
            }
        }
    }
}
