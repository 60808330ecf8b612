//! Checks that the scores look like those of the run before, and like those the gate saw of the model.

use std::collections::BTreeMap;

use clickcast_model::scores::Scores;
use clickcast_verdict::{Check, Verdict};

use super::{RunScores, RunStatistics, together};
use crate::scores::psi;

/// The population stability index above which a person should look, and above which the scores have changed.
///
/// # Source
/// Siddiqi, "Credit Risk Scorecards", 2006.
const PSI_HOLD: f64 = 0.1;
const PSI_FAIL: f64 = 0.25;
/// The index of two samples of one distribution is by chance at most 50 (1/n + 1/m), for 50 groups; twice that is allowed.
const PSI_CHANCE: f64 = 100.0;
/// How far the mean score may move from one run to the next: click rates of two weekdays differ by a tenth, hardly by a quarter.
const MEAN_RATIO_HOLD: f64 = 1.25;
const MEAN_RATIO_FAIL: f64 = 2.0;
/// Partitions are smaller than runs, and there are many, so one is conspicuous only above this.
const PARTITION_RATIO_HOLD: f64 = 1.5;
/// The rows that a partition needs for its mean to be known within a tenth, at a CTR of 1 % and its usual spread.
const PARTITION_ROWS_MIN: u64 = 1000;

pub(super) fn checks(run: &RunStatistics) -> Vec<Check> {
    let by_input = run.by_input();
    let all = together(&by_input);
    let mut checks = Vec::new();
    match &run.previous {
        None => {
            let reason = "No run is published yet, so the scores are compared with nothing.";
            checks.push(Check::skipped("previous_run", reason));
        }
        Some(previous) => {
            let before = together(&previous.by_input);
            let overall = all.mean().zip(before.mean()).map_or(1.0, |(now, before)| now / before);
            let (inputs, inputs_before) = (by_place(&by_input), by_place(&previous.by_input));
            checks.extend([
                against_another(drift("score_drift", "in the run before", &all, &before), run, previous),
                against_another(mean_ratio("mean_ratio", "in the run before", &all, &before), run, previous),
                moved_apart("partitions", "input", &inputs, &inputs_before, overall),
                moved_apart("slices", "value of a carried column", &run.by_value, &previous.by_value, overall),
            ]);
        }
    }
    if let Some(judged) = &run.judged {
        let when = "when the gate judged the model";
        checks.push(drift("gate_score_drift", when, &all, &judged.scores));
        checks.push(mean_ratio("gate_mean_ratio", when, &all, &judged.scores));
    }
    checks
}

/// Checks how far the distribution of scores has moved since the run before, or since the gate judged the model.
fn drift(name: &str, when: &str, now: &Scores, before: &Scores) -> Check {
    let observed = psi(now, before);
    let chance = PSI_CHANCE * (1.0 / now.rows().max(1) as f64 + 1.0 / before.rows().max(1) as f64);
    let (hold, fail) = (PSI_HOLD + chance, PSI_FAIL + chance);
    let (verdict, reason) = match observed {
        None => (Verdict::Hold, format!("There are no scores to compare, either now or {when}.")),
        Some(psi) if psi > fail => {
            (Verdict::Fail, format!("The distribution of scores differs from that {when} (PSI {psi:.3})."))
        }
        Some(psi) if psi > hold => {
            (Verdict::Hold, format!("The distribution of scores has moved from that {when} (PSI {psi:.3})."))
        }
        Some(psi) => (Verdict::Pass, format!("The distribution of scores is like that {when} (PSI {psi:.3}).")),
    };
    Check { name: name.to_owned(), verdict, observed, limit: Some(hold), reason }
}

fn mean_ratio(name: &str, when: &str, now: &Scores, before: &Scores) -> Check {
    let observed = now.mean().zip(before.mean()).map(|(now, before)| now / before);
    let (verdict, reason) = match observed {
        None => (Verdict::Hold, format!("There are no scores to compare, either now or {when}.")),
        Some(ratio) => {
            let apart = apart(ratio);
            let verdict = match apart {
                apart if apart > MEAN_RATIO_FAIL || apart.is_nan() => Verdict::Fail,
                apart if apart > MEAN_RATIO_HOLD => Verdict::Hold,
                _ => Verdict::Pass,
            };
            (verdict, format!("The mean prediction is {ratio:.3} times the mean {when}."))
        }
    };
    Check { name: name.to_owned(), verdict, observed, limit: Some(MEAN_RATIO_HOLD), reason }
}

/// Returns the larger of a ratio and its inverse.
fn apart(ratio: f64) -> f64 {
    ratio.max(1.0 / ratio)
}

/// Softens a check if another model made the run before. A retrained model may predict differently, and the gate decides
/// whether it may: if it passed the gate, the check passes; if it was not judged, what would fail is held.
fn against_another(check: Check, run: &RunStatistics, previous: &RunScores) -> Check {
    let verdict = match check.verdict {
        verdict if run.artifact == previous.artifact || check.observed.is_none() => verdict,
        _ if run.judged.as_ref().is_some_and(|judged| judged.has_passed) => Verdict::Pass,
        Verdict::Fail => Verdict::Hold,
        Verdict::Hold | Verdict::Pass => Verdict::Pass,
    };
    if verdict == check.verdict {
        return check;
    }
    Check {
        verdict,
        reason: format!("{} Another model made that run; the gate compares models.", check.reason),
        ..check
    }
}

/// Groups inputs by the part of their names that stays the same: Spark gives a partition a new UUID each day.
fn by_place(by_input: &BTreeMap<String, Scores>) -> BTreeMap<String, Scores> {
    let mut places: BTreeMap<String, Scores> = BTreeMap::new();
    for (key, scores) in by_input {
        places.entry(without_uuids(key)).or_default().merge(scores);
    }
    places
}

/// Replaces each UUID by `*` (RFC 9562: 8, 4, 4, 4 and 12 hexadecimal digits).
fn without_uuids(name: &str) -> String {
    const LENGTH: usize = 36;
    let is_uuid = |bytes: &[u8]| {
        bytes.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    let (mut left, mut rest) = (String::new(), name);
    while let Some(first) = rest.chars().next() {
        match rest.as_bytes().get(..LENGTH) {
            Some(bytes) if is_uuid(bytes) => {
                left.push('*');
                rest = &rest[LENGTH..];
            }
            _ => {
                left.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    left
}

/// Checks whether the mean of one part moved against the mean of the whole run.
fn moved_apart(
    name: &str,
    what: &str,
    now: &BTreeMap<String, Scores>,
    before: &BTreeMap<String, Scores>,
    overall: f64,
) -> Check {
    let mut worst: Option<(f64, &str)> = None;
    for (key, scores) in now {
        let Some(older) = before.get(key) else { continue };
        if scores.rows().min(older.rows()) < PARTITION_ROWS_MIN {
            continue;
        }
        let Some((mean, older)) = scores.mean().zip(older.mean()) else { continue };
        let ratio = apart(mean / older / overall);
        if worst.is_none_or(|(worst, _)| ratio > worst) {
            worst = Some((ratio, key));
        }
    }
    let (verdict, reason) = match worst {
        Some((ratio, key)) if ratio > PARTITION_RATIO_HOLD => (
            Verdict::Hold,
            format!("The mean prediction of `{key}` moved by a factor of {ratio:.2} against the whole run."),
        ),
        Some(_) => (Verdict::Pass, format!("The mean prediction of every {what} moved with that of the whole run.")),
        None => (Verdict::Pass, format!("No {what} has enough rows both in this run and in the run before.")),
    };
    let observed = worst.map(|(ratio, _)| ratio);
    Check { name: name.to_owned(), verdict, observed, limit: Some(PARTITION_RATIO_HOLD), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_the_same_one_whatever_uuid_its_name_has() {
        let first = "part-00007-1b671a64-40d5-491e-99b0-da01ff1f3341-c000.snappy.parquet";
        let second = "part-00007-9A4c6c54-0f0d-4d9e-8a8e-0242ac120002-c000.snappy.parquet";
        assert_eq!(without_uuids(first), "part-00007-*-c000.snappy.parquet");
        assert_eq!(without_uuids(second), without_uuids(first));
        for name in
            ["", "day-07.csv", "\u{e9}-1b671a64-40d5-491e-99b0-da01ff1f334", "1b671a64-40d5-491e-99b0_da01ff1f3341"]
        {
            assert_eq!(without_uuids(name), name);
        }
    }
}
