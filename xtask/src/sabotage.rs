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

/// Markets that the benchmark judges; the limits were tuned on others, [`TUNED_ON`].
const MARKETS: [Markets; 2] = [
    Markets { seed_first: 201, seeds: 12, rows_per_day: 20_000 },
    Markets { seed_first: 301, seeds: 1, rows_per_day: 200_000 },
];
const MARKETS_QUICK: [Markets; 1] = [Markets { seed_first: 201, seeds: 2, rows_per_day: 20_000 }];
const TUNED_ON: &str = "1 to 16, 31, and 101 to 124";

/// Markets of one size.
#[derive(Debug, Clone, Copy)]
struct Markets {
    seed_first: u64,
    seeds: u64,
    rows_per_day: u64,
}

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
    let markets = if quick { &MARKETS_QUICK[..] } else { &MARKETS };
    let start = Instant::now();
    let judged: Vec<(Markets, Vec<Case>)> = markets
        .iter()
        .map(|&markets| {
            let title = format!("{} rows a day", markets.rows_per_day);
            Ok((markets, step(&title, || markets.judge())?))
        })
        .collect::<Result<_>>()?;
    let page = page(&judged, start.elapsed().as_secs_f64());
    let path = if quick { root().join("target/sabotage/SABOTAGE.md") } else { root().join("bench/SABOTAGE.md") };
    fs::create_dir_all(path.parent().context("a folder")?)?;
    fs::write(&path, &page).with_context(|| format!("cannot write `{}`", path.display()))?;
    print!("{page}");
    Ok(())
}

impl Markets {
    /// Every case of these markets.
    fn judge(self) -> Result<Vec<Case>> {
        let options = [("--seed", self.seed_first), ("--seeds", self.seeds), ("--rows-per-day", self.rows_per_day)];
        let options: Vec<String> =
            options.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]).collect();
        let example = ["run", "--release", "--quiet", "--package", "clickcast-gate", "--example", "sabotage", "--"];
        let output = cargo(&example).args(options).output()?;
        if !output.status.success() {
            bail!("the example failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        parse(&String::from_utf8(output.stdout).context("the cases are no text")?)
    }

    fn seeds(self) -> String {
        format!("{} to {}", self.seed_first, self.seed_first + self.seeds - 1)
    }
}

fn parse(text: &str) -> Result<Vec<Case>> {
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("no case: {line}"))).collect()
}

/// The whole page.
fn page(judged: &[(Markets, Vec<Case>)], seconds: f64) -> String {
    let mut page = format!(
        "# What the gate stops\n\nWritten by `cargo xtask sabotage` in {seconds:.0} s, on seeds that no limit was tuned on \
         (those were {TUNED_ON}). Markets of `synth`, windows of eleven days; every third market has another schema (half of \
         the columns, renamed, all categories as numbers, no sides). A cost is normalized entropy lost on the rows to be \
         delivered, by their true click probabilities, against an honest candidate. Stopped is `hold` or `fail`.\n\n\
         | rows a day | seeds | | stopped | of | | slowest judgement |\n|---:|---|---|---:|---:|---:|---:|\n"
    );
    for (markets, cases) in judged {
        summary(&mut page, *markets, cases);
    }
    for (markets, cases) in judged {
        let _ = writeln!(page, "\n# {} rows a day", markets.rows_per_day);
        details(&mut page, cases);
    }
    page
}

/// The lines of the first table for one size. Writing to a String cannot fail, here and below.
fn summary(page: &mut String, markets: Markets, cases: &[Case]) {
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
        let Markets { rows_per_day, .. } = markets;
        let seeds = markets.seeds();
        let _ = writeln!(
            page,
            "| {rows_per_day} | {seeds} | {what} | {stopped} | {} | {share} | {slowest:.1} s |",
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
        let markets = Markets { seed_first: 31, seeds: 1, rows_per_day: 20_000 };
        let page = page(&[(markets, parse(&lines.join("\n")).expect("they are cases"))], 9.0);
        for part in [
            "| 20000 | 31 to 31 | sabotage that costs 1 % or more | 1 | 2 | 50.0 % | 0.5 s |",
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
