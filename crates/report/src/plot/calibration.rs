//! Calibration: what was predicted against what happened.

use maud::{Markup, html};

use super::Svg;
use super::axis::{Axis, Scale, Unit, drawable, percent, range};
use super::frame::{Entry, Frame, Key, colour, empty, px};

/// Rates that span more than this factor get logarithmic axes.
const LINEAR_RATIO_MAX: f64 = 20.0;

/// Rows of similar prediction.
#[derive(Clone, Copy, Debug)]
pub struct CalibrationBin {
    /// Mean prediction, a probability.
    pub predicted: f64,
    /// Share of clicks.
    pub observed: f64,
    /// Low end of the observed share's interval of confidence.
    pub low: f64,
    /// High end of it.
    pub high: f64,
    /// How many rows.
    pub rows: u64,
}

impl CalibrationBin {
    fn is_drawable(&self) -> bool {
        self.predicted >= 0.0 && self.observed >= 0.0 && drawable(self.predicted) && drawable(self.observed)
    }
}

/// The calibration curve: a dot for each bin (the larger, the more rows) with its interval, beside the diagonal on which a
/// perfect model lies. Axes are logarithmic where the rates span magnitudes; a bin without any click then stands hollow on
/// the floor.
pub fn calibration(bins: &[CalibrationBin]) -> Svg {
    let name = "Calibration: observed click rate by predicted click rate";
    let kept: Vec<&CalibrationBin> = bins.iter().filter(|bin| bin.is_drawable()).collect();
    let rates = || kept.iter().flat_map(|bin| [bin.predicted, bin.observed]);
    let Some((_, high)) = range(rates()) else {
        return empty(name);
    };
    let positive = range(rates().filter(|rate| *rate > 0.0));
    let (scale, low, high) = match positive {
        Some((low, high)) if high > low * LINEAR_RATIO_MAX => {
            (Scale::Log10, (low / 1.6).max(f64::MIN_POSITIVE), high * 1.6)
        }
        _ => (Scale::Linear, 0.0, if high > 0.0 { high * 1.08 } else { 1.0 }),
    };
    let axis = |title: &str| Axis::new(title, scale, Unit::Rate, low, high);
    let entries = [
        Entry { name: "observed, with its interval", key: Key::Dot, index: 0 },
        Entry { name: "perfect", key: Key::Reference, index: 0 },
    ];
    let mut frame = Frame::new(axis("mean predicted click rate"), axis("observed click rate"), &entries);
    frame.left_out = bins.len() - kept.len();
    let rows_max = kept.iter().map(|bin| bin.rows).max().unwrap_or(0).max(1);
    frame.render(
        name,
        &html! {
            (frame.reference((low, low), (high, high)))
            g.(colour(0)) {
                @for bin in &kept { (interval(&frame, bin)) }
                @for bin in &kept { (dot(&frame, bin, rows_max, scale)) }
            }
        },
    )
}

fn interval(frame: &Frame, bin: &CalibrationBin) -> Markup {
    let (x, low, high) = (frame.x(bin.predicted), frame.y(bin.low), frame.y(bin.high));
    html! {
        @if drawable(bin.low) && drawable(bin.high) && bin.low < bin.high {
            path.thin fill="none" d=(format!("M{x} {low}V{high}M{left} {high}h6M{left} {low}h6",
                x = px(x), low = px(low), high = px(high), left = px(x - 3.0))) {}
        }
    }
}

fn dot(frame: &Frame, bin: &CalibrationBin, rows_max: u64, scale: Scale) -> Markup {
    let radius = 3.0 + 3.0 * (bin.rows as f64 / rows_max as f64).sqrt();
    let below = scale == Scale::Log10 && bin.observed <= 0.0;
    let class = if below { "hollow" } else { "fill" };
    html! {
        circle.(class) cx=(px(frame.x(bin.predicted))) cy=(px(if below { frame.floor() } else { frame.y(bin.observed) })) r=(px(radius)) {
            title { "predicted " (percent(bin.predicted)) ", observed " (percent(bin.observed)) ", " (bin.rows) " rows" }
        }
    }
}
