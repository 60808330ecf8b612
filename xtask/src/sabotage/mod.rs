//! `cargo xtask sabotage`: what the gate and the audit stop, what they let through, and what they stop for nothing.

mod bank;
mod deliveries;
mod forge;
mod market;
mod workplace;

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::root;
use crate::steps::{cargo, must_succeed, step};

/// Seeds of the markets that limits were tuned on, or that were looked at to mend a false alarm.
const TUNED_ON: &str = "1 to 16, 31, 101 to 124, 301 to 305, 401, 402, 812 and 813";

/// Markets of one size.
#[derive(Debug, Clone, Copy)]
struct Markets {
    seed_first: u64,
    seeds: u64,
    rows_per_day: u64,
}

impl Markets {
    fn seeds(self) -> String {
        format!("{} to {}", self.seed_first, self.seed_first + self.seeds - 1)
    }
}

/// What was judged.
struct Outcomes {
    markets: Vec<(market::Trial, Vec<market::Case>)>,
    deliveries: Vec<(Markets, Vec<deliveries::Delivery>)>,
    bank: Vec<bank::Case>,
}

/// Runs the benchmark and writes what came of it.
///
/// # Errors
/// If the binary or the example does not build or run, or their output is not what it was.
pub(crate) fn run(quick: bool) -> Result<()> {
    let start = Instant::now();
    step("build", || must_succeed(&mut cargo(&["build", "--release", "--package", "clickcast", "--quiet"])))?;
    // The markets take most of the time, so they come last.
    let deliveries = step("deliveries", || deliveries::judge(quick))?;
    let bank = step("the bank", bank::judge)?;
    let markets = market::judge(if quick { &market::QUICK } else { &market::FULL })?;
    let page = page(&Outcomes { markets, deliveries, bank }, start.elapsed().as_secs_f64());
    write(if quick { "target/sabotage/SABOTAGE.md" } else { "bench/SABOTAGE.md" }, &page)
}

/// Judges the largest markets, and writes what came of it.
///
/// # Errors
/// If the example does not build or run, or its output is not what it was.
pub(crate) fn run_large() -> Result<()> {
    let start = Instant::now();
    let markets = market::judge(&market::LARGE)?;
    let mut page = beginning("sabotage --large", start.elapsed().as_secs_f64());
    market::section(&mut page, &markets);
    write("bench/SABOTAGE-LARGE.md", &page)
}

fn write(path: &str, page: &str) -> Result<()> {
    let path = root().join(path);
    fs::create_dir_all(path.parent().context("a folder")?)?;
    fs::write(&path, page).with_context(|| format!("cannot write `{}`", path.display()))?;
    print!("{page}");
    Ok(())
}

fn beginning(command: &str, seconds: f64) -> String {
    format!(
        "# What the gate stops\n\nWritten by `cargo xtask {command}` in {seconds:.0} s, on seeds that no limit was tuned on \
         (those were {TUNED_ON}). "
    )
}

/// The whole page.
fn page(outcomes: &Outcomes, seconds: f64) -> String {
    let mut page = beginning("sabotage", seconds);
    market::section(&mut page, &outcomes.markets);
    deliveries::section(&mut page, &outcomes.deliveries);
    bank::section(&mut page, &outcomes.bank);
    page
}

#[cfg(test)]
mod tests {
    use super::workplace::tests::judged;
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
        let delivery = |kind, strength, seed, verdict, against: &[&str]| deliveries::Delivery {
            kind,
            strength,
            seed,
            gate: "hold".to_owned(),
            judged: judged(verdict, against),
        };
        let two_days = vec![
            delivery("truncated", "1 row", 31, "fail", &["rows", "ids"]),
            delivery("honest", "in one go", 31, "pass", &[]),
            delivery("truncated", "1 row", 32, "pass", &[]),
            delivery("honest", "in one go", 32, "hold", &["score_drift"]),
        ];
        let case = |split, judged| bank::Case { split, rows_learned: 70, rows_judged: 30, judged };
        let bank = vec![case("in order", judged("fail", &["auc", "psi"])), case("random", judged("pass", &[]))];
        let cases = market::tests::cases(&lines).expect("they are cases");
        let markets = Markets { seed_first: 31, seeds: 1, rows_per_day: 20_000 };
        let delivered = Markets { seed_first: 31, seeds: 2, rows_per_day: 15_000 };
        let mut outcomes = Outcomes {
            markets: vec![(market::Trial::of(markets), cases)],
            deliveries: vec![(delivered, two_days)],
            bank,
        };
        let whole = page(&outcomes, 9.0);
        for part in [
            "| 20000 | 31 to 31 | 11 | 1 | sabotage that costs 1 % or more | 1 | 2 | 50.0 % | 0.5 s |",
            "| sabotage that costs less | 1 | 1 | 100.0 % |",
            "| honest retrains | 1 | 2 | 50.0 % |",
            "| unit change | today's rows | 0.50 | 1.70 % | 2 | 3 |",
            "- unit change (today's rows), strength 0.5, seed 31: 3.00 %",
            "\n# Deliveries\n",
            "## 15000 rows a day, seeds 31 to 32\n",
            "Deliveries in which a row is wrong: stopped 1 of 2; honest deliveries stopped: 1 of 2, 0 of them by a model that the gate had passed.",
            "| truncated | 1 row | 1 | 2 | ids, rows |",
            "| honest | in one go | 1 | 2 | score_drift |",
            "- truncated, 1 row, seed 32: pass; the gate said hold of the model\n",
            "- honest, in one go, seed 32: hold, score_drift; the gate said hold of the model\n",
            "\n# The bank\n",
            "| in order | 70 | 30 | fail | auc, psi |",
            "| random | 70 | 30 | pass |  |",
        ] {
            assert!(whole.contains(part), "{part} in {whole}");
        }
        outcomes.deliveries[0].1.truncate(2);
        outcomes.bank.clear();
        let whole = page(&outcomes, 9.0);
        for part in ["None in which a row is wrong.\n", "stopped\n\nNone.\n", "Not judged: `../shared/data` is absent."]
        {
            assert!(whole.contains(part), "{part} in {whole}");
        }
    }
}
