//! Writes a page with everything on it, to be looked at whenever style or plots change:
//! `cargo run -p clickcast-report --example sample -- sample.html`

use clickcast_report::plot::{self, CalibrationBin, ScoreSeries, Series};
use clickcast_report::{Page, Verdict};

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "sample.html".to_string());
    let mut page = Page::new(
        "Demonstration",
        "A field-aware factorization machine, trained on six days and judged on the seventh",
    );
    page.verdict(
        Verdict::Good,
        "The model is 0.0011 logloss from the best any model could reach on these impressions.",
    )
    .verdict(
        Verdict::Warn,
        "Feature device_model: 4.1 % of its values were never seen in training, twice as many as yesterday.",
    )
    .verdict(
        Verdict::Bad,
        "Calibration 1.34 is outside 0.9 to 1.1: predictions are a third too high. Train again with newer clicks.",
    );
    facts_and_tables(&mut page);
    quality(&mut page);
    std::fs::write(path, page.render())
}

fn facts_and_tables(page: &mut Page) {
    page.facts(&[
        ("AUC", "0.7912".to_string()),
        ("logloss", "0.1387".to_string()),
        ("normalized entropy", "0.846".to_string()),
        ("calibration", "1.003".to_string()),
        ("rows per second", "412,000".to_string()),
    ]);
    page.section("Against the best possible", "The impressions are synthetic, so their true click rates are known.");
    let row = |cells: [&str; 5]| cells.map(str::to_string).to_vec();
    page.table(
        &["model", "AUC", "logloss", "normalized entropy", "remark"],
        &[
            row(["ffm, k = 4", "0.7912", "0.1387", "0.846", "taken; early stop after epoch 7"]),
            row(["lr", "0.7703", "0.1421", "0.867", "-"]),
            row(["the true rates", "0.7966", "0.1376", "0.839", "no model can do better"]),
        ],
    );
}

fn quality(page: &mut Page) {
    let bins: Vec<CalibrationBin> = (0..14)
        .map(|i| {
            let predicted = 0.0008 * 1.45f64.powi(i);
            let observed = if i == 1 { 0.0 } else { predicted * (1.0 + 0.15 * f64::from((i * 5) % 7 - 3) / 3.0) };
            CalibrationBin {
                predicted,
                observed,
                low: observed * 0.8,
                high: observed * 1.22 + 0.0002,
                rows: 20_000 / (1 + (i - 5).pow(2) as u64),
            }
        })
        .collect();
    let curve = |power: f64| -> Vec<(f64, f64)> {
        (0..=500).map(|i| f64::from(i) / 500.0).map(|x| (x, x.powf(power))).collect()
    };
    let (model, best) = (curve(0.28), curve(0.24));
    let pair = [
        Series { name: "model (AUC 0.791)", points: &model },
        Series { name: "true rates (AUC 0.797)", points: &best },
    ];
    let bell = |centre: f64, spread: f64| {
        let mut counts = vec![0; 320];
        for i in 1..20_000 {
            let uniform = f64::from(i) / 20_000.0;
            let log_odds = centre + spread * (uniform / (1.0 - uniform)).ln();
            counts[((log_odds + 16.0) * 10.0).clamp(0.0, 319.0) as usize] += 1;
        }
        counts
    };
    let rates: Vec<f64> = (-160..=160).map(|edge| 1.0 / (1.0 + (-f64::from(edge) / 10.0).exp())).collect();
    let (clicks, others) = (bell(-2.6, 0.55), bell(-4.2, 0.6));
    let clicked = ScoreSeries { name: "impressions with a click", counts: &clicks, left_out: 0 };
    let unclicked = ScoreSeries { name: "without", counts: &others, left_out: 0 };
    let epochs = |start: f64, drop: f64, rise: f64| -> Vec<(f64, f64)> {
        (1..=12).map(f64::from).map(|x| (x, start - drop * (1.0 - (-x / 2.0).exp()) + rise * x * x)).collect()
    };
    let (training, held_out) = (epochs(0.171, 0.034, -0.00004), epochs(0.170, 0.031, 0.00006));
    let losses = [Series { name: "training", points: &training }, Series { name: "held out", points: &held_out }];
    let gains = [
        ("campaign × placement", 0.412),
        ("hour_of_day", 0.208),
        ("user_age", 0.131),
        ("a_feature_with_a_quite_unreasonably_long_name", 0.094),
        ("creative_format", 0.0512),
        ("<b>device</b>", 0.021),
        ("os_version", 0.00034),
    ];
    let shifts = [("age", 1.25), ("banner width", -0.8), ("hour", 0.02), ("country", -2.4)];
    page.section("How good the predictions are", "Measured on 500,000 held-out impressions of the next day.")
        .figure(plot::calibration(&bins), "Calibration. Each dot is a twentieth of the impressions; on the diagonal, as many clicks came as were predicted.")
        .figure(plot::roc(&pair), "Receiver operating characteristic, beside that of the true rates.")
        .figure(plot::gain(&pair), "Showing only the best fifth of the impressions keeps two thirds of the clicks.")
        .figure(plot::score_distribution(&rates, &[clicked, unclicked]), "Predictions for clicked impressions lie higher.")
        .figure(plot::lines("epoch", "logloss", &losses), "Training stopped where the held-out logloss was least.")
        .figure(plot::bars("logloss lost when the feature is shuffled", &gains), "The most telling features.")
        .section("Other shapes", "")
        .figure(plot::bars("change of the mean, in standard deviations", &shifts), "Negative values.")
        .section("Odd input", "")
        .figure(plot::roc(&[]), "Nothing at all.")
        .figure(plot::lines("day", "clicks", &[Series { name: "one point, one gap", points: &[(1.0, 52_000.0), (2.0, f64::NAN)] }]), "One point.");
}
