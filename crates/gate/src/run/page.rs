//! The audit's page: the verdict, the checks, and the distributions of the scores.

use std::collections::BTreeMap;

use clickcast_model::scores::Scores;
use clickcast_report::Page;
use clickcast_report::number::grouped;
use clickcast_report::plot::{Series, lines};
use clickcast_verdict::{Judgement, Verdict};

use super::{RunStatistics, together};
use crate::page::{add_checks, banner, curve};

/// The inputs or values that a table shows at most; those whose mean moved most come first.
const PARTS_SHOWN: usize = 40;
/// The characters of an artifact's hash that the page shows.
const HASH_SHOWN: usize = 12;

/// What a page of an audit shows.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// The run's name.
    pub run: &'a str,
    /// The URI of the run's inputs.
    pub input: &'a str,
    /// The judgement of `statistics`.
    pub judgement: &'a Judgement,
    /// What was measured of the run.
    pub statistics: &'a RunStatistics,
}

/// Renders the page of an audit as HTML.
#[must_use]
pub fn page(request: &PageRequest<'_>) -> String {
    let PageRequest { run, input, judgement, statistics } = *request;
    let by_input = statistics.by_input();
    let all = together(&by_input);
    let mut page = Page::new(&format!("Audit of {run}"), &format!("Predictions for {input}"));
    let sentence = match judgement.verdict {
        Verdict::Pass => "The run is complete, and its predictions look as they should.",
        Verdict::Hold => "A person should look before this run is published.",
        Verdict::Fail => "This run must not be published.",
    };
    page.verdict(banner(judgement.verdict), sentence);
    page.facts(&[
        ("Inputs", grouped(statistics.inputs.len() as u64)),
        ("Outputs", grouped(statistics.outputs.len() as u64)),
        ("Predictions", grouped(statistics.rows_out())),
        ("Mean prediction", mean(all.mean())),
        ("Model", statistics.artifact.chars().take(HASH_SHOWN).collect()),
    ]);
    page.section("Checks", "The worst come first.");
    add_checks(&mut page, &judgement.worst_first());
    add_distributions(&mut page, &all, statistics);
    let empty = BTreeMap::new();
    let previous = statistics.previous.as_ref();
    page.section("By input", "The inputs whose mean moved most come first.");
    add_parts(&mut page, "Input", &by_input, previous.map_or(&empty, |previous| &previous.by_input));
    if !statistics.by_value.is_empty() {
        page.section("By the values of carried columns", "The values whose mean moved most come first.");
        add_parts(&mut page, "Value", &statistics.by_value, previous.map_or(&empty, |previous| &previous.by_value));
    }
    page.render()
}

fn add_distributions(page: &mut Page, all: &Scores, statistics: &RunStatistics) {
    let note = "The share of predictions in each quarter of a log-odds.";
    page.section("How the predictions are distributed", note);
    let now = curve(all);
    let before = statistics.previous.as_ref().map(|previous| curve(&together(&previous.by_input)));
    let mut series = vec![Series { name: "this run", points: &now }];
    if let Some(points) = &before {
        series.push(Series { name: "the run before", points });
    }
    let picture = lines("Predicted log-odds of a click", "Share of the predictions", &series);
    page.figure(picture, "If the curves coincide, nothing has moved.");
}

/// Adds a row for each part of the run, those that moved most first.
fn add_parts(page: &mut Page, what: &str, now: &BTreeMap<String, Scores>, before: &BTreeMap<String, Scores>) {
    let mut rows: Vec<(f64, Vec<String>)> = Vec::new();
    for (key, scores) in now {
        let before = before.get(key).and_then(Scores::mean);
        let moved = scores.mean().zip(before).map_or(0.0, |(now, before)| (now / before).ln().abs());
        rows.push((moved, vec![key.clone(), grouped(scores.rows()), mean(scores.mean()), mean(before)]));
    }
    rows.sort_by(|one, other| other.0.total_cmp(&one.0));
    let rows: Vec<Vec<String>> = rows.into_iter().take(PARTS_SHOWN).map(|(_, row)| row).collect();
    page.table(&[what, "Predictions", "Mean", "Mean in the run before"], &rows);
}

fn mean(mean: Option<f64>) -> String {
    mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.5}"))
}
