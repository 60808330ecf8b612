//! `cargo xtask sabotage`: what the gate stops, what it lets through, and what it stops for nothing.
//!
//! The example `sabotage` of crate `gate` makes the cases, a JSON object each; this runs it and writes them up.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::root;
use crate::steps::{cargo, step};

/// Markets that the limits were tuned on are 1 to 16; these are others.
const SEED_FIRST: u64 = 31;
const SEEDS: u64 = 8;
const SEEDS_QUICK: u64 = 2;
/// A loss from which on nothing may get through, in normalized entropy.
const COSTLY: f64 = 0.01;

/// One candidate at the gate.
#[derive(Debug, Clone, Deserialize)]
struct Case {
    kind: String,
    place: String,
    strength: f64,
    seed: u64,
    /// Normalized entropy that delivering it costs: against the honest candidate; for an honest one, against the champion.
    cost: f64,
    verdict: String,
    /// The checks that speak against it.
    against: Vec<String>,
    seconds: f64,
}

impl Case {
    fn is_honest(&self) -> bool {
        self.kind == "honest"
    }

    fn is_stopped(&self) -> bool {
        self.verdict != "pass"
    }
}

/// Runs the benchmark and writes what came of it.
///
/// # Errors
/// If the example does not build or run, or its output is not what it was.
pub(crate) fn run(quick: bool) -> Result<()> {
    let seeds = if quick { SEEDS_QUICK } else { SEEDS };
    let start = Instant::now();
    let (seed, count) = (SEED_FIRST.to_string(), seeds.to_string());
    let example = ["run", "--release", "--quiet", "--package", "clickcast-gate", "--example", "sabotage", "--"];
    let output = step("sabotage", || {
        let output = cargo(&[&example[..], &["--seed", &seed, "--seeds", &count]].concat()).output()?;
        if !output.status.success() {
            bail!("the example failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output.stdout)
    })?;
    let cases = parse(&String::from_utf8(output).context("the cases are no text")?)?;
    let page = page(&cases, start.elapsed().as_secs_f64());
    let path = if quick { root().join("target/sabotage/SABOTAGE.md") } else { root().join("bench/SABOTAGE.md") };
    fs::create_dir_all(path.parent().context("a folder")?)?;
    fs::write(&path, &page).with_context(|| format!("cannot write `{}`", path.display()))?;
    print!("{page}");
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Case>> {
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("no case: {line}"))).collect()
}

/// The whole page.
fn page(cases: &[Case], seconds: f64) -> String {
    let (honest, spoiled): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.is_honest());
    let costly: Vec<&Case> = spoiled.iter().copied().filter(|case| case.cost >= COSTLY).collect();
    let stopped = |cases: &[&Case]| cases.iter().filter(|case| case.is_stopped()).count();
    let mut seeds: Vec<u64> = cases.iter().map(|case| case.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let slowest = cases.iter().map(|case| case.seconds).fold(0.0, f64::max);
    let mut page = format!(
        "# What the gate stops\n\nWritten by `cargo xtask sabotage` in {seconds:.0} s. Markets of `synth`, 20,000 rows a day, windows of eleven days; \
         every third market has another schema (half of the columns, renamed, all categories as numbers, no sides). Seeds {seeds:?}; the limits \
         were tuned on seeds 1 to 16 alone. A cost is normalized entropy lost on the rows to be delivered, by their true click probabilities, \
         against an honest candidate. Stopped is `hold` or `fail`. The slowest judgement took {slowest:.1} s.\n\n"
    );
    let share = |part: usize, all: usize| {
        if all == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / all as f64) }
    };
    let alarms = stopped(&honest);
    let worse = honest.iter().filter(|case| case.is_stopped() && case.cost >= COSTLY / 2.0).count();
    // Writing to a String cannot fail.
    let _ = writeln!(page, "| | stopped | of | |\n|---|---:|---:|---:|");
    let _ = writeln!(
        page,
        "| sabotage that costs 1 % or more | {} | {} | {} |",
        stopped(&costly),
        costly.len(),
        share(stopped(&costly), costly.len())
    );
    let cheap = spoiled.len() - costly.len();
    let cheap_stopped = stopped(&spoiled) - stopped(&costly);
    let _ =
        writeln!(page, "| sabotage that costs less | {cheap_stopped} | {cheap} | {} |", share(cheap_stopped, cheap));
    let _ = writeln!(page, "| honest retrains | {alarms} | {} | {} |", honest.len(), share(alarms, honest.len()));
    let _ = writeln!(page, "| of them truly worse than the champion by 0.5 % or more | {worse} | {alarms} | |");
    page.push_str("\n## By kind and strength\n\nThe share of the rows (or columns) that are spoiled, the mean cost, and how many were stopped.\n\n");
    curves(&mut page, &spoiled);
    page.push_str("\n## What got through\n\n");
    let missed: Vec<&&Case> = costly.iter().filter(|case| !case.is_stopped()).collect();
    if missed.is_empty() {
        page.push_str("Nothing that costs 1 % or more.\n");
    }
    for case in missed {
        let _ = writeln!(
            page,
            "- {} ({}), strength {}, seed {}: {:.2} %",
            case.kind,
            place(case),
            case.strength,
            case.seed,
            100.0 * case.cost
        );
    }
    page.push_str("\n## Honest retrains\n\n| variation | stopped | of |\n|---|---:|---:|\n");
    for (variation, cases) in grouped(&honest, |case| case.place.clone()) {
        let _ = writeln!(page, "| {variation} | {} | {} |", stopped(&cases), cases.len());
    }
    for case in honest.iter().filter(|case| case.is_stopped()) {
        let _ = write!(
            page,
            "\n- {}, seed {}: {}; its cost against the champion is {:.2} %",
            case.place,
            case.seed,
            case.against.join(", "),
            100.0 * case.cost
        );
    }
    page.push('\n');
    page
}

fn curves(page: &mut String, spoiled: &[&Case]) {
    page.push_str("| kind | where | strength | mean cost | stopped | of |\n|---|---|---:|---:|---:|---:|\n");
    let groups = grouped(spoiled, |case| (case.kind.clone(), place(case), format!("{:.2}", case.strength)));
    for ((kind, place, strength), cases) in groups {
        let cost = cases.iter().map(|case| case.cost).sum::<f64>() / cases.len() as f64;
        let stopped = cases.iter().filter(|case| case.is_stopped()).count();
        let _ =
            writeln!(page, "| {kind} | {place} | {strength} | {:.2} % | {stopped} | {} |", 100.0 * cost, cases.len());
    }
}

/// Where the rows were spoiled, in words.
fn place(case: &Case) -> &'static str {
    match case.place.as_str() {
        "Training" => "training",
        "Today" => "today's rows",
        "TrainingAndLabelled" => "training and labelled rows",
        _ => "labelled and today's rows",
    }
}

fn grouped<'a, K: Ord>(cases: &[&'a Case], key: impl Fn(&Case) -> K) -> BTreeMap<K, Vec<&'a Case>> {
    let mut groups: BTreeMap<K, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        groups.entry(key(case)).or_default().push(case);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_counts_what_was_stopped_and_lists_what_was_not() {
        let line = |kind: &str, cost: f64, verdict: &str| {
            format!(
                "{{\"kind\":\"{kind}\",\"place\":\"Today\",\"strength\":0.5,\"seed\":31,\"cost\":{cost},\"verdict\":\"{verdict}\",\"against\":[\"auc\"],\"seconds\":0.5}}"
            )
        };
        let lines = [
            line("unit change", 0.02, "fail"),
            line("unit change", 0.03, "pass"),
            line("unit change", 0.001, "hold"),
            line("honest", 0.0, "pass"),
            line("honest", 0.0, "hold"),
        ];
        let page = page(&parse(&lines.join("\n")).expect("they are cases"), 9.0);
        for part in [
            "| sabotage that costs 1 % or more | 1 | 2 | 50.0 % |",
            "| sabotage that costs less | 1 | 1 | 100.0 % |",
            "| honest retrains | 1 | 2 | 50.0 % |",
            "| unit change | today's rows | 0.50 | 1.70 % | 2 | 3 |",
            "- unit change (today's rows), strength 0.5, seed 31: 3.00 %",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(parse("no case").is_err());
    }
}
