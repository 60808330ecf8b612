//! The verdict, as a pure function of what was measured.

mod backtest;
mod days;
mod labelled;
mod limits;
mod model;
mod scores;
mod today;
mod training;

use clickcast_model::artifact::ModelManifest;
use clickcast_model::profile::Profile;
use clickcast_report::number::percent;
use clickcast_verdict::{Check, Judgement, Limits, Verdict};

use crate::model::measure::Observed;
pub use backtest::Backtested;
pub use today::{Drift, drifts};

/// A model as its artifact describes it.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// Its manifest.
    pub manifest: &'a ModelManifest,
    /// The profile of what it learned from, where the artifact has one.
    pub profile: Option<&'a Profile>,
    /// [`clickcast_model::Model::golden_difference`].
    pub golden_difference: Option<f64>,
}

/// All that a judgement rests on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The model to judge.
    pub candidate: Described<'a>,
    /// The one in use; none before the first.
    pub champion: Option<Described<'a>>,
    /// Why the champion can't score the candidate's data, where it can't.
    pub champion_unfit: Option<&'a str>,
    /// Measured of the newest labelled rows.
    pub labelled: &'a Observed,
    /// Measured of today's rows.
    pub today: Option<&'a Observed>,
    /// What the candidate's recipe did on earlier days, where that was asked for.
    pub backtest: Option<&'a [Backtested]>,
    /// The time of the judgement, in milliseconds since 1970 UTC.
    pub now_ms: i64,
}

/// Judges a candidate.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> Judgement {
    let parts = [model::checks, training::checks, labelled::checks, backtest::checks, scores::checks, today::checks];
    Judgement::of(parts.iter().flat_map(|part| part(evidence)).collect())
}

impl Evidence<'_> {
    /// The profile of the champion's training data, where there is one.
    fn champion_profile(&self) -> Option<&Profile> {
        self.champion?.profile
    }
}

/// The largest of some findings by their number.
fn worst<T>(findings: impl IntoIterator<Item = (f64, T)>) -> Option<(f64, T)> {
    findings.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))
}
