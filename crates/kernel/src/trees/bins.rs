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
            unsafe { super::avx512::codes(&self.single, self.nan_code(), zero_code, values, codes) };
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
        unsafe { super::avx512::row_codes(columns, codes) };
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
        Self { padded, pivots, steps: part.ilog2() }
    }
}

/// The largest f32 at most `value`.
fn round_down(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) > value { nearest.next_down() } else { nearest }
}
