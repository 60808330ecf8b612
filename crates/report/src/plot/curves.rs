//! Lines: the receiver operating characteristic, the gain, and anything by epoch, day or size.

use maud::{Markup, html};

use super::Svg;
use super::axis::{Axis, Scale, Unit, drawable, padded, range, significant};
use super::frame::{Entry, Frame, Key, colour, dash, empty, printable, px};

/// A line with more points than this is drawn without its dots.
const DOTS_MAX: usize = 40;

/// A named line.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// What the legend says.
    pub name: &'a str,
    /// (x, y) in the order in which the line visits them.
    pub points: &'a [(f64, f64)],
}

/// Receiver operating characteristic: points are (false positive rate, true positive rate), both 0 to 1.
pub fn roc(series: &[Series<'_>]) -> Svg {
    shares(
        "Receiver operating characteristic",
        "false positives, share of all non-clicks",
        "true positives, share of all clicks",
        series,
    )
}

/// Cumulative gain: points are (share of the impressions, best scores first; share of the clicks among them), both 0 to 1.
pub fn gain(series: &[Series<'_>]) -> Svg {
    shares("Cumulative gain", "impressions, best scores first", "clicks among them, share of all clicks", series)
}

/// Lines over a common axis, such as the logloss by epoch in training and on held-out rows.
pub fn lines(x_title: &str, y_title: &str, series: &[Series<'_>]) -> Svg {
    let name = format!("{y_title} by {x_title}");
    let clean = Clean::of(series);
    let points = || clean.series.iter().flat_map(|(_, points)| points);
    let (Some(x), Some(y)) = (range(points().map(|point| point.0)), range(points().map(|point| point.1))) else {
        return empty(&name);
    };
    let whole = points().all(|point| point.0.fract() == 0.0);
    let y = padded(y);
    let x = Axis::new(x_title, Scale::Linear, if whole { Unit::Whole } else { Unit::Number }, x.0, x.1);
    let y = Axis::new(y_title, Scale::Linear, Unit::Number, y.0, y.1);
    let mut frame = Frame::new(x, y, &clean.entries());
    frame.left_out = clean.left_out;
    frame.render(&name, &clean.draw(&frame, true))
}

fn shares(name: &str, x_title: &str, y_title: &str, series: &[Series<'_>]) -> Svg {
    let clean = Clean::of(series);
    if clean.series.iter().all(|(_, points)| points.is_empty()) {
        return empty(name);
    }
    let mut entries = clean.entries();
    entries.push(Entry { name: "chance", key: Key::Reference, index: 0 });
    let axis = |title| Axis::new(title, Scale::Linear, Unit::Rate, 0.0, 1.0);
    let mut frame = Frame::new(axis(x_title), axis(y_title), &entries);
    frame.left_out = clean.left_out;
    frame.render(
        name,
        &html! {
            (frame.reference((0.0, 0.0), (1.0, 1.0)))
            (clean.draw(&frame, false))
        },
    )
}

/// Series without the points that cannot be drawn.
struct Clean<'a> {
    series: Vec<(&'a str, Vec<(f64, f64)>)>,
    left_out: usize,
}

impl<'a> Clean<'a> {
    fn of(series: &[Series<'a>]) -> Clean<'a> {
        let kept =
            |points: &[(f64, f64)]| points.iter().copied().filter(|(x, y)| drawable(*x) && drawable(*y)).collect();
        let clean: Vec<(&str, Vec<(f64, f64)>)> = series.iter().map(|one| (one.name, kept(one.points))).collect();
        let left_out = series.iter().zip(&clean).map(|(all, (_, some))| all.points.len() - some.len()).sum();
        Clean { series: clean, left_out }
    }

    fn entries(&self) -> Vec<Entry<'a>> {
        self.series.iter().enumerate().map(|(index, (name, _))| Entry { name, key: Key::Line, index }).collect()
    }

    fn draw(&self, frame: &Frame, dots: bool) -> Markup {
        html! {
            @for (index, (name, points)) in self.series.iter().enumerate() {
                @if points.len() > 1 {
                    path.line.(colour(index)).(dash(index)) d=(frame.path(points.iter().copied())) {}
                }
                @if points.len() == 1 || (dots && points.len() <= DOTS_MAX) {
                    @for (x, y) in points {
                        circle.fill.(colour(index)) cx=(px(frame.x(*x))) cy=(px(frame.y(*y))) r="3.5" {
                            title { (printable(name)) ": " (significant(*x)) ", " (format!("{y:.6}")) }
                        }
                    }
                }
            }
        }
    }
}
