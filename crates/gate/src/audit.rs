//! Judges a closed run: whether it is whole, and whether its scores look like those before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scores::{Scores, psi};
use crate::verdict::{Check, Judgement, Verdict};

/// A population stability index from which on a person should look, and from which on scores have changed.
///
/// # Source
/// Siddiqi, "Credit Risk Scorecards", 2006.
const PSI_HOLD: f64 = 0.1;
const PSI_FAIL: f64 = 0.25;
/// What two samples of one distribution show by chance, times the groups that are compared: at most 50 (1/n + 1/m), doubled.
const PSI_CHANCE: f64 = 100.0;
/// How far a mean score may move from one run to the next: a weekday's clicks differ by a tenth, hardly by a quarter.
const MEAN_RATIO_HOLD: f64 = 1.25;
const MEAN_RATIO_FAIL: f64 = 2.0;
/// Partitions are smaller than runs, and more, so one is conspicuous only beyond this.
const PARTITION_RATIO_HOLD: f64 = 1.5;
/// Rows from which on a partition's mean says something: at a CTR of 1 % and its usual spread, within a tenth.
const PARTITION_ROWS_MIN: u64 = 1000;
/// Named in a reason; the others are counted.
const NAMED_MAX: usize = 3;

/// An input of the run, as it was closed and as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditedInput {
    /// Its key.
    pub key: String,
    /// When the run was closed.
    pub etag: String,
    /// Now; none where it is gone.
    pub etag_now: Option<String>,
    /// The rows of each of its row groups; none where its format has none.
    pub row_groups: Option<Vec<u64>>,
    /// Rows read from it, where its ids were compared with those of the outputs.
    pub rows: Option<u64>,
}

/// An output of the run, as it says it is and as it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditedOutput {
    /// Its key.
    pub key: String,
    /// The input it says it was made of.
    pub input: String,
    /// That input's ETag.
    pub input_etag: String,
    /// Row groups of the input, first and last, where it is of some only.
    pub row_groups: Option<(u64, u64)>,
    /// The model it says it was made by.
    pub artifact: String,
    /// Rows it says it has.
    pub rows: u64,
    /// Rows that were read.
    pub rows_read: u64,
    /// Whether its bytes are those that were there when the run was closed.
    pub is_unchanged: bool,
    /// Whether its carried columns are those of its input, row by row; none where it carries none.
    pub ids_agree: Option<bool>,
    /// Rows that were scored again, and how many of them had another prediction; none where that was not tried.
    pub rescored: Option<(u64, u64)>,
    /// Its scores.
    pub scores: Scores,
}

/// What a run predicted, as far as the next one is compared with it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunScores {
    /// The artifact that predicted.
    pub artifact: String,
    /// Of each input.
    pub by_input: BTreeMap<String, Scores>,
    /// See [`RunStatistics::by_value`].
    pub by_value: BTreeMap<String, Scores>,
}

/// What the gate saw of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedModel {
    /// Whether it passed.
    pub has_passed: bool,
    /// What it predicted.
    pub scores: Scores,
}

/// What was measured of a closed run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStatistics {
    /// The artifact that the run is pinned to.
    pub artifact: String,
    /// Every input.
    pub inputs: Vec<AuditedInput>,
    /// Every output.
    pub outputs: Vec<AuditedOutput>,
    /// Inputs that could not be scored, and why.
    pub errors: Vec<(String, String)>,
    /// Files among the outputs that the run doesn't consist of.
    pub strangers: Vec<String>,
    /// The scores by the values of carried columns that have few, such as `country = de`.
    pub by_value: BTreeMap<String, Scores>,
    /// The scores of the published run before; none for a first one.
    pub previous: Option<RunScores>,
    /// What the gate saw of the model; none where that is not known.
    pub judged: Option<JudgedModel>,
}

impl RunStatistics {
    /// The scores of each input.
    #[must_use]
    pub fn by_input(&self) -> BTreeMap<String, Scores> {
        let mut scores: BTreeMap<String, Scores> = BTreeMap::new();
        for output in &self.outputs {
            scores.entry(output.input.clone()).or_default().merge(&output.scores);
        }
        scores
    }
}

/// All scores of a run together.
#[must_use]
pub fn together(by_input: &BTreeMap<String, Scores>) -> Scores {
    by_input.values().fold(Scores::default(), |mut all, scores| {
        all.merge(scores);
        all
    })
}

/// Judges a run by what was measured of it.
#[must_use]
pub fn audit(run: &RunStatistics) -> Judgement {
    let by_input = run.by_input();
    let all = together(&by_input);
    let mut checks = vec![
        errors(run),
        inputs_unchanged(run),
        coverage(run),
        rows(run),
        unchanged(run),
        model(run),
        ids(run),
        rescored(run),
        strangers(run),
        valid(&all),
    ];
    match &run.previous {
        None => checks.push(Check {
            name: "previous_run".to_owned(),
            verdict: Verdict::Pass,
            observed: None,
            limit: None,
            reason: "No run was published before; its scores are compared with nothing.".to_owned(),
        }),
        Some(previous) => {
            let before = together(&previous.by_input);
            let overall = all.mean().zip(before.mean()).map_or(1.0, |(now, before)| now / before);
            checks.extend([
                against_another(drift("score_drift", "in the run before", &all, &before), run, previous),
                against_another(mean_ratio("mean_ratio", "in the run before", &all, &before), run, previous),
                moved_apart("partitions", "input", &by_place(&by_input), &by_place(&previous.by_input), overall),
                moved_apart("slices", "value of a carried column", &run.by_value, &previous.by_value, overall),
            ]);
        }
    }
    if let Some(judged) = &run.judged {
        let when = "when the gate judged the model";
        checks.push(drift("gate_score_drift", when, &all, &judged.scores));
        checks.push(mean_ratio("gate_mean_ratio", when, &all, &judged.scores));
    }
    Judgement::of(checks)
}

/// A check that nothing may fail: how many did, and which.
fn none_of(name: &str, bad: &[String], good: &str, problem: &str, verdict: Verdict) -> Check {
    let verdict = if bad.is_empty() { Verdict::Pass } else { verdict };
    let named = bad.iter().take(NAMED_MAX).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let more = bad.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let reason = if bad.is_empty() { good.to_owned() } else { format!("{problem}: {named}{more}.") };
    Check { name: name.to_owned(), verdict, observed: Some(bad.len() as f64), limit: Some(0.0), reason }
}

fn errors(run: &RunStatistics) -> Check {
    let bad: Vec<String> = run.errors.iter().map(|(key, _)| key.clone()).collect();
    none_of("errors", &bad, "Every input could be scored.", "Inputs that can't be scored", Verdict::Hold)
}

fn inputs_unchanged(run: &RunStatistics) -> Check {
    let changed = run.inputs.iter().filter(|input| input.etag_now.as_ref() != Some(&input.etag));
    let bad: Vec<String> = changed.map(|input| input.key.clone()).collect();
    let problem = "Inputs that were overwritten or deleted since the run was closed";
    none_of("inputs_unchanged", &bad, "The inputs are those that were scored.", problem, Verdict::Fail)
}

/// Every input has outputs of this version of it, which cover its row groups once.
fn coverage(run: &RunStatistics) -> Check {
    let mut outputs: BTreeMap<&str, Vec<&AuditedOutput>> = BTreeMap::new();
    for output in &run.outputs {
        outputs.entry(&output.input).or_default().push(output);
    }
    let is_rejected = |key: &str| run.errors.iter().any(|(rejected, _)| rejected == key);
    let mut bad: Vec<String> = Vec::new();
    for input in run.inputs.iter().filter(|input| !is_rejected(&input.key)) {
        let own = outputs.remove(input.key.as_str()).unwrap_or_default();
        if !is_covered(input, &own) {
            bad.push(input.key.clone());
        }
    }
    bad.extend(outputs.keys().filter(|key| !is_rejected(key)).map(|key| (*key).to_owned()));
    let problem = "Inputs without outputs, with too many, or that are none";
    none_of("coverage", &bad, "Every input was scored, every part of it once.", problem, Verdict::Fail)
}

fn is_covered(input: &AuditedInput, outputs: &[&AuditedOutput]) -> bool {
    let parts: Vec<_> = outputs.iter().map(|output| output.row_groups).collect();
    let row_groups = || input.row_groups.as_ref().map(|groups| groups.len() as u64);
    outputs.iter().all(|output| output.input_etag == input.etag) && covers(&parts, row_groups)
}

/// Whether outputs cover their input once: one of the whole, or ranges of row groups (first and last) that follow each other to the
/// end. How many row groups it has is asked for only where there are ranges.
pub fn covers(outputs: &[Option<(u64, u64)>], row_groups: impl FnOnce() -> Option<u64>) -> bool {
    if outputs == [None] {
        return true;
    }
    let mut ranges: Vec<(u64, u64)> = outputs.iter().copied().flatten().collect();
    if ranges.len() != outputs.len() || ranges.is_empty() {
        return false;
    }
    ranges.sort_unstable();
    let mut next = 0;
    for (first, last) in ranges {
        if first != next || last < first {
            return false;
        }
        next = last + 1;
    }
    row_groups() == Some(next)
}

/// As many predictions as records, and as many as each file says.
fn rows(run: &RunStatistics) -> Check {
    let expected: BTreeMap<&str, &AuditedInput> = run.inputs.iter().map(|input| (input.key.as_str(), input)).collect();
    let is_wrong = |output: &&AuditedOutput| {
        let input = expected.get(output.input.as_str());
        let groups = input.and_then(|input| input.row_groups.as_ref());
        let in_range = match (groups, output.row_groups) {
            (Some(groups), Some((first, last))) => {
                let range = groups.get(first as usize..=last as usize);
                range.map(|groups| groups.iter().sum::<u64>())
            }
            (Some(groups), None) => Some(groups.iter().sum()),
            (None, _) => input.and_then(|input| input.rows),
        };
        output.rows != output.rows_read || in_range.is_some_and(|rows| rows != output.rows_read)
    };
    let bad: Vec<String> = run.outputs.iter().filter(is_wrong).map(|output| output.key.clone()).collect();
    let problem = "Outputs with more or fewer predictions than their input has records";
    none_of("rows", &bad, "There is one prediction for each record.", problem, Verdict::Fail)
}

fn unchanged(run: &RunStatistics) -> Check {
    let changed = run.outputs.iter().filter(|output| !output.is_unchanged);
    let bad: Vec<String> = changed.map(|output| output.key.clone()).collect();
    let problem = "Outputs that are other bytes than when the run was closed";
    none_of("checksums", &bad, "The outputs are those that the run was closed with.", problem, Verdict::Fail)
}

fn model(run: &RunStatistics) -> Check {
    let other = run.outputs.iter().filter(|output| output.artifact != run.artifact);
    let bad: Vec<String> = other.map(|output| output.key.clone()).collect();
    let problem = "Outputs of another model than the run's";
    none_of("model", &bad, "One model scored all of it.", problem, Verdict::Fail)
}

fn ids(run: &RunStatistics) -> Check {
    let other = run.outputs.iter().filter(|output| output.ids_agree == Some(false));
    let bad: Vec<String> = other.map(|output| output.key.clone()).collect();
    let problem = "Outputs whose ids are not those of the input, in its order";
    let good = match run.outputs.iter().any(|output| output.ids_agree.is_some()) {
        true => "Every prediction has the ids of its record, in order.",
        false => "The outputs carry no ids; their order can't be checked.",
    };
    none_of("ids", &bad, good, problem, Verdict::Fail)
}

fn rescored(run: &RunStatistics) -> Check {
    let tried = run.outputs.iter().filter_map(|output| Some((output, output.rescored?)));
    let (rows, differing) = tried.clone().fold((0, 0), |all, (_, one)| (all.0 + one.0, all.1 + one.1));
    let bad: Vec<String> =
        tried.filter(|(_, (_, differing))| *differing > 0).map(|(output, _)| output.key.clone()).collect();
    let good = match rows {
        0 => "No row was scored again; with the registry of the run's model some would be.".to_owned(),
        rows => format!("{rows} rows were scored again, and have the same predictions."),
    };
    let problem = format!("{differing} of {rows} rows that were scored again have other predictions, in");
    none_of("rescored", &bad, &good, &problem, Verdict::Fail)
}

fn strangers(run: &RunStatistics) -> Check {
    let problem = "Files among the outputs that came after the run was closed";
    none_of("strangers", &run.strangers, "Nothing lies among the outputs that is none.", problem, Verdict::Hold)
}

fn valid(all: &Scores) -> Check {
    let (rows, invalid) = (all.rows(), all.invalid());
    let (verdict, reason) = if invalid > 0 {
        (Verdict::Fail, format!("{invalid} predictions are no probability."))
    } else if rows == 0 {
        (Verdict::Fail, "There are no predictions.".to_owned())
    } else if all.is_constant() {
        (Verdict::Fail, format!("All {rows} predictions are the same."))
    } else {
        (Verdict::Pass, format!("All {rows} predictions are probabilities, and differ."))
    };
    Check { name: "valid_scores".to_owned(), verdict, observed: Some(invalid as f64), limit: Some(0.0), reason }
}

/// How far scores are distributed otherwise than they were: in the run before, or when the gate judged the model.
fn drift(name: &str, when: &str, now: &Scores, before: &Scores) -> Check {
    let observed = psi(now, before);
    let chance = PSI_CHANCE * (1.0 / now.rows().max(1) as f64 + 1.0 / before.rows().max(1) as f64);
    let (hold, fail) = (PSI_HOLD + chance, PSI_FAIL + chance);
    let (verdict, reason) = match observed {
        None => (Verdict::Hold, format!("There are no scores to compare, now or {when}.")),
        Some(psi) if psi > fail => {
            (Verdict::Fail, format!("The scores are distributed otherwise than {when} (PSI {psi:.3})."))
        }
        Some(psi) if psi > hold => {
            (Verdict::Hold, format!("The scores have moved from what they were {when} (PSI {psi:.3})."))
        }
        Some(psi) => (Verdict::Pass, format!("The scores are distributed as {when} (PSI {psi:.3}).")),
    };
    Check { name: name.to_owned(), verdict, observed, limit: Some(hold), reason }
}

fn mean_ratio(name: &str, when: &str, now: &Scores, before: &Scores) -> Check {
    let observed = now.mean().zip(before.mean()).map(|(now, before)| now / before);
    let (verdict, reason) = match observed {
        None => (Verdict::Hold, format!("There are no scores to compare, now or {when}.")),
        Some(ratio) => {
            let apart = apart(ratio);
            let verdict = match apart {
                apart if apart > MEAN_RATIO_FAIL || apart.is_nan() => Verdict::Fail,
                apart if apart > MEAN_RATIO_HOLD => Verdict::Hold,
                _ => Verdict::Pass,
            };
            (verdict, format!("The mean prediction is {ratio:.3} times what it was {when}."))
        }
    };
    Check { name: name.to_owned(), verdict, observed, limit: Some(MEAN_RATIO_HOLD), reason }
}

/// How many times one is the other, whichever is larger.
fn apart(ratio: f64) -> f64 {
    ratio.max(1.0 / ratio)
}

/// A model learned anew predicts otherwise than the one before, and whether it may is for the gate to say: where it has not, a
/// person looks at what would have failed the same model.
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
        reason: format!("{} It was by another model than this one, which the gate judges.", check.reason),
        ..check
    }
}

/// Inputs by what their names are on any day: Spark gives the same partition another UUID each time.
fn by_place(by_input: &BTreeMap<String, Scores>) -> BTreeMap<String, Scores> {
    let mut places: BTreeMap<String, Scores> = BTreeMap::new();
    for (key, scores) in by_input {
        places.entry(without_uuids(key)).or_default().merge(scores);
    }
    places
}

/// Leaves `*` in the place of each UUID (RFC 9562: 8, 4, 4, 4 and 12 hexadecimal digits).
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

/// Parts of the same name as in the run before, against the movement of the whole run.
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
        Some((ratio, key)) if ratio > PARTITION_RATIO_HOLD => {
            (Verdict::Hold, format!("The predictions of `{key}` moved {ratio:.2} times as far as the others."))
        }
        Some(_) => (Verdict::Pass, format!("The predictions of no {what} moved otherwise than the others'.")),
        None => (Verdict::Pass, format!("No {what} is here and was in the run before, with enough rows.")),
    };
    let observed = worst.map(|(ratio, _)| ratio);
    Check { name: name.to_owned(), verdict, observed, limit: Some(PARTITION_RATIO_HOLD), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(mean: f64, rows: u32) -> Scores {
        let mut scores = Scores::default();
        (0..rows).for_each(|row| scores.add(mean * (0.5 + f64::from(row % 101) / 100.0)));
        scores
    }

    fn input(key: &str, row_groups: &[u64]) -> AuditedInput {
        let etag = format!("etag of {key}");
        let row_groups = Some(row_groups.to_vec());
        AuditedInput { key: key.to_owned(), etag: etag.clone(), etag_now: Some(etag), row_groups, rows: None }
    }

    fn output(key: &str, input: &str, row_groups: Option<(u64, u64)>, rows: u64) -> AuditedOutput {
        AuditedOutput {
            key: key.to_owned(),
            input: input.to_owned(),
            input_etag: format!("etag of {input}"),
            row_groups,
            artifact: "m".to_owned(),
            rows,
            rows_read: rows,
            is_unchanged: true,
            ids_agree: Some(true),
            rescored: Some((100, 0)),
            scores: scores(0.02, rows as u32),
        }
    }

    fn by_name(rows: &[(&str, u32)], mean: f64) -> BTreeMap<String, Scores> {
        rows.iter().map(|&(name, rows)| (name.to_owned(), scores(mean, rows))).collect()
    }

    /// The whole run's predictions, when the run before was by another model.
    fn after_another_model(run: &mut RunStatistics, mean: f64) {
        run.outputs.iter_mut().for_each(|output| output.scores = scores(mean, 2000));
        run.previous.iter_mut().for_each(|previous| previous.artifact = "yesterday's".to_owned());
        run.judged = None;
    }

    /// The same of a model that the gate has judged, to predict as it does.
    fn after_a_judged_model(run: &mut RunStatistics, has_passed: bool) {
        after_another_model(run, 0.06);
        run.judged = Some(JudgedModel { has_passed, scores: scores(0.06, 5000) });
    }

    fn judged_at(run: &mut RunStatistics, scores: Scores) {
        run.judged = Some(JudgedModel { has_passed: true, scores });
    }

    fn run() -> RunStatistics {
        RunStatistics {
            artifact: "m".to_owned(),
            inputs: vec![input("a", &[2000]), input("b", &[1000, 2000, 3000])],
            outputs: vec![
                output("a", "a", None, 2000),
                output("b.g0-1", "b", Some((0, 1)), 3000),
                output("b.g2-2", "b", Some((2, 2)), 3000),
            ],
            errors: Vec::new(),
            strangers: Vec::new(),
            by_value: by_name(&[("country = de", 5000), ("country = fr", 3000), ("country = it", 10)], 0.02),
            judged: Some(JudgedModel { has_passed: true, scores: scores(0.0205, 5000) }),
            previous: Some(RunScores {
                artifact: "m".to_owned(),
                by_input: by_name(&[("a", 2000), ("b", 6000)], 0.021),
                by_value: by_name(&[("country = de", 5000), ("country = fr", 3000), ("country = it", 10)], 0.021),
            }),
        }
    }

    type Sabotage = fn(&mut RunStatistics);

    #[test]
    fn whatever_is_wrong_with_a_run_is_found_and_nothing_else() {
        let whole = audit(&run());
        assert_eq!(whole.verdict, Verdict::Pass, "{whole:?}");
        let table: &[(&str, Verdict, Sabotage)] = &[
            ("errors", Verdict::Hold, |run| run.errors.push(("c".to_owned(), "no column `age`".to_owned()))),
            ("inputs_unchanged", Verdict::Fail, |run| run.inputs[0].etag_now = Some("new".to_owned())),
            ("inputs_unchanged", Verdict::Fail, |run| run.inputs[0].etag_now = None),
            ("coverage", Verdict::Fail, |run| drop(run.outputs.remove(0))),
            ("coverage", Verdict::Fail, |run| drop(run.outputs.remove(2))),
            ("coverage", Verdict::Fail, |run| run.outputs[2].row_groups = Some((1, 2))),
            ("coverage", Verdict::Fail, |run| run.outputs[0].input_etag = "older".to_owned()),
            ("coverage", Verdict::Fail, |run| run.outputs.push(output("a.twice", "a", None, 2000))),
            ("coverage", Verdict::Fail, |run| run.outputs.push(output("x", "x", None, 5))),
            ("rows", Verdict::Fail, |run| run.outputs[0].rows_read = 1999),
            ("rows", Verdict::Fail, |run| (run.outputs[1].rows, run.outputs[1].rows_read) = (3001, 3001)),
            ("checksums", Verdict::Fail, |run| run.outputs[0].is_unchanged = false),
            ("model", Verdict::Fail, |run| run.outputs[1].artifact = "yesterday's".to_owned()),
            ("ids", Verdict::Fail, |run| run.outputs[1].ids_agree = Some(false)),
            ("rescored", Verdict::Fail, |run| run.outputs[1].rescored = Some((100, 1))),
            ("rescored", Verdict::Pass, |run| run.outputs.iter_mut().for_each(|output| output.rescored = None)),
            ("strangers", Verdict::Hold, |run| run.strangers.push("late.parquet".to_owned())),
            ("valid_scores", Verdict::Fail, |run| run.outputs[0].scores.add(f64::NAN)),
            ("score_drift", Verdict::Fail, |run| run.outputs.iter_mut().for_each(|o| o.scores = scores(0.06, 2000))),
            ("mean_ratio", Verdict::Fail, |run| run.outputs.iter_mut().for_each(|o| o.scores = scores(0.06, 2000))),
            ("mean_ratio", Verdict::Pass, |run| after_another_model(run, 0.028)),
            ("mean_ratio", Verdict::Hold, |run| after_another_model(run, 0.06)),
            ("score_drift", Verdict::Hold, |run| after_another_model(run, 0.06)),
            ("partitions", Verdict::Hold, |run| run.outputs[0].scores = scores(0.06, 2000)),
            ("slices", Verdict::Hold, |run| drop(run.by_value.insert("country = fr".to_owned(), scores(0.05, 3000)))),
            ("slices", Verdict::Pass, |run| drop(run.by_value.insert("country = it".to_owned(), scores(0.05, 10)))),
            ("score_drift", Verdict::Pass, |run| after_a_judged_model(run, true)),
            ("score_drift", Verdict::Hold, |run| after_a_judged_model(run, false)),
            ("gate_score_drift", Verdict::Fail, |run| judged_at(run, scores(0.005, 5000))),
            ("gate_mean_ratio", Verdict::Hold, |run| judged_at(run, scores(0.015, 5000))),
            ("gate_mean_ratio", Verdict::Hold, |run| judged_at(run, Scores::default())),
        ];
        for (name, verdict, sabotage) in table {
            let mut run = run();
            sabotage(&mut run);
            let judgement = audit(&run);
            let found = judgement.checks.iter().find(|check| check.name == *name).map(|check| check.verdict);
            assert_eq!(found, Some(*verdict), "{name}: {judgement:?}");
            assert!(judgement.verdict >= *verdict);
        }
    }

    #[test]
    fn a_first_run_says_that_it_is_compared_with_nothing() {
        let judgement = audit(&RunStatistics { previous: None, ..run() });
        assert_eq!(judgement.verdict, Verdict::Pass);
        assert!(judgement.checks.iter().any(|check| check.name == "previous_run" && check.reason.contains("nothing")));
    }

    #[test]
    fn a_rejected_input_needs_no_output_but_is_not_forgotten() {
        let mut rejected = run();
        drop(rejected.outputs.remove(0));
        rejected.errors.push(("a".to_owned(), "no column `age`".to_owned()));
        let judgement = audit(&rejected);
        assert_eq!(judgement.verdict, Verdict::Hold, "{judgement:?}");
    }

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
