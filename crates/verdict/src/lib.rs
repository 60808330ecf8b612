//! The words that gates and registries share: a verdict, the checks behind it, the judgement they add up to, and the record of a
//! run's output.
//!
//! ```
//! use clickcast_verdict::{Check, Judgement, Limits, Verdict};
//!
//! let limits = Limits { hold: 0.1, fail: 0.25 };
//! let drift = Check::above("score_drift", 0.14, limits, "The scores have moved (PSI 0.140).");
//! let loads = Check::plain("loads", Verdict::Pass, "The model loads.");
//! let judgement = Judgement::of(vec![loads, drift]);
//! assert_eq!(judgement.verdict, Verdict::Hold);
//! assert_eq!(judgement.why(), Some("The scores have moved (PSI 0.140)."));
//! ```

mod output;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use output::{OutputRecord, covers};

/// Whether something may be delivered. A worse verdict is greater than a better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every check passed.
    Pass,
    /// A person should look, or more data is needed.
    Hold,
    /// Delivery would do harm.
    Fail,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked, in `snake_case`. Scripts rely on it: it never changes.
    pub name: String,
    /// The verdict of this check alone.
    pub verdict: Verdict,
    /// The measured number; `None` if nothing could be measured.
    pub observed: Option<f64>,
    /// The limit that matters for `observed`; `None` if the check has no limit.
    pub limit: Option<f64>,
    /// One sentence for a person.
    pub reason: String,
}

/// All checks, and the worst of their verdicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The worst verdict of all checks.
    pub verdict: Verdict,
    /// The checks, in the order in which they were made.
    pub checks: Vec<Check>,
}

/// Two limits of one number: where `hold` begins, and where `fail` begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The first number that is held.
    pub hold: f64,
    /// The first number that fails.
    pub fail: f64,
}

impl Verdict {
    /// The verdict as one lower-case word: `pass`, `hold` or `fail`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Hold => "hold",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Check {
    /// Creates a check without a number.
    #[must_use]
    pub fn plain(name: &str, verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict, observed: None, limit: None, reason: reason.into() }
    }

    /// Creates a check that passes because it could not be made; the reason says why.
    #[must_use]
    pub fn skipped(name: &str, reason: impl Into<String>) -> Self {
        Self::plain(name, Verdict::Pass, reason)
    }

    /// Creates a check that gets worse as the number grows. NaN is held.
    #[must_use]
    pub fn above(name: &str, observed: f64, limits: Limits, reason: impl Into<String>) -> Self {
        let (verdict, limit) = if observed.is_nan() {
            (Verdict::Hold, limits.hold)
        } else if observed >= limits.fail {
            (Verdict::Fail, limits.fail)
        } else if observed >= limits.hold {
            (Verdict::Hold, limits.fail)
        } else {
            (Verdict::Pass, limits.hold)
        };
        Self { observed: Some(observed), limit: Some(limit), ..Self::plain(name, verdict, reason) }
    }

    /// Creates a check that gets worse as the number falls. NaN is held.
    #[must_use]
    pub fn below(name: &str, observed: f64, limits: Limits, reason: impl Into<String>) -> Self {
        let negated = Limits { hold: -limits.hold, fail: -limits.fail };
        let check = Self::above(name, -observed, negated, reason);
        Self { observed: Some(observed), limit: check.limit.map(|limit| -limit), ..check }
    }

    /// Adds the measured number, and the limit it is compared with, to a check.
    #[must_use]
    pub fn with_number(self, observed: f64, limit: f64) -> Self {
        Self { observed: Some(observed), limit: Some(limit), ..self }
    }
}

impl Judgement {
    /// Returns the judgement that follows from these checks. Without any check it is `hold`.
    #[must_use]
    pub fn of(checks: Vec<Check>) -> Self {
        let verdict = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Hold);
        Self { verdict, checks }
    }

    /// Returns the reason of the first check with the worst verdict, or `None` if every check passed.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        let worst = self.checks.iter().find(|check| check.verdict == self.verdict)?;
        (self.verdict != Verdict::Pass).then_some(worst.reason.as_str())
    }

    /// Returns all checks, the worst verdicts first; equal ones stay in order.
    #[must_use]
    pub fn worst_first(&self) -> Vec<&Check> {
        let mut checks: Vec<&Check> = self.checks.iter().collect();
        checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
        checks
    }

    /// Returns the checks that did not pass, in the order in which they were made.
    pub fn objections(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.verdict != Verdict::Pass)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_worst_check_decides() {
        let check = |verdict| Check::plain("loads", verdict, "It loads.");
        for (verdicts, expected) in [
            (&[Verdict::Pass, Verdict::Pass][..], Verdict::Pass),
            (&[Verdict::Pass, Verdict::Hold], Verdict::Hold),
            (&[Verdict::Fail, Verdict::Hold, Verdict::Pass], Verdict::Fail),
            (&[], Verdict::Hold),
        ] {
            let judgement = Judgement::of(verdicts.iter().copied().map(check).collect());
            assert_eq!(judgement.verdict, expected);
            assert_eq!(judgement.why().is_none(), verdicts.is_empty() || expected == Verdict::Pass);
        }
    }

    #[test]
    fn a_number_is_graded_against_the_limit_that_comes_next() {
        let limits = Limits { hold: 0.1, fail: 0.3 };
        for (observed, verdict, limit) in [
            (0.0, Verdict::Pass, 0.1),
            (0.1, Verdict::Hold, 0.3),
            (0.3, Verdict::Fail, 0.3),
            (f64::INFINITY, Verdict::Fail, 0.3),
            (f64::NAN, Verdict::Hold, 0.1),
        ] {
            let above = Check::above("drift", observed, limits, "");
            assert_eq!((above.verdict, above.limit), (verdict, Some(limit)), "{observed}");
        }
        let falling = Limits { hold: 0.5, fail: 0.1 };
        for (observed, verdict, limit) in
            [(0.6, Verdict::Pass, 0.5), (0.5, Verdict::Hold, 0.1), (0.1, Verdict::Fail, 0.1)]
        {
            let below = Check::below("rows", observed, falling, "");
            assert_eq!((below.verdict, below.limit, below.observed), (verdict, Some(limit), Some(observed)));
        }
    }

    #[test]
    fn a_verdict_is_the_same_word_in_json_and_in_sentences() {
        for verdict in [Verdict::Pass, Verdict::Hold, Verdict::Fail] {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.to_string());
        }
        assert!(serde_json::from_str::<Verdict>("\"maybe\"").is_err());
    }
}
