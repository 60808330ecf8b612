//! Axes: from the values to a range, ticks and their labels.

/// Values beyond this are treated like infinite ones, so that differences and squares of those kept are finite.
const MAGNITUDE_MAX: f64 = 1e100;

/// About how many ticks an axis gets. At 13 to 15 px type six labels fit side by side in a plot.
const TICKS: f64 = 5.0;

/// How a value becomes a place on the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    /// For rates that span magnitudes, as click-through rates do.
    Log10,
    /// For probabilities: wide both near 0 and near 1.
    LogOdds,
}

impl Scale {
    fn apply(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log10 => value.log10(),
            Scale::LogOdds => (value / (1.0 - value)).ln(),
        }
    }

    fn invert(self, place: f64) -> f64 {
        match self {
            Scale::Linear => place,
            Scale::Log10 => 10f64.powf(place),
            Scale::LogOdds => 1.0 / (1.0 + (-place).exp()),
        }
    }
}

/// What the numbers on an axis are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Number,
    /// A count of things: its ticks are whole.
    Whole,
    /// A share or probability, shown in percent.
    Rate,
}

#[derive(Clone, Debug)]
pub(crate) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    pub(crate) title: String,
    /// Fraction of the axis (0 to 1) and label, in ascending order.
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis from `low` to `high`, in the values' own unit; both must be finite, and lie within the scale's domain. A range
    /// of no width is widened.
    pub(crate) fn new(title: &str, scale: Scale, unit: Unit, low: f64, high: f64) -> Axis {
        let (low, high) = widened(scale.apply(low.min(high)), scale.apply(low.max(high)));
        let mut axis = Axis { scale, low, high, title: title.to_string(), ticks: Vec::new() };
        axis.ticks = axis
            .tick_values(unit)
            .into_iter()
            .map(|(value, label)| (axis.fraction(value), label))
            .filter(|(fraction, _)| (-1e-9..=1.0 + 1e-9).contains(fraction))
            .collect();
        axis
    }

    /// Where a value lies: 0 at the low end, 1 at the high end; values outside lie on the nearest end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        // Not a number: the logarithm of a negative value.
        let fraction = self.fraction(value);
        if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) }
    }

    fn fraction(&self, value: f64) -> f64 {
        (self.scale.apply(value) - self.low) / (self.high - self.low)
    }

    fn tick_values(&self, unit: Unit) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => steps(self.low, self.high, unit),
            Scale::Log10 => {
                let decades = self.high - self.low;
                let mantissas: &[f64] = match decades {
                    decades if decades < 1.5 => &[1.0, 2.0, 5.0],
                    decades if decades < 3.5 => &[1.0, 3.0],
                    _ => &[1.0],
                };
                let stride = (decades / 7.0).ceil().max(1.0) as i32;
                let powers = self.low.floor() as i32..=self.high.ceil() as i32;
                let values = powers
                    .filter(|power| power.rem_euclid(stride) == 0)
                    .flat_map(|power| mantissas.iter().map(move |mantissa| mantissa * 10f64.powi(power)));
                self.or_steps(values.collect(), unit)
            }
            Scale::LogOdds => {
                let near_one = |rate: f64| 1.0 - rate;
                let decades: Vec<f64> = (1..=8).rev().map(|power| 0.1f64.powi(power)).collect();
                let mut values = decades.clone();
                values.push(0.5);
                values.extend(decades.iter().rev().copied().map(near_one));
                if self.high - self.low < 7.0 {
                    let finer: Vec<f64> =
                        decades.iter().flat_map(|rate| [2.0 * rate, 5.0 * rate]).filter(|rate| *rate < 0.5).collect();
                    values.extend(finer.iter().copied().map(near_one));
                    values.extend(finer);
                    values.extend([0.3, 0.7]);
                }
                values.sort_by(f64::total_cmp);
                self.or_steps(values, unit)
            }
        }
    }

    /// Labels `values`, or even steps where fewer than three of them lie on the axis.
    fn or_steps(&self, values: Vec<f64>, unit: Unit) -> Vec<(f64, String)> {
        let inside = |value: &f64| (-1e-9..=1.0 + 1e-9).contains(&self.fraction(*value));
        let kept: Vec<f64> = values.into_iter().filter(inside).collect();
        if kept.len() < 3 {
            return steps(self.scale.invert(self.low), self.scale.invert(self.high), unit);
        }
        kept.into_iter()
            .map(|value| (value, if unit == Unit::Rate { percent(value) } else { significant(value) }))
            .collect()
    }
}

/// Whether a value can be drawn at all.
pub(crate) fn drawable(value: f64) -> bool {
    value.abs() <= MAGNITUDE_MAX
}

/// The smallest and largest of the drawable values.
pub(crate) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| drawable(*value)).fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// A range a little wider than the data, so that no mark touches the frame.
pub(crate) fn padded((low, high): (f64, f64)) -> (f64, f64) {
    let margin = (high - low) * 0.06;
    (low - margin, high + margin)
}

fn widened(low: f64, high: f64) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    if high - low > size * 1e-9 {
        return (low, high);
    }
    let margin = if size > 1e-90 { size * 0.1 } else { 1.0 };
    (low - margin, high + margin)
}

/// Multiples of 1, 2 or 5 times a power of ten, about [`TICKS`] of them.
fn steps(low: f64, high: f64, unit: Unit) -> Vec<(f64, String)> {
    let rough = (high - low) / TICKS;
    let power = 10f64.powf(rough.log10().floor());
    // The nearest of them on a logarithmic scale: thresholds are the geometric means of neighbours.
    let factor = match rough / power {
        ratio if ratio < 2f64.sqrt() => 1.0,
        ratio if ratio < 10f64.sqrt() => 2.0,
        ratio if ratio < 50f64.sqrt() => 5.0,
        _ => 10.0,
    };
    let mut step = factor * power;
    if unit == Unit::Whole {
        step = step.max(1.0);
    }
    if !(step > 0.0 && step.is_finite()) {
        return Vec::new();
    }
    let first = (low / step - 1e-9).ceil();
    let count = ((high / step + 1e-9).floor() - first).clamp(-1.0, 2.0 * TICKS) as i32;
    (0..=count)
        .map(|index| {
            let value = (first + f64::from(index)) * step;
            (
                value,
                if unit == Unit::Rate {
                    format!("{}%", at_step(value * 100.0, step * 100.0))
                } else {
                    at_step(value, step)
                },
            )
        })
        .collect()
}

/// A number with as many decimals as its step needs; large ones in thousands (k), millions (M), billions (B).
fn at_step(value: f64, step: f64) -> String {
    let size = value.abs().max(step);
    if !(1e-6..1e15).contains(&size) || step < size * 1e-9 {
        return if value == 0.0 { "0".to_string() } else { format!("{value:.1e}") };
    }
    let (divisor, suffix) = magnitude(size);
    let (value, step) = (value / divisor, step / divisor);
    let decimals = (-(step * 1.000_001).log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    // Trailing zeros of thousands (`2.0M` beside `1.5M`) stay: labels of one axis then have one form.
    if value == 0.0 { "0".to_string() } else { text + suffix }
}

fn magnitude(size: f64) -> (f64, &'static str) {
    match size {
        size if size >= 1e9 => (1e9, "B"),
        size if size >= 1e6 => (1e6, "M"),
        size if size >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    }
}

/// A number to three significant digits, without trailing zeros.
pub(crate) fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_string();
    }
    if !(1e-4..1e15).contains(&value.abs()) {
        return format!("{value:.2e}");
    }
    let (divisor, suffix) = magnitude(value.abs());
    let value = value / divisor;
    let decimals = (2.0 - value.abs().log10().floor()).clamp(0.0, 9.0) as usize;
    trimmed(format!("{value:.decimals$}")) + suffix
}

/// A rate in percent, to three significant digits; close to 100 %, to those of its distance from it.
pub(crate) fn percent(rate: f64) -> String {
    let percent = rate * 100.0;
    if rate != 0.0 && percent.abs() < 1e-4 {
        return format!("{percent:.0e}%");
    }
    let distance = if (0.9..1.0).contains(&rate) { 100.0 - percent } else { percent.abs() };
    let decimals = if distance > 0.0 { (2.0 - distance.log10().floor()).clamp(0.0, 9.0) as usize } else { 0 };
    trimmed(format!("{percent:.decimals$}")) + "%"
}

fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, unit: Unit, low: f64, high: f64) -> String {
        let axis = Axis::new("", scale, unit, low, high);
        axis.ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_and_read_well() {
        let check = |scale, unit, low, high, expected: &str| {
            assert_eq!(labels(scale, unit, low, high), expected, "{scale:?} {low} {high}");
        };
        check(Scale::Linear, Unit::Number, 0.0, 1.0, "0 0.2 0.4 0.6 0.8 1.0");
        check(Scale::Linear, Unit::Number, 0.4401, 0.4683, "0.445 0.450 0.455 0.460 0.465");
        check(Scale::Linear, Unit::Number, -3.0, 12.0, "-2 0 2 4 6 8 10 12");
        check(Scale::Linear, Unit::Number, 0.0, 2_000_000.0, "0 500k 1.0M 1.5M 2.0M");
        check(Scale::Linear, Unit::Whole, 1.0, 3.0, "1 2 3");
        check(Scale::Linear, Unit::Rate, 0.0, 1.0, "0% 20% 40% 60% 80% 100%");
        check(Scale::Linear, Unit::Rate, 0.0, 0.0123, "0% 0.2% 0.4% 0.6% 0.8% 1.0% 1.2%");
        check(Scale::Log10, Unit::Rate, 0.0001, 0.1, "0.01% 0.03% 0.1% 0.3% 1% 3% 10%");
        check(Scale::Log10, Unit::Rate, 0.01, 0.1, "1% 2% 5% 10%");
        check(Scale::Log10, Unit::Rate, 0.011, 0.019, "1.2% 1.4% 1.6% 1.8%");
        check(Scale::LogOdds, Unit::Rate, 0.00005, 0.95, "0.01% 0.1% 1% 10% 50% 90%");
        check(Scale::LogOdds, Unit::Rate, 0.02, 0.6, "2% 5% 10% 20% 30% 50%");
        check(Scale::LogOdds, Unit::Rate, 0.99, 0.9999, "99% 99.5% 99.8% 99.9% 99.95% 99.98% 99.99%");
    }

    #[test]
    fn any_range_gives_an_axis_whose_places_lie_on_it() {
        for (low, high) in [(0.0, 0.0), (5.0, 5.0), (-1e100, 1e100), (1.0, 1.0 + 1e-15), (1e-300, 2e-300), (1e-8, 1e-7)]
        {
            let axis = Axis::new("", Scale::Linear, Unit::Number, low, high);
            assert!(axis.ticks.len() <= 12, "{low} {high}: {:?}", axis.ticks);
            for value in [low, high, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert!((0.0..=1.0).contains(&axis.place(value)), "{low} {high} {value}");
            }
        }
    }

    #[test]
    fn numbers_keep_three_digits() {
        let check = |value, expected: &str| assert_eq!(significant(value), expected);
        check(0.0, "0");
        check(1234.5, "1234");
        check(-0.012345, "-0.0123");
        check(12_345_678.0, "12.3M");
        check(1e-9, "1.00e-9");
        check(2.5, "2.5");
        assert_eq!([0.5, 0.001, 0.999_95, 1e-7, 0.0, 1.0].map(percent).join(" "), "50% 0.1% 99.995% 1e-5% 0% 100%");
    }
}
