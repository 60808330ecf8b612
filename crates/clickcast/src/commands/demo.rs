//! `clickcast demo`: a whole day on this machine, with a report one can look at.

use std::path::Path;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use clickcast_dataset::ScanEvent;
use clickcast_learn::FactorFamily;
use clickcast_model::metrics::{Accumulator, Metrics, ScoreHistogram};
use clickcast_model::{Model, Scratch};
use clickcast_operations::data::{Data, write_object};
use clickcast_operations::synthesize::{Destination, write_impressions};
use clickcast_operations::train::{TrainRequest, train};
use clickcast_operations::{ModelLocation, artifacts};
use clickcast_record::{Batch, Need};
use clickcast_report::number::grouped;
use clickcast_report::plot::{self, CalibrationBin, ScoreSeries, Series};
use clickcast_report::{Page, Verdict};
use clickcast_synth::{Generator, Settings, features_toml};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::delivery::{Day, Delivered, Judged, Share};
use super::fleet::VISIBILITY_S;
use super::runs::verdict_word;
use super::{Context, pace};
use crate::arguments::DemoArguments;
use crate::console;
use crate::failure::Failure;

/// Enough for an FFM to beat logistic regression clearly, and for two cores to be done in a minute.
const ROWS: u64 = 900_000;
/// Days to learn from; the next is measured on, the one after is booked.
const DAYS_LEARNED: i64 = 5;
const FAMILIES: [(FactorFamily, &str, &str); 2] =
    [(FactorFamily::Lr, "lr", "Logistic regression"), (FactorFamily::Ffm, "ffm", "Field-aware FM")];
/// Groups of equal size in the calibration plot.
const CALIBRATION_BINS: usize = 20;
const ROC_POINTS: usize = 200;
/// Features in the plot of what tells most.
const FEATURES_SHOWN: usize = 15;

/// How much each feature moves the score, by name.
type Importance = Vec<(String, f64)>;

/// What was measured on the next day.
struct Measured {
    name: &'static str,
    metrics: Metrics,
    accumulator: Accumulator,
    scores: ScoreHistogram,
}

pub(super) fn run(context: &Context, arguments: &DemoArguments) -> Result<(), Failure> {
    let start = Instant::now();
    let dir = &arguments.dir;
    let path = |name: &str| dir.join(name).display().to_string();
    let note = |text: &str| console::note(text, context.quiet);
    // A day is gone through from its beginning, in the place of an earlier demo's.
    for own in ["bookings", "registry", "queue", "predictions"] {
        let _ = std::fs::remove_dir_all(dir.join(own));
    }

    note(&format!("1/7 inventing {} impressions of a week, whose true CTR is known", grouped(ROWS)));
    let generator = Generator::new(Settings::for_rows(ROWS)).map_err(Failure::input)?;
    let first = generator.settings().first_day;
    let day = |offset: i64| first.saturating_add(offset.days()).to_string();
    let (next_day, booked_day) = (day(DAYS_LEARNED), day(DAYS_LEARNED + 1));
    let destination = |date: &str, hour: i8| {
        let (folder, part, without): (_, _, &'static [&'static str]) = match date {
            date if date == next_day => ("next-day", 0, &[]),
            // A file an hour, for workers to share.
            date if *date >= *booked_day => ("bookings", hour, &["click", "true_ctr"]),
            _ => ("impressions", 0, &[]),
        };
        Destination { uri: path(&format!("{folder}/dt={date}/part-{part}.parquet")), without }
    };
    write_impressions(&context.resources, &generator, destination, &context.observer())?;
    write_object(&context.resources, &path("features.toml"), features_toml())?;

    let mut measured = Vec::new();
    let mut importance: Importance = Vec::new();
    for (number, (family, short, name)) in (2..).zip(FAMILIES) {
        note(&format!("{number}/7 learning from {DAYS_LEARNED} days: {name}"));
        let out = path(&format!("model-{short}"));
        let request = TrainRequest::new(path("impressions"), dir.join("features.toml"), family, out.clone());
        let trained = train(&context.resources, &request, &context.observer())?;
        note(&format!("    {} rows in {:.1} s", trained.rows, trained.seconds));
        let model = artifacts::load(&context.resources, &ModelLocation::folder(out))?.model;
        let (own, truth, features) = measure(context, &model, name, &path("next-day"))?;
        if measured.is_empty() {
            measured.push(truth);
        }
        measured.push(own);
        importance = features;
    }

    let day = Day { context, dir, booked: &booked_day };
    note("4/7 asking the gate: a first model, which is then in use, and its successor");
    let mut judged = vec![day.judge("model-lr")?, day.judge("model-ffm")?];
    note("5/7 learning once more, from rows whose users a wrong join has shifted by one");
    day.train_misjoined(&generator, midnight_ms(first.saturating_add(DAYS_LEARNED.days())))?;
    judged.push(day.judge("model-misjoined")?);
    note(&format!(
        "6/7 delivering the bookings of {booked_day}: queued, scored by workers, closed, audited, published"
    ));
    let delivered = day.deliver()?;
    note("7/7 writing the report");
    let report = path("report.html");
    write_object(&context.resources, &report, page(&measured, &importance, &judged, &delivered, &next_day))?;
    print(context, dir, &report, &measured, &judged, &delivered, start)
}

/// When a day begins, UTC.
fn midnight_ms(day: Date) -> i64 {
    TimeZone::UTC.to_timestamp(day.to_datetime(Time::midnight())).map_or(i64::MAX, Timestamp::as_millisecond)
}

/// Scores the next day by the model and by the truth.
fn measure(
    context: &Context,
    model: &Model,
    name: &'static str,
    uri: &str,
) -> Result<(Measured, Measured, Importance), Failure> {
    const TRUTH: &str = "true_ctr";
    let data = Data::open(&context.resources, uri)?;
    let need = Need { labels: true, times: false, carried: vec![TRUTH.to_owned()] };
    let new = |name| (name, Accumulator::new(1 << 20), ScoreHistogram::default());
    let (mut own, mut truth) = (new(name), new("Best possible"));
    let mut importance = None;
    let score = |batch: Batch| {
        let mut scores = Vec::new();
        let scored = model.score(&batch, &mut Scratch::default(), &mut scores);
        scored.map(|()| (batch, scores))
    };
    data.scan(model.schema(), &need, score, |step| {
        let ScanEvent::Rows(scored) = step else { return Ok(()) };
        let (batch, scores) = scored.map_err(Failure::input)?;
        if importance.is_none() {
            importance = Some(model.importance(&batch).map_err(Failure::input)?);
        }
        let known = batch.carried.first().and_then(|(_, column)| column.as_primitive_opt::<Float64Type>().cloned());
        let known = known.ok_or_else(|| Failure::input(format!("`{uri}` has no true CTR")))?;
        for ((&label, &score), &known) in batch.labels.iter().flatten().zip(&scores).zip(known.values()) {
            own.1.add(score, label, 1.0);
            own.2.add(score);
            truth.1.add(known, label, 1.0);
            truth.2.add(known);
        }
        Ok::<(), Failure>(())
    })?;
    let finish = |(name, accumulator, scores): (&'static str, Accumulator, ScoreHistogram)| {
        let metrics = accumulator.metrics().ok_or_else(|| Failure::input(format!("`{uri}` has no rows")))?;
        Ok::<_, Failure>(Measured { name, metrics, accumulator, scores })
    };
    Ok((finish(own)?, finish(truth)?, importance.unwrap_or_default()))
}

/// A rate's interval of 95 %.
///
/// # Source
/// Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
fn wilson(rate: f64, rows: f64) -> (f64, f64) {
    const Z: f64 = 1.96;
    let centre = rate + Z * Z / (2.0 * rows);
    let half = Z * (rate * (1.0 - rate) / rows + Z * Z / (4.0 * rows * rows)).sqrt();
    let scale = 1.0 + Z * Z / rows;
    ((centre - half).max(0.0) / scale, (centre + half) / scale)
}

fn page(
    measured: &[Measured],
    importance: &[(String, f64)],
    judged: &[Judged],
    delivered: &Delivered,
    next_day: &str,
) -> String {
    let [best, .., model] = measured else { return String::new() };
    let mut page =
        Page::new("Clickcast: a day", "Invented impressions, so the truth is known; everything else is real.");
    let calibration = model.metrics.calibration.unwrap_or(f64::NAN);
    let verdict = if (0.95..=1.05).contains(&calibration) { Verdict::Good } else { Verdict::Warn };
    page.verdict(verdict, &format!("On {next_day} the model expected {calibration:.3} clicks for each that came."));
    page.facts(&[
        ("Next day's rows", grouped(model.metrics.rows)),
        ("AUC", number(model.metrics.auc)),
        ("Best possible AUC", number(best.metrics.auc)),
        ("Log loss", format!("{:.4}", model.metrics.logloss)),
        ("Best possible log loss", format!("{:.4}", best.metrics.logloss)),
        ("Bookings scored", grouped(delivered.rows)),
    ]);
    page.section("How good the predictions are", "Measured on the day after those learned from.");
    page.table(&["", "AUC", "Log loss", "Normalized entropy", "Calibration"], &rows(measured));
    let bins: Vec<CalibrationBin> = model
        .accumulator
        .bins(CALIBRATION_BINS)
        .iter()
        .map(|bin| {
            let (low, high) = wilson(bin.observed, bin.weight);
            CalibrationBin { predicted: bin.predicted, observed: bin.observed, low, high, rows: bin.weight as u64 }
        })
        .collect();
    page.figure(plot::calibration(&bins), "Calibration: on the line, as many were clicked as were expected.");
    let curves: Vec<(String, Vec<(f64, f64)>)> = measured
        .iter()
        .map(|one| (format!("{} ({})", one.name, number(one.metrics.auc)), one.accumulator.roc(ROC_POINTS)))
        .collect();
    let series: Vec<Series<'_>> = curves.iter().map(|(name, points)| Series { name, points }).collect();
    page.figure(plot::roc(&series), "ROC: how many clicks are found among how many others.");
    let scores = measured.iter().map(|one| ScoreSeries {
        name: one.name,
        counts: one.scores.counts(),
        left_out: one.scores.not_probabilities(),
    });
    let scores: Vec<_> = scores.collect();
    page.figure(
        plot::score_distribution(&ScoreHistogram::edges(), &scores),
        "Predicted CTRs: how often each was predicted.",
    );
    let bars: Vec<(&str, f64)> =
        importance.iter().take(FEATURES_SHOWN).map(|(name, moved)| (name.as_str(), *moved)).collect();
    page.figure(plot::bars("Log-odds moved", &bars), "The most telling features of the field-aware model.");
    page.section(
        "Which models were let into use",
        "The gate judged each by the next day's clicks and by the bookings. The last one was spoiled on purpose: a wrong join gave \
         each row that it learned from the user of the row before, so that every column by itself looks as it did.",
    );
    page.table(&["Version", "Learned into", "Verdict", "In use then", "Why", "Page"], &verdicts(judged));
    page.section(
        "How the bookings were delivered",
        &format!(
            "Two workers shared a queue of {} files. What a worker holds when it is killed comes back to the queue after \
             {VISIBILITY_S} seconds, and another does it. The verdict of the run's audit, which counts every row: {}.",
            delivered.files,
            verdict_word(delivered.audit),
        ),
    );
    page.table(&["Worker", "Files", "Rows", "End"], &workers(delivered));
    page.render()
}

fn verdicts(judged: &[Judged]) -> Vec<Vec<String>> {
    let row = |one: &Judged| {
        let in_use = if one.promoted { "yes" } else { "no" };
        let why = one.why.clone().unwrap_or_default();
        vec![one.version.clone(), one.model.clone(), one.verdict.to_string(), in_use.to_owned(), why, one.page.clone()]
    };
    judged.iter().map(row).collect()
}

fn workers(delivered: &Delivered) -> Vec<Vec<String>> {
    let row = |(number, worker): (usize, &Share)| {
        let end = if worker.killed { "killed" } else { "nothing was left" };
        vec![number.to_string(), grouped(worker.files), grouped(worker.rows), end.to_owned()]
    };
    (1..).zip(&delivered.workers).map(row).collect()
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

fn rows(measured: &[Measured]) -> Vec<Vec<String>> {
    let row = |one: &Measured| {
        let Metrics { auc, logloss, normalized_entropy, calibration, .. } = one.metrics;
        vec![one.name.to_owned(), number(auc), format!("{logloss:.5}"), number(normalized_entropy), number(calibration)]
    };
    measured.iter().map(row).collect()
}

fn print(
    context: &Context,
    dir: &Path,
    report: &str,
    measured: &[Measured],
    judged: &[Judged],
    delivered: &Delivered,
    start: Instant,
) -> Result<(), Failure> {
    let (seconds, _) = pace(start, 0);
    if context.json {
        let models: serde_json::Map<String, Value> =
            measured.iter().map(|one| (one.name.to_owned(), json!(one.metrics))).collect();
        let object = json!({
            "seconds": seconds, "report": report, "measured": models, "judged": judged, "delivered": delivered,
        });
        return console::result(&object, true);
    }
    let header = vec!["On the next day", "AUC", "log loss", "normalized entropy", "calibration"];
    let table = console::table(Some(header), rows(measured));
    let dir = dir.display();
    let bookings = grouped(delivered.rows);
    console::say(&format!(
        "\n{table}\n\n{bookings} bookings delivered in {:.1} s; all in {seconds:.0} s.\nReport: {report}\n\nTry next:\n  \
         clickcast models show ctr@champion --registry {dir}/registry\n  \
         clickcast evaluate --model {dir}/model-ffm --data {dir}/next-day --by format\n  \
         clickcast predict --model {dir}/model-lr --data {dir}/bookings --out {dir}/predictions-lr\n  \
         clickcast schema --data {dir}/next-day --label click --id user_id,ad_id",
        delivered.seconds,
    ))
}
