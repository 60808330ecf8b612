//! What a gate says, and why.

use serde::{Deserialize, Serialize};

/// Whether something may go on. The worse one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing speaks against it.
    Pass,
    /// A person should look, or more data is needed.
    Hold,
    /// It would do harm.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at, in `snake_case`; stable, for scripts.
    pub name: String,
    /// What follows from it alone.
    pub verdict: Verdict,
    /// What was measured; none where nothing could be.
    pub observed: Option<f64>,
    /// Where the next worse verdict begins; none for what is right or wrong.
    pub limit: Option<f64>,
    /// One sentence for a person.
    pub reason: String,
}

/// All checks, and the verdict of the worst.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The worst of the checks' verdicts.
    pub verdict: Verdict,
    /// What was looked at, in the order it was.
    pub checks: Vec<Check>,
}

impl Judgement {
    /// The judgement that follows from these checks; without any, nothing was seen that could pass.
    #[must_use]
    pub fn of(checks: Vec<Check>) -> Self {
        let verdict = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Hold);
        Self { verdict, checks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides() {
        let check = |verdict| Check {
            name: "loads".to_owned(),
            verdict,
            observed: None,
            limit: None,
            reason: "It loads.".to_owned(),
        };
        for (verdicts, expected) in [
            (&[Verdict::Pass, Verdict::Pass][..], Verdict::Pass),
            (&[Verdict::Pass, Verdict::Hold], Verdict::Hold),
            (&[Verdict::Fail, Verdict::Hold, Verdict::Pass], Verdict::Fail),
            (&[], Verdict::Hold),
        ] {
            assert_eq!(Judgement::of(verdicts.iter().copied().map(check).collect()).verdict, expected);
        }
    }
}
