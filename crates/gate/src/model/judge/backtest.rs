//! Checks by a backtest: the candidate's recipe, learned anew before each of its last days and tried on it.
//!
//! One labelled day may be lucky, or hard. What the recipe did on other days bounds what is to be expected of it.

use clickcast_report::number::counted;
use serde::Serialize;

use super::limits::BACKTEST_LOSS;
use super::{Check, Evidence, Verdict, percent, worst};

const NAME: &str = "backtest";

/// A day that a model of the candidate's recipe was tried on, which had learned the days before it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Backtested {
    /// As its folder is called.
    pub day: String,
    /// Days learned before it.
    pub days_learned: usize,
    /// What was measured on it; see [`clickcast_model::metrics::Metrics::normalized_entropy`].
    pub normalized_entropy: Option<f64>,
    /// Mean prediction over mean label.
    pub calibration: Option<f64>,
}

pub(super) fn checks(evidence: &Evidence<'_>) -> Vec<Check> {
    let Some(tried) = evidence.backtest else { return Vec::new() };
    // A day on which nothing was clicked tells nothing.
    let told: Vec<(f64, &Backtested)> =
        tried.iter().filter_map(|tried| Some((tried.normalized_entropy?, tried))).collect();
    let days = told.len();
    let Some((most, day)) = worst(told) else {
        let reason = "No day that was tried has clicked rows; give a longer history.";
        return vec![Check::plain(NAME, Verdict::Hold, reason)];
    };
    if most >= 1.0 {
        let reason = format!(
            "The same recipe, trained before {}, was worse there than predicting the mean: its normalized entropy is {most:.4}.",
            day.day
        );
        return vec![Check { observed: Some(most), limit: Some(1.0), ..Check::plain(NAME, Verdict::Fail, reason) }];
    }
    let labels = evidence.labelled.labels.as_ref();
    let Some(own) = labels.and_then(|labels| labels.candidate.normalized_entropy) else {
        return vec![Check::skipped(NAME, "Without labels, earlier days are compared with nothing.")];
    };
    let reason = format!(
        "The normalized entropy is {own:.4} on the labelled rows; the same recipe, trained before each of {}, reached \
         {most:.4} at worst, on {}: a difference of {}.",
        counted(days as u64, "earlier day"),
        day.day,
        percent(own - most)
    );
    vec![Check::above(NAME, own - most, BACKTEST_LOSS, reason)]
}
