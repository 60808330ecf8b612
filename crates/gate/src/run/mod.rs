//! The audit: judges a closed run by whether it is complete and whether its scores look like those before.
//!
//! The caller measures [`RunStatistics`] by reading the run's files; [`audit`] judges them, and [`page`] shows both.

mod complete;
mod moved;
mod page;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use clickcast_model::scores::Scores;
use clickcast_verdict::{Judgement, OutputRecord};
use serde::{Deserialize, Serialize};

pub use page::{PageRequest, page};

/// An input of the run, as it was when the run was closed, and as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditedInput {
    /// Its key.
    pub key: String,
    /// Its ETag when the run was closed.
    pub etag: String,
    /// Its ETag now; `None` if it no longer exists.
    pub etag_now: Option<String>,
    /// The rows of each of its row groups; `None` if its format has no row groups.
    pub row_groups: Option<Vec<u64>>,
    /// The rows that were read from it to compare its ids with those of the outputs; `None` if they were not compared.
    pub rows: Option<u64>,
}

/// An output of the run, as it was recorded when the run was closed, and as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditedOutput {
    /// What the manifest says of it.
    pub record: OutputRecord,
    /// The rows that were read.
    pub rows_read: u64,
    /// Whether its bytes are still those of when the run was closed.
    pub is_unchanged: bool,
    /// Whether its carried columns equal those of its input, row by row; `None` if it carries no columns.
    pub ids_agree: Option<bool>,
    /// How many rows were scored again, and how many of those got another prediction; `None` if no row was scored again.
    pub rescored: Option<(u64, u64)>,
    /// Its scores.
    pub scores: Scores,
}

impl AuditedOutput {
    /// An output that could not be read: nothing but its record is known.
    #[must_use]
    pub fn unread(record: OutputRecord) -> Self {
        Self { record, rows_read: 0, is_unchanged: false, ids_agree: None, rescored: None, scores: Scores::default() }
    }
}

/// The scores of a run, kept for the audit of the next one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunScores {
    /// The hash of the artifact that predicted.
    pub artifact: String,
    /// The scores of each input.
    pub by_input: BTreeMap<String, Scores>,
    /// See [`RunStatistics::by_value`].
    pub by_value: BTreeMap<String, Scores>,
}

/// What the gate saw of the run's model.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedModel {
    /// Whether it passed the gate.
    pub has_passed: bool,
    /// Its scores at the gate.
    pub scores: Scores,
}

/// What was measured of a closed run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunStatistics {
    /// The hash of the artifact that the run is pinned to.
    pub artifact: String,
    /// Every input.
    pub inputs: Vec<AuditedInput>,
    /// Every output.
    pub outputs: Vec<AuditedOutput>,
    /// The keys of inputs that could not be scored, each with the reason.
    pub errors: Vec<(String, String)>,
    /// Files among the outputs that the manifest does not list.
    pub unexpected_outputs: Vec<String>,
    /// The scores by value of those carried columns that have few values, such as `country = de`.
    pub by_value: BTreeMap<String, Scores>,
    /// The scores of the run that is published now; `None` if there is none.
    pub previous: Option<RunScores>,
    /// What the gate saw of the model; `None` if that is unknown.
    pub judged: Option<JudgedModel>,
}

impl RunStatistics {
    /// Returns the scores of each input.
    #[must_use]
    pub fn by_input(&self) -> BTreeMap<String, Scores> {
        let mut scores: BTreeMap<String, Scores> = BTreeMap::new();
        for output in &self.outputs {
            scores.entry(output.record.input.clone()).or_default().merge(&output.scores);
        }
        scores
    }

    /// Returns the number of rows of all inputs, or `None` if the format of one doesn't tell.
    #[must_use]
    pub fn rows_in(&self) -> Option<u64> {
        let rows = |input: &AuditedInput| match &input.row_groups {
            Some(groups) => Some(groups.iter().sum()),
            None => input.rows,
        };
        self.inputs.iter().map(rows).sum()
    }

    /// Returns the number of rows that were read from all outputs.
    #[must_use]
    pub fn rows_out(&self) -> u64 {
        self.outputs.iter().map(|output| output.rows_read).sum()
    }

    /// Returns what the next run's audit will compare its scores with.
    #[must_use]
    pub fn scores(&self) -> RunScores {
        RunScores { artifact: self.artifact.clone(), by_input: self.by_input(), by_value: self.by_value.clone() }
    }
}

/// Returns the scores of all inputs together.
#[must_use]
pub fn together(by_input: &BTreeMap<String, Scores>) -> Scores {
    let mut all = Scores::default();
    for scores in by_input.values() {
        all.merge(scores);
    }
    all
}

/// Judges a run by what was measured of it.
#[must_use]
pub fn audit(run: &RunStatistics) -> Judgement {
    let mut checks = complete::checks(run);
    checks.extend(moved::checks(run));
    Judgement::of(checks)
}
