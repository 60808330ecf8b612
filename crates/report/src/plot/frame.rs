//! The drawing surface that the plots with two axes share: frame, ticks, titles, legend.
//!
//! All sizes are in units of the picture's own 480-unit width: one pixel on a desktop page, less on a telephone, where the page
//! uses larger type instead. No font is measured; widths are estimated on the wide side, for [`TYPE_PX_MAX`].

use std::fmt::Write as _;

use maud::{Markup, html};

use super::Svg;
use super::axis::Axis;

pub(crate) const WIDTH: f64 = 480.0;
/// The height with a legend of up to two rows, so that neighbours on a page line up; more rows make the picture higher.
const HEIGHT: f64 = 350.0;
/// What is below the panel: a row of tick labels and the title.
const FOOT: f64 = 2.0 * LINE + 4.0;
/// The type size the page uses for plots at telephone width; 13 elsewhere.
const TYPE_PX_MAX: f64 = 15.0;
const LINE: f64 = 21.0;
/// Colours told apart by the usual forms of colour blindness (after Okabe and Ito, "Color Universal Design", 2008).
const COLOURS: usize = 6;
/// Two places closer than this look like one; paths skip them.
const RESOLUTION: f64 = 0.4;

/// How a legend shows a series.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Line,
    Area,
    Dot,
    Reference,
}

/// A series' entry in the legend.
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) key: Key,
    /// Which of the colours; see [`colour`].
    pub(crate) index: usize,
}

pub(crate) struct Frame {
    x: Axis,
    y: Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    legend: Markup,
    /// How many values could not be drawn.
    pub(crate) left_out: usize,
}

impl Frame {
    pub(crate) fn new(x: Axis, y: Axis, entries: &[Entry<'_>]) -> Frame {
        let left = y.ticks.iter().map(|(_, label)| text_width(label)).fold(28.0, f64::max) + 10.0;
        let last = x.ticks.last().map_or(0.0, |(_, label)| text_width(label) / 2.0);
        let (legend, rows) = legend(entries, LINE + 15.0);
        let top = LINE * (1.0 + f64::from(rows)) + 12.0;
        Frame {
            x,
            y,
            left: left.min(WIDTH / 3.0),
            right: WIDTH - last.clamp(12.0, 40.0),
            top,
            bottom: HEIGHT - FOOT + LINE * f64::from(rows.saturating_sub(2)),
            legend,
            left_out: 0,
        }
    }

    pub(crate) fn x(&self, value: f64) -> f64 {
        self.left + self.x.place(value) * (self.right - self.left)
    }

    pub(crate) fn y(&self, value: f64) -> f64 {
        self.bottom - self.y.place(value) * (self.bottom - self.top)
    }

    pub(crate) fn floor(&self) -> f64 {
        self.bottom
    }

    /// The `d` of a path through the points; points that fall on the one before are skipped, so that a curve of a million
    /// points costs no more than the picture can show.
    pub(crate) fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        let mut before: Option<(f64, f64)> = None;
        let mut skipped = None;
        let mut append = |(x, y): (f64, f64)| {
            let command = if path.is_empty() { 'M' } else { 'L' };
            // Writing to a String cannot fail.
            let _ = write!(path, "{command}{} {}", px(x), px(y));
        };
        for (x, y) in points.map(|(x, y)| (self.x(x), self.y(y))) {
            if before.is_some_and(|(a, b)| (a - x).abs() < RESOLUTION && (b - y).abs() < RESOLUTION) {
                skipped = Some((x, y));
            } else {
                append((x, y));
                (before, skipped) = (Some((x, y)), None);
            }
        }
        if let Some(last) = skipped {
            append(last);
        }
        path
    }

    /// The straight line of reference from one point to another.
    pub(crate) fn reference(&self, from: (f64, f64), to: (f64, f64)) -> Markup {
        html! { path.reference d=(self.path([from, to].into_iter())) {} }
    }

    /// The picture: frame, then `marks`, named `name` for those who hear it.
    pub(crate) fn render(&self, name: &str, marks: &Markup) -> Svg {
        let note = match self.left_out {
            0 => None,
            1 => Some("1 value is not finite and left out".to_string()),
            many => Some(format!("{many} values are not finite and left out")),
        };
        let foot = self.bottom + FOOT;
        let height = foot + if note.is_some() { LINE } else { 0.0 };
        picture(
            name,
            height,
            &html! {
                text.strong x="0" y="15" { (shortened(&self.y.title, WIDTH)) }
                (self.legend)
                (self.axes())
                (marks)
                text.strong.end x=(px(self.right)) y=(px(foot - 6.0)) { (shortened(&self.x.title, self.right)) }
                @if let Some(note) = note { text x="0" y=(px(height - 6.0)) { (note) } }
            },
        )
    }

    fn axes(&self) -> Markup {
        html! {
            @for (fraction, label) in apart(&self.y, self.bottom - self.top, |_| LINE) {
                @let y = self.bottom - fraction * (self.bottom - self.top);
                line.grid x1=(px(self.left)) x2=(px(self.right)) y1=(px(y)) y2=(px(y)) {}
                text.end x=(px(self.left - 8.0)) y=(px(y + 4.5)) { (label) }
            }
            line.axis x1=(px(self.left)) x2=(px(self.right)) y1=(px(self.bottom)) y2=(px(self.bottom)) {}
            @for (fraction, label) in apart(&self.x, self.right - self.left, text_width) {
                @let x = self.left + fraction * (self.right - self.left);
                line.axis x1=(px(x)) x2=(px(x)) y1=(px(self.bottom)) y2=(px(self.bottom + 5.0)) {}
                text.middle x=(px(x)) y=(px(self.bottom + LINE)) { (label) }
            }
        }
    }
}

/// Ticks whose labels do not run into each other, from the low end on.
fn apart(axis: &Axis, length: f64, size: impl Fn(&str) -> f64) -> Vec<&(f64, String)> {
    let mut free_from = f64::NEG_INFINITY;
    let mut kept = Vec::new();
    for tick in &axis.ticks {
        let (centre, half) = (tick.0 * length, size(&tick.1) / 2.0);
        if centre - half >= free_from {
            free_from = centre + half + 6.0;
            kept.push(tick);
        }
    }
    kept
}

fn legend(entries: &[Entry<'_>], first_line: f64) -> (Markup, u32) {
    const KEY: f64 = 30.0;
    const GAP: f64 = 20.0;
    let (mut x, mut row, mut placed) = (0.0, 0u32, Vec::new());
    for entry in entries {
        let name = shortened(entry.name, WIDTH - KEY);
        let width = KEY + text_width(&name);
        if x > 0.0 && x + width > WIDTH {
            (x, row) = (0.0, row + 1);
        }
        placed.push((x, first_line + LINE * f64::from(row), name, entry));
        x += width + GAP;
    }
    let markup = html! {
        @for (x, y, name, entry) in &placed {
            @match entry.key {
                Key::Area => rect.fill.(colour(entry.index)) x=(px(*x)) y=(px(y - 11.0)) width="22" height="12" rx="2" {},
                Key::Dot => circle.fill.(colour(entry.index)) cx=(px(x + 11.0)) cy=(px(y - 5.0)) r="5" {},
                Key::Line => path.line.(colour(entry.index)).(dash(entry.index)) d=(stroke(*x, *y)) {},
                Key::Reference => path.reference d=(stroke(*x, *y)) {},
            }
            text x=(px(x + KEY)) y=(px(*y)) {
                (name)
                @if name != entry.name { title { (printable(entry.name)) } }
            }
        }
    };
    (markup, if placed.is_empty() { 0 } else { row + 1 })
}

fn stroke(x: f64, y: f64) -> String {
    format!("M{} {y}H{}", px(x), px(x + 22.0), y = px(y - 5.0))
}

/// The class of a series' colour.
pub(crate) fn colour(index: usize) -> String {
    format!("s{}", index % COLOURS)
}

/// The class of a series' stroke: neighbours differ even in a grey print.
pub(crate) fn dash(index: usize) -> String {
    format!("dash{}", index % 3)
}

/// An SVG element of the full width.
pub(crate) fn picture(name: &str, height: f64, content: &Markup) -> Svg {
    let markup = html! {
        svg viewBox={ "0 0 " (px(WIDTH)) " " (px(height)) } role="img" aria-label=(printable(name)) { (content) }
    };
    Svg(markup.into_string())
}

/// What stands where nothing can be drawn.
pub(crate) fn empty(name: &str) -> Svg {
    picture(
        name,
        120.0,
        &html! {
            rect.grid x="0.5" y="0.5" width="479" height="119" rx="8" fill="none" {}
            text.middle x="240" y="65" { "Nothing to draw: no finite values" }
        },
    )
}

/// A coordinate, to a tenth of a unit.
pub(crate) fn px(value: f64) -> String {
    let tenths = (value * 10.0).round() / 10.0;
    // Adding zero turns the negative zero into the positive.
    format!("{}", tenths + 0.0)
}

/// Estimates the width of a text, rather too wide than too narrow.
pub(crate) fn text_width(text: &str) -> f64 {
    text.chars().map(glyph_width).sum::<f64>() * TYPE_PX_MAX
}

fn glyph_width(glyph: char) -> f64 {
    match glyph {
        'i' | 'j' | 'l' | 'f' | 't' | 'r' | 'I' | '.' | ',' | ':' | ';' | '|' | '\'' | ' ' | '(' | ')' | '-' | '/' => {
            0.36
        }
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.9,
        'A'..='Z' => 0.68,
        glyph if glyph.is_ascii() => 0.58,
        glyph if glyph < '\u{1100}' => 0.66,
        _ => 1.0,
    }
}

/// The text, cut to a width, with an ellipsis where something is missing.
pub(crate) fn shortened(text: &str, width_max: f64) -> String {
    let text = printable(text);
    if text_width(&text) <= width_max {
        return text;
    }
    let mut width = text_width("…");
    let kept = text.chars().take_while(|glyph| {
        width += glyph_width(*glyph) * TYPE_PX_MAX;
        width <= width_max
    });
    kept.collect::<String>().trim_end().to_string() + "…"
}

/// The text with control characters and direction marks, which could reorder what stands beside them, made visible.
pub(crate) fn printable(text: &str) -> String {
    let hidden = |glyph: char| {
        glyph.is_control()
            || matches!(glyph, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars().map(|glyph| if hidden(glyph) { '\u{fffd}' } else { glyph }).collect()
}
