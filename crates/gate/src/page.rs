//! What the pages of both halves share.

use clickcast_model::scores::Scores;
use clickcast_report::number::measured;
use clickcast_report::{Page, Verdict as Banner};
use clickcast_verdict::{Check, Verdict};

/// Log-odds and share of the scores, one point for each bin of a histogram that holds scores.
pub(crate) fn curve(scores: &Scores) -> Vec<(f64, f64)> {
    let rows = scores.rows().max(1) as f64;
    let log_odds = |probability: f64| (probability / (1.0 - probability)).ln();
    let point = |(from, to, count): (f64, f64, u64)| (f64::midpoint(log_odds(from), log_odds(to)), count as f64 / rows);
    scores.bins().map(point).collect()
}

/// The colour of a verdict's banner.
pub(crate) fn banner(verdict: Verdict) -> Banner {
    match verdict {
        Verdict::Pass => Banner::Good,
        Verdict::Hold => Banner::Warn,
        Verdict::Fail => Banner::Bad,
    }
}

/// Adds a table of checks.
pub(crate) fn add_checks(page: &mut Page, checks: &[&Check]) {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), measured);
    let row = |check: &&Check| {
        let name = check.name.replace('_', " ");
        vec![check.verdict.to_string(), name, number(check.observed), number(check.limit), check.reason.clone()]
    };
    let rows: Vec<Vec<String>> = checks.iter().map(row).collect();
    page.table(&["", "Check", "Observed", "Limit", "Why"], &rows);
}
