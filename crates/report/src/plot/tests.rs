//! Stories common to all plots.

use super::*;

/// Panics unless every element is closed in order and no attribute or text holds a bare `<`.
pub(crate) fn well_formed(markup: &str) {
    const VOID: [&str; 3] = ["meta", "link", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    for piece in markup.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap_or_else(|| panic!("no end of the tag in `<{piece}`"));
        assert_eq!(tag.matches('"').count() % 2, 0, "odd quotes in <{tag}>");
        let name = tag.split_whitespace().next().unwrap_or("");
        if let Some(closed) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "in {markup}");
        } else if !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

const NAMES: [&str; 4] = [
    "age",
    "",
    "</text><script>alert('x')</script>",
    "a \"very\" long & winding feature name with 漢字 and \u{202e}tricks\u{0} in it, repeated, repeated, repeated",
];

fn bin(predicted: f64, observed: f64) -> CalibrationBin {
    CalibrationBin { predicted, observed, low: observed * 0.8, high: observed * 1.2, rows: 100 }
}

/// Rates a tenth of a unit of log-odds apart, and how many of the values lie between each two.
fn histogram(values: &[f64]) -> (Vec<f64>, Vec<u64>) {
    let edges: Vec<f64> = (-160..=160).map(|edge| 1.0 / (1.0 + (-f64::from(edge) / 10.0).exp())).collect();
    let within = |low: f64, high: f64| values.iter().filter(|value| (low..high).contains(value)).count() as u64;
    let counts = edges.windows(2).map(|pair| within(pair[0], pair[1])).collect();
    (edges, counts)
}

/// Every plot of the same numbers, taken as points, bins, bars and scores.
fn all(name: &str, values: &[f64]) -> Vec<Svg> {
    let points: Vec<(f64, f64)> = values.iter().copied().zip(values.iter().copied().rev()).collect();
    let series = [Series { name, points: &points }, Series { name: "other", points: &points }];
    let bins: Vec<CalibrationBin> = points.iter().map(|(x, y)| bin(*x, *y)).collect();
    let labelled: Vec<(&str, f64)> = values.iter().map(|value| (name, *value)).collect();
    let (edges, counts) = histogram(values);
    let scores = ScoreSeries { name, counts: &counts, left_out: 3 };
    vec![
        calibration(&bins),
        roc(&series),
        gain(&series),
        lines(name, name, &series),
        bars(name, &labelled),
        score_distribution(&edges, &[scores]),
    ]
}

#[test]
fn any_numbers_and_names_give_a_well_formed_picture_of_finite_coordinates() {
    let (nan, infinity) = (f64::NAN, f64::INFINITY);
    let inputs: [&[f64]; 12] = [
        &[],
        &[0.01],
        &[nan],
        &[nan, infinity, -infinity],
        &[0.5, 0.5, 0.5],
        &[0.0, 0.0],
        &[0.0, 1.0],
        &[-3.0, 2.0, nan],
        &[1e-7, 1e-3, 0.2, 0.999_999_99],
        &[f64::MAX, f64::MIN, f64::MIN_POSITIVE],
        &[1e100, -1e100, 5e-324],
        &[1.0, 1.0 + f64::EPSILON],
    ];
    for name in NAMES {
        for values in inputs {
            for Svg(picture) in all(name, values) {
                well_formed(&picture);
                assert!(!picture.contains("<script"), "{picture}");
                let drawn = picture.replace("not finite", "").replace("no finite", "");
                assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{values:?}: {picture}");
            }
        }
    }
}

#[test]
fn the_same_numbers_give_the_same_bytes() {
    let values = [0.001, 0.02, 0.3, f64::NAN];
    assert_eq!(all("ctr", &values), all("ctr", &values));
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let points = [(0.0, 0.7), (1.0, f64::NAN), (2.0, 0.5)];
    let Svg(picture) = lines("epoch", "logloss", &[Series { name: "held out", points: &points }]);
    assert!(picture.contains("1 value is not finite and left out"), "{picture}");
    for Svg(picture) in all("ctr", &[]) {
        assert!(picture.contains("Nothing to draw"), "{picture}");
    }
}

#[test]
fn calibration_of_small_rates_is_logarithmic_and_of_large_ones_linear() {
    let Svg(small) = calibration(&[bin(0.001, 0.0012), bin(0.01, 0.011), bin(0.1, 0.09)]);
    assert!(small.contains(">0.1%<") && small.contains(">10%<"), "{small}");
    let Svg(large) = calibration(&[bin(0.2, 0.19), bin(0.4, 0.43)]);
    assert!(large.contains(">0%<") && large.contains(">40%<"), "{large}");
}

#[test]
fn a_bin_without_clicks_stands_hollow_on_the_floor_of_a_logarithmic_plot() {
    let Svg(picture) = calibration(&[bin(0.001, 0.0), bin(0.01, 0.011), bin(0.1, 0.09)]);
    assert_eq!(picture.matches("class=\"hollow\"").count(), 1, "{picture}");
}

#[test]
fn a_curve_of_a_million_points_is_a_small_picture() {
    let points: Vec<(f64, f64)> = (0..=1_000_000).map(|i| f64::from(i) / 1e6).map(|x| (x, x.sqrt())).collect();
    let Svg(picture) = roc(&[Series { name: "model", points: &points }]);
    assert!(picture.len() < 30_000, "{} bytes", picture.len());
}

#[test]
fn epochs_are_whole_numbers() {
    let points = [(1.0, 0.5), (2.0, 0.4), (3.0, 0.39)];
    let Svg(picture) = lines("epoch", "logloss", &[Series { name: "training", points: &points }]);
    assert!(picture.contains(">2<") && !picture.contains(">1.5<"), "{picture}");
}

#[test]
fn bars_keep_their_order_and_count_those_not_shown() {
    let many: Vec<(&str, f64)> = (0..50).map(|_| ("f", 1.0)).chain([("g", f64::NAN)]).collect();
    let Svg(picture) = bars("gain", &many);
    assert_eq!(picture.matches("<rect").count(), 40);
    assert!(picture.contains("10 more are not shown. 1 not finite and left out."), "{picture}");
}
