//! Checks that a run is complete: every input scored once, by the run's model, with nothing changed or added since.

use std::collections::BTreeMap;

use clickcast_model::scores::Scores;
use clickcast_report::number::{counted, grouped};
use clickcast_verdict::{Check, Verdict, covers};

use super::{AuditedInput, AuditedOutput, RunStatistics, together};

/// Keys that a reason names; further ones are only counted.
const NAMED_MAX: usize = 3;

pub(super) fn checks(run: &RunStatistics) -> Vec<Check> {
    vec![
        errors(run),
        inputs_unchanged(run),
        coverage(run),
        rows(run),
        unchanged(run),
        model(run),
        ids(run),
        rescored(run),
        unexpected(run),
        valid(&together(&run.by_input())),
    ]
}

/// Words of a check that passes only if no key breaks its rule.
struct Rule<'a> {
    name: &'static str,
    /// The reason if every key keeps the rule.
    kept: &'a str,
    /// The beginning of the reason if some break it; their keys follow.
    broken: &'a str,
    /// The verdict if some break it.
    verdict: Verdict,
}

impl Rule<'_> {
    fn check(&self, bad: &[String]) -> Check {
        let (verdict, reason) = if bad.is_empty() {
            (Verdict::Pass, self.kept.to_owned())
        } else {
            (self.verdict, format!("{}: {}.", self.broken, named(bad)))
        };
        Check::plain(self.name, verdict, reason).with_number(bad.len() as f64, 0.0)
    }
}

/// The first keys, and how many more there are.
fn named(keys: &[String]) -> String {
    let first: Vec<String> = keys.iter().take(NAMED_MAX).map(|key| format!("`{key}`")).collect();
    match keys.len().saturating_sub(NAMED_MAX) {
        0 => first.join(", "),
        more => format!("{} and {} more", first.join(", "), grouped(more as u64)),
    }
}

fn outputs_that(run: &RunStatistics, is_bad: impl Fn(&AuditedOutput) -> bool) -> Vec<String> {
    run.outputs.iter().filter(|output| is_bad(output)).map(|output| output.record.key.clone()).collect()
}

fn errors(run: &RunStatistics) -> Check {
    let bad: Vec<String> = run.errors.iter().map(|(key, _)| key.clone()).collect();
    let rule = Rule {
        name: "errors",
        kept: "No input was rejected.",
        broken: "These inputs were rejected, because they can't be scored",
        verdict: Verdict::Hold,
    };
    rule.check(&bad)
}

fn inputs_unchanged(run: &RunStatistics) -> Check {
    let changed = run.inputs.iter().filter(|input| input.etag_now.as_ref() != Some(&input.etag));
    let bad: Vec<String> = changed.map(|input| input.key.clone()).collect();
    let rule = Rule {
        name: "inputs_unchanged",
        kept: "No input has changed since it was scored.",
        broken: "These inputs were overwritten or deleted after the run was closed",
        verdict: Verdict::Fail,
    };
    rule.check(&bad)
}

/// Every input has outputs of this version of it, which cover its row groups once.
fn coverage(run: &RunStatistics) -> Check {
    let mut outputs: BTreeMap<&str, Vec<&AuditedOutput>> = BTreeMap::new();
    for output in &run.outputs {
        outputs.entry(&output.record.input).or_default().push(output);
    }
    let is_rejected = |key: &str| run.errors.iter().any(|(rejected, _)| rejected == key);
    let mut bad: Vec<String> = Vec::new();
    for input in run.inputs.iter().filter(|input| !is_rejected(&input.key)) {
        let own = outputs.remove(input.key.as_str()).unwrap_or_default();
        if !is_covered(input, &own) {
            bad.push(input.key.clone());
        }
    }
    // What is left is made from files that are not inputs of the run.
    bad.extend(outputs.keys().filter(|key| !is_rejected(key)).map(|key| (*key).to_owned()));
    let rule = Rule {
        name: "coverage",
        kept: "Every row group of every input was scored exactly once.",
        broken: "These inputs were not scored exactly once, or the run does not list them",
        verdict: Verdict::Fail,
    };
    rule.check(&bad)
}

fn is_covered(input: &AuditedInput, outputs: &[&AuditedOutput]) -> bool {
    let parts: Vec<_> = outputs.iter().map(|output| output.record.row_groups).collect();
    let row_groups = || input.row_groups.as_ref().map(|groups| groups.len() as u64);
    outputs.iter().all(|output| output.record.input_etag == input.etag) && covers(&parts, row_groups)
}

/// There are as many predictions as records, and as many as each output's record says.
fn rows(run: &RunStatistics) -> Check {
    let inputs: BTreeMap<&str, &AuditedInput> = run.inputs.iter().map(|input| (input.key.as_str(), input)).collect();
    let bad = outputs_that(run, |output| {
        let expected = inputs.get(output.record.input.as_str()).and_then(|input| rows_expected(input, output));
        output.record.rows != output.rows_read || expected.is_some_and(|rows| rows != output.rows_read)
    });
    let rule = Rule {
        name: "rows",
        kept: "Every record has one prediction.",
        broken: "These outputs have more or fewer predictions than their input has records",
        verdict: Verdict::Fail,
    };
    rule.check(&bad)
}

/// The rows of the part of an input that an output covers; `None` if they are unknown.
fn rows_expected(input: &AuditedInput, output: &AuditedOutput) -> Option<u64> {
    match (&input.row_groups, output.record.row_groups) {
        (Some(groups), Some((first, last))) => {
            let range = groups.get(first as usize..=last as usize)?;
            Some(range.iter().sum())
        }
        (Some(groups), None) => Some(groups.iter().sum()),
        (None, _) => input.rows,
    }
}

fn unchanged(run: &RunStatistics) -> Check {
    let bad = outputs_that(run, |output| !output.is_unchanged);
    let rule = Rule {
        name: "checksums",
        kept: "No output has changed since the run was closed.",
        broken: "The bytes of these outputs have changed since the run was closed",
        verdict: Verdict::Fail,
    };
    rule.check(&bad)
}

fn model(run: &RunStatistics) -> Check {
    let bad = outputs_that(run, |output| output.record.artifact != run.artifact);
    let rule = Rule {
        name: "model",
        kept: "The run's model made every output.",
        broken: "Another model than the run's made these outputs",
        verdict: Verdict::Fail,
    };
    rule.check(&bad)
}

fn ids(run: &RunStatistics) -> Check {
    let bad = outputs_that(run, |output| output.ids_agree == Some(false));
    let kept = if run.outputs.iter().any(|output| output.ids_agree.is_some()) {
        "Every prediction has the ids of its record, in the input's order."
    } else {
        "The outputs carry no ids, so their order can't be checked."
    };
    let broken = "The ids in these outputs differ from those of the input, or are in another order";
    Rule { name: "ids", kept, broken, verdict: Verdict::Fail }.check(&bad)
}

fn rescored(run: &RunStatistics) -> Check {
    let (mut rows, mut differing) = (0, 0);
    for (rows_of_one, differing_of_one) in run.outputs.iter().filter_map(|output| output.rescored) {
        rows += rows_of_one;
        differing += differing_of_one;
    }
    let bad = outputs_that(run, |output| output.rescored.is_some_and(|(_, differing)| differing > 0));
    let kept = match rows {
        0 => "No row was scored again; that needs the registry of the run's model.".to_owned(),
        1 => "1 row was scored again; its prediction is the same.".to_owned(),
        rows => format!("{} were scored again; all predictions are the same.", counted(rows, "row")),
    };
    let (rows, differing) = (counted(rows, "row"), grouped(differing));
    let broken = format!("Of {rows} scored again, {differing} got another prediction. These outputs are affected");
    Rule { name: "rescored", kept: &kept, broken: &broken, verdict: Verdict::Fail }.check(&bad)
}

fn unexpected(run: &RunStatistics) -> Check {
    let rule = Rule {
        name: "strangers",
        kept: "There are no other files among the outputs.",
        broken: "These files appeared among the outputs after the run was closed",
        verdict: Verdict::Hold,
    };
    rule.check(&run.unexpected_outputs)
}

fn valid(all: &Scores) -> Check {
    let (rows, invalid) = (all.rows(), all.invalid());
    let (verdict, reason) = if invalid > 0 {
        let are = if invalid == 1 { "is not a probability" } else { "are not probabilities" };
        (Verdict::Fail, format!("{} {are}.", counted(invalid, "prediction")))
    } else if rows == 0 {
        (Verdict::Fail, "The run has no predictions.".to_owned())
    } else if all.is_constant() {
        (Verdict::Fail, format!("All {} are equal.", counted(rows, "prediction")))
    } else if rows == 1 {
        (Verdict::Pass, "The only prediction is a probability.".to_owned())
    } else {
        (Verdict::Pass, format!("All {} are probabilities, and they are not all equal.", counted(rows, "prediction")))
    };
    Check::plain("valid_scores", verdict, reason).with_number(invalid as f64, 0.0)
}
