//! Horizontal bars, such as the importance of features.

use maud::html;

use super::Svg;
use super::axis::{drawable, range, significant};
use super::frame::{WIDTH, colour, empty, picture, printable, px, shortened, text_width};

/// Bars beyond this are counted, not drawn: forty fill a screen's height.
const BARS_MAX: usize = 40;
const ROW: f64 = 27.0;
const LABEL_WIDTH_MAX: f64 = 215.0;
const GAP: f64 = 8.0;

/// A bar for each (label, value), from top to bottom in the order given, with its value at its end.
pub fn bars(title: &str, bars: &[(&str, f64)]) -> Svg {
    let finite: Vec<(&str, f64)> = bars.iter().copied().filter(|(_, value)| drawable(*value)).collect();
    let kept = finite.get(..BARS_MAX).unwrap_or(&finite);
    let Some((low, high)) = range(kept.iter().map(|(_, value)| *value).chain([0.0])).filter(|_| !kept.is_empty())
    else {
        return empty(title);
    };
    let labels: Vec<String> = kept.iter().map(|(label, _)| shortened(label, LABEL_WIDTH_MAX)).collect();
    let widest = |texts: &mut dyn Iterator<Item = f64>| texts.fold(0.0, f64::max);
    let value_width = widest(&mut kept.iter().map(|(_, value)| text_width(&significant(*value)))) + GAP;
    let left =
        widest(&mut labels.iter().map(|label| text_width(label))) + GAP + if low < 0.0 { value_width } else { 0.0 };
    let right = WIDTH - if high > 0.0 { value_width } else { GAP };
    let span = if high > low { high - low } else { 1.0 };
    let place = |value: f64| left + (value - low) / span * (right - left);
    let zero = place(0.0);
    let top = 26.0;
    let floor = top + ROW * kept.len() as f64;
    let notes = notes(finite.len() - kept.len(), bars.len() - finite.len());
    let height = floor + 4.0 + if notes.is_empty() { 0.0 } else { 22.0 };
    picture(
        title,
        height,
        &html! {
            text.strong x="0" y="15" { (shortened(title, WIDTH)) }
            g.(colour(0)) {
                @for (index, ((label, value), shown)) in kept.iter().zip(&labels).enumerate() {
                    @let y = top + ROW * index as f64;
                    @let end = place(*value);
                    @let base = px(y + ROW / 2.0 + 4.5);
                    text.strong.end x=(px(left - GAP - if low < 0.0 { value_width } else { 0.0 })) y=(base) {
                        (shown)
                        @if shown != label { title { (printable(label)) } }
                    }
                    rect.fill x=(px(zero.min(end))) y=(px(y + 4.0)) width=(px((end - zero).abs())) height=(px(ROW - 8.0)) rx="2" {
                        title { (printable(label)) ": " (significant(*value)) }
                    }
                    @if *value < 0.0 {
                        text.end x=(px(end - 6.0)) y=(base) { (significant(*value)) }
                    } @else {
                        text x=(px(end + 6.0)) y=(base) { (significant(*value)) }
                    }
                }
            }
            line.axis x1=(px(zero)) x2=(px(zero)) y1=(px(top)) y2=(px(floor)) {}
            @if !notes.is_empty() { text x="0" y=(px(height - 6.0)) { (notes) } }
        },
    )
}

fn notes(more: usize, left_out: usize) -> String {
    let more = if more > 0 { format!("{more} more are not shown. ") } else { String::new() };
    let left_out = if left_out > 0 { format!("{left_out} not finite and left out.") } else { String::new() };
    (more + &left_out).trim_end().to_string()
}
