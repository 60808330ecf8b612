//! What the gate stops on invented markets, what it lets through, and what it stops for nothing.
//!
//! The example `sabotage` of crate `operations` prints the cases, a JSON object each; this runs it and writes the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Markets;
use crate::root;
use crate::steps::{cargo, must_succeed, step};

/// Markets that the benchmark judges; the limits were tuned on others, [`super::TUNED_ON`].
pub(super) const FULL: [Trial; 3] = [
    Trial::of(Markets { seed_first: 201, seeds: 12, rows_per_day: 20_000 }),
    Trial {
        window: WINDOW_SHORT,
        champion_days: 7,
        ..Trial::of(Markets { seed_first: 221, seeds: 4, rows_per_day: 20_000 })
    },
    Trial::of(Markets { seed_first: 701, seeds: 3, rows_per_day: 200_000 }),
];
pub(super) const QUICK: [Trial; 1] = [Trial::of(Markets { seed_first: 201, seeds: 2, rows_per_day: 20_000 })];
/// Each case learns from millions of rows.
pub(super) const LARGE: [Trial; 1] = [Trial {
    window: WINDOW_SHORT,
    every: 2,
    ..Trial::of(Markets { seed_first: 815, seeds: 2, rows_per_day: 1_000_000 })
}];
/// Days learned, fewer than a week has.
const WINDOW_SHORT: u64 = 5;

/// Markets, and what is tried with them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    markets: Markets,
    /// Days that a model learns.
    window: u64,
    /// How many days before a sabotaged candidate its champion was learned.
    champion_days: u64,
    /// Which of a kind's strengths are tried: every so many, counted from the strongest.
    every: u64,
}

impl Trial {
    pub(super) const fn of(markets: Markets) -> Self {
        Self { markets, window: 11, champion_days: 1, every: 1 }
    }
}

/// A loss from which on nothing may get through, in normalized entropy.
const COSTLY: f64 = 0.01;

/// One candidate at the gate.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Case {
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

/// The cases of all markets, size by size.
///
/// # Errors
/// If the example does not build or run, or its output is not what it was.
pub(super) fn judge(trials: &[Trial]) -> Result<Vec<(Trial, Vec<Case>)>> {
    let judged = trials.iter().map(|&trial| {
        let title = format!("{} rows a day, windows of {} days", trial.markets.rows_per_day, trial.window);
        Ok((trial, step(&title, || cases_of(trial))?))
    });
    judged.collect()
}

/// Every case of some markets.
fn cases_of(trial: Trial) -> Result<Vec<Case>> {
    let Trial { markets: Markets { seed_first, seeds, rows_per_day }, window, champion_days, every } = trial;
    let options = [
        ("--seed", seed_first),
        ("--seeds", seeds),
        ("--rows-per-day", rows_per_day),
        ("--window", window),
        ("--champion-days", champion_days),
        ("--every", every),
    ];
    let options: Vec<String> =
        options.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]).collect();
    let example = ["run", "--release", "--quiet", "--package", "clickcast-operations", "--example", "sabotage", "--"];
    // The cases take up to an hour, and can be looked at as they come.
    let path = root().join(format!("target/sabotage/cases-{rows_per_day}-{seed_first}.jsonl"));
    fs::create_dir_all(path.parent().context("a folder")?)?;
    let file = File::create(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
    must_succeed(cargo(&example).args(options).stdout(file))?;
    parse(&fs::read_to_string(&path).context("the cases are no text")?)
}

fn parse(text: &str) -> Result<Vec<Case>> {
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("no case: {line}"))).collect()
}

/// The table of all sizes, and each size's own part.
pub(super) fn section(page: &mut String, judged: &[(Trial, Vec<Case>)]) {
    page.push_str(
        "Markets of `synth`; each model learned so many days, and a sabotaged one's champion ended so many days before; \
         every third market has another schema (half of the columns, renamed, all categories as numbers, no sides). A cost is normalized entropy lost on the rows to be delivered, by their \
         true click probabilities, against an honest candidate. Stopped is `hold` or `fail`. At a million rows a day every \
         second of a kind's strengths is tried.\n\n\
         | rows a day | seeds | days learned | champion before | | stopped | of | | slowest judgement |\n\
         |---:|---|---:|---:|---|---:|---:|---:|---:|\n",
    );
    for (trial, cases) in judged {
        summary(page, *trial, cases);
    }
    for (trial, cases) in judged {
        let Trial { markets, .. } = trial;
        let _ = writeln!(page, "\n# {} rows a day, seeds {}", markets.rows_per_day, markets.seeds());
        details(page, cases);
    }
}

/// The lines of the first table for one size. Writing to a String cannot fail, here and below.
fn summary(page: &mut String, trial: Trial, cases: &[Case]) {
    let slowest = cases.iter().map(|case| case.seconds).fold(0.0, f64::max);
    type IsMeant = fn(&Case) -> bool;
    let kinds: [(&str, IsMeant); 4] = [
        ("sabotage that costs 1 % or more", |case| !case.is_honest() && case.cost >= COSTLY),
        ("sabotage that costs less", |case| !case.is_honest() && case.cost < COSTLY),
        ("honest retrains", Case::is_honest),
        ("of them truly worse than the champion by 0.5 % or more", |case| {
            case.is_honest() && case.cost >= COSTLY / 2.0
        }),
    ];
    for (what, is_meant) in kinds {
        let meant: Vec<&Case> = cases.iter().filter(|case| is_meant(case)).collect();
        let stopped = meant.iter().filter(|case| case.is_stopped()).count();
        let share = if meant.is_empty() {
            "-".to_owned()
        } else {
            format!("{:.1} %", 100.0 * stopped as f64 / meant.len() as f64)
        };
        let Trial { markets, window, champion_days, .. } = trial;
        let (rows_per_day, seeds) = (markets.rows_per_day, markets.seeds());
        let _ = writeln!(
            page,
            "| {rows_per_day} | {seeds} | {window} | {champion_days} | {what} | {stopped} | {} | {share} | {slowest:.1} s |",
            meant.len()
        );
    }
}

fn details(page: &mut String, cases: &[Case]) {
    let (honest, spoiled): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.is_honest());
    page.push_str("\n## By kind and strength\n\nThe share of the rows (or columns) that are spoiled, the mean cost, and how many were stopped.\n\n");
    curves(page, &spoiled);
    page.push_str("\n## What got through\n\n");
    let missed: Vec<&&Case> = spoiled.iter().filter(|case| case.cost >= COSTLY && !case.is_stopped()).collect();
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
        let stopped = cases.iter().filter(|case| case.is_stopped()).count();
        let _ = writeln!(page, "| {variation} | {stopped} | {} |", cases.len());
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
pub(super) mod tests {
    use super::*;

    /// Cases as the example prints them.
    pub(in super::super) fn cases(lines: &[String]) -> Result<Vec<Case>> {
        parse(&lines.join("\n"))
    }

    #[test]
    fn what_is_no_case_is_refused() {
        assert!(parse("no case").is_err());
    }
}
