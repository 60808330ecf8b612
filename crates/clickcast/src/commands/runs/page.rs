//! The audit's page: the verdict, why, and what the scores look like.

use std::collections::BTreeMap;

use clickcast_gate::audit::{RunStatistics, together};
use clickcast_gate::{Check, Judgement, Scores, Verdict};
use clickcast_registry::Run;
use clickcast_report::plot::{Series, lines};
use clickcast_report::{Page, Verdict as Colour};

use super::super::models::check_rows;
use crate::console::grouped;

/// Inputs or values in a table at most, those whose mean moved most first.
const PARTS_SHOWN: usize = 40;

pub(super) fn page(
    run: &Run,
    judgement: &Judgement,
    statistics: &RunStatistics,
    all: &Scores,
    rows_out: u64,
) -> String {
    let record = run.record();
    let mut page = Page::new(&format!("Audit of {}", record.run), &format!("Predictions of {}", record.input));
    let (colour, sentence) = match judgement.verdict {
        Verdict::Pass => (Colour::Good, "The run is whole, and its predictions look as they should."),
        Verdict::Hold => (Colour::Warn, "A person should look before this run is published."),
        Verdict::Fail => (Colour::Bad, "This run must not be published."),
    };
    page.verdict(colour, sentence);
    let mean = all.mean().map_or_else(|| "-".to_owned(), |mean| format!("{mean:.5}"));
    page.facts(&[
        ("Inputs", grouped(statistics.inputs.len() as u64)),
        ("Outputs", grouped(statistics.outputs.len() as u64)),
        ("Predictions", grouped(rows_out)),
        ("Mean prediction", mean),
        ("Model", record.model.artifact.chars().take(12).collect()),
    ]);
    page.section("What was looked at", "What speaks against the run comes first.");
    let mut checks: Vec<&Check> = judgement.checks.iter().collect();
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    page.table(&["", "Check", "Observed", "Limit", "Why"], &check_rows(&checks));
    page.section(
        "How the predictions are distributed",
        "Share of the predictions by their CTR, in quarters of a log-odds.",
    );
    let previous = statistics.previous.clone().unwrap_or_default();
    let before = statistics.previous.as_ref().map(|previous| together(&previous.by_input));
    let mut curves = vec![("this run".to_owned(), curve(all))];
    curves.extend(before.as_ref().map(|before| ("the run before".to_owned(), curve(before))));
    let series: Vec<Series<'_>> = curves.iter().map(|(name, points)| Series { name, points }).collect();
    page.figure(
        lines("Predicted log-odds of a click", "Share of the predictions", &series),
        "Equal curves: nothing has moved.",
    );
    page.section("By input", "Those whose mean moved most come first.");
    page.table(
        &["Input", "Predictions", "Mean", "Mean in the run before"],
        &parts(&statistics.by_input(), &previous.by_input),
    );
    if !statistics.by_value.is_empty() {
        page.section("By the values of carried columns", "Those whose mean moved most come first.");
        page.table(
            &["Value", "Predictions", "Mean", "Mean in the run before"],
            &parts(&statistics.by_value, &previous.by_value),
        );
    }
    page.render()
}

fn curve(scores: &Scores) -> Vec<(f64, f64)> {
    let rows = scores.rows().max(1) as f64;
    let point = |(from, to, count): (f64, f64, u64)| {
        let log_odds = |probability: f64| (probability / (1.0 - probability)).ln();
        (f64::midpoint(log_odds(from), log_odds(to)), count as f64 / rows)
    };
    scores.bins().map(point).collect()
}

/// A row for each part of the run, those that moved most first.
fn parts(now: &BTreeMap<String, Scores>, before: &BTreeMap<String, Scores>) -> Vec<Vec<String>> {
    let mut rows: Vec<(f64, Vec<String>)> = now
        .iter()
        .map(|(key, scores)| {
            let before = before.get(key).and_then(Scores::mean);
            let moved = scores.mean().zip(before).map_or(0.0, |(now, before)| (now / before).ln().abs());
            let number = |mean: Option<f64>| mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.5}"));
            (moved, vec![key.clone(), grouped(scores.rows()), number(scores.mean()), number(before)])
        })
        .collect();
    rows.sort_by(|one, other| other.0.total_cmp(&one.0));
    rows.into_iter().take(PARTS_SHOWN).map(|(_, row)| row).collect()
}
