//! Runs with one fault each: the audit finds it, and nothing else.

use std::collections::BTreeMap;

use clickcast_verdict::Verdict;

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
        record: OutputRecord {
            key: key.to_owned(),
            input: input.to_owned(),
            input_etag: format!("etag of {input}"),
            row_groups,
            artifact: "m".to_owned(),
            rows,
            bytes: 0,
            sha256: String::new(),
        },
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
        unexpected_outputs: Vec::new(),
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
        ("coverage", Verdict::Fail, |run| run.outputs[2].record.row_groups = Some((1, 2))),
        ("coverage", Verdict::Fail, |run| run.outputs[0].record.input_etag = "older".to_owned()),
        ("coverage", Verdict::Fail, |run| run.outputs.push(output("a.twice", "a", None, 2000))),
        ("coverage", Verdict::Fail, |run| run.outputs.push(output("x", "x", None, 5))),
        ("rows", Verdict::Fail, |run| run.outputs[0].rows_read = 1999),
        ("rows", Verdict::Fail, |run| (run.outputs[1].record.rows, run.outputs[1].rows_read) = (3001, 3001)),
        ("checksums", Verdict::Fail, |run| run.outputs[0].is_unchanged = false),
        ("model", Verdict::Fail, |run| run.outputs[1].record.artifact = "yesterday's".to_owned()),
        ("ids", Verdict::Fail, |run| run.outputs[1].ids_agree = Some(false)),
        ("rescored", Verdict::Fail, |run| run.outputs[1].rescored = Some((100, 1))),
        ("rescored", Verdict::Pass, |run| run.outputs.iter_mut().for_each(|output| output.rescored = None)),
        ("strangers", Verdict::Hold, |run| run.unexpected_outputs.push("late.parquet".to_owned())),
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
