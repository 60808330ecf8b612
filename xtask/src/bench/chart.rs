//! A picture for the README: a bar for each contender's speed, on a logarithmic scale, as SVG that needs nothing else.
//!
//! The plots of `clickcast-report` take their colours from its page; and this program uses none of the crates that it
//! tests.

use std::fmt::Write as _;

use super::results::quantity;

const WIDTH: f64 = 760.0;
const ROW: f64 = 28.0;
const TOP: f64 = 56.0;
/// Room for a name before the bars.
const LEFT: f64 = 280.0;
/// Room for a speed behind the longest bar.
const RIGHT: f64 = 680.0;

/// Follows the reader's theme, as a picture of a page in GitHub's colours does.
const STYLE: &str = "text{font:14px sans-serif;fill:#1f2328}.note{font-size:12px;fill:#59636e}.end{text-anchor:end}\
                     .grid{stroke:#d1d9e0}.ours{fill:#1a7f37}.peer{fill:#8c959f}@media(prefers-color-scheme:dark){\
                     text{fill:#f0f6fc}.note{fill:#9198a1}.grid{stroke:#3d444d}.ours{fill:#3fb950}}";

/// A bar: name, rows per CPU second, and whether it is ours.
pub(crate) type Bar = (&'static str, f64, bool);

/// The picture, fastest first. Bars start at the power of ten below the slowest.
pub(crate) fn svg(title: &str, bars: &[Bar]) -> String {
    let mut bars = bars.to_vec();
    bars.sort_by(|a, b| b.1.total_cmp(&a.1));
    let decades = bars.iter().map(|bar| bar.1.max(1.0).log10());
    let first = decades.clone().reduce(f64::min).unwrap_or(0.0).floor();
    let last = decades.reduce(f64::max).unwrap_or(0.0).ceil().max(first + 1.0);
    let place = |speed: f64| LEFT + (speed.max(1.0).log10() - first) / (last - first) * (RIGHT - LEFT);
    let floor = TOP + ROW * bars.len() as f64;

    let height = floor + 24.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>{0}</title>\n<style>{STYLE}</style>\n<text x=\"8\" y=\"20\">{0}</text>\n\
         <text class=\"note\" x=\"8\" y=\"40\">rows per second and core, logarithmic; longer is faster</text>\n",
        escaped(title)
    );
    for decade in (first as i32)..=(last as i32) {
        let (x, speed) = (place(10f64.powi(decade)), quantity(10f64.powi(decade)).replace(".00", "").replace(".0", ""));
        line(&mut svg, format_args!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{floor}\"/>"));
        let y = floor + 16.0;
        line(
            &mut svg,
            format_args!("<text class=\"note\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y}\">{speed}</text>"),
        );
    }
    for (index, (name, speed, is_ours)) in bars.iter().enumerate() {
        let (y, end) = (TOP + ROW * index as f64, place(*speed));
        let class = if *is_ours { "ours" } else { "peer" };
        let base = y + 19.0;
        line(&mut svg, format_args!("<text class=\"end\" x=\"{}\" y=\"{base}\">{}</text>", LEFT - 8.0, escaped(name)));
        line(
            &mut svg,
            format_args!(
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"{}\"/>",
                y + 4.0,
                end - LEFT,
                ROW - 8.0
            ),
        );
        line(&mut svg, format_args!("<text x=\"{:.1}\" y=\"{base}\">{}</text>", end + 6.0, quantity(*speed)));
    }
    svg + "</svg>\n"
}

/// Adds a line; writing to a string cannot fail.
fn line(svg: &mut String, text: std::fmt::Arguments<'_>) {
    let _always_ok = writeln!(svg, "{text}");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_is_first_and_a_decade_is_as_long_as_any_other() {
        let svg = svg("A & B", &[("slow", 100.0, false), ("fast", 10_000.0, true), ("middle", 1_000.0, false)]);
        let widths: Vec<&str> = svg.split("width=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(widths, ["400.0", "200.0", "0.0"]);
        assert!(svg.contains("<title>A &amp; B</title>"));
        assert!(svg.find(">fast<") < svg.find(">middle<") && svg.find(">middle<") < svg.find(">slow<"), "{svg}");
        assert_eq!((svg.matches("class=\"ours\"").count(), svg.matches("class=\"peer\"").count()), (1, 2));
    }

    #[test]
    fn a_picture_of_equals_or_of_nothing_is_a_picture() {
        for bars in [&[("one", 10.0, true)][..], &[]] {
            let svg = svg("title", bars);
            assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
