//! `cargo xtask bench`: whole runs of the release binary beside our peers, in one sitting, written to
//! `bench/RESULTS.md`.
//!
//! A case (see [`cases`]) makes its data, races contenders by turns, and answers with tables, comparisons and claims.
//! Commands run from the workspace's root with relative paths, so that the results can be repeated anywhere.

mod cases;
mod chart;
mod measure;
mod results;
mod tools;

use std::fs;

use anyhow::{Context, Result, bail};

use crate::root;
use crate::steps::{cargo, must_succeed, step};
use results::Section;
use tools::Tools;

/// Where data, models, and the peers' virtual environment go.
const WORK: &str = "target/bench";

/// Runs the cases whose name contains `wanted`. The whole set in full size is the record kept in `bench/RESULTS.md`;
/// anything less goes to `target/bench`.
///
/// # Errors
/// If the binary does not build, no case has that name, the results cannot be written, or a case could not be measured
/// (the others are, and the results say which).
pub(crate) fn run(quick: bool, wanted: Option<&str>) -> Result<()> {
    let chosen: Vec<_> = cases::ALL.iter().filter(|case| wanted.is_none_or(|part| case.name.contains(part))).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = cases::ALL.iter().map(|case| case.name).collect();
        bail!("no case is named like that; there are: {}", names.join(", "));
    }
    step("build", || {
        must_succeed(&mut cargo(&["build", "--release", "--package", "clickcast", "--quiet"]))?;
        let kernel = ["build", "--release", "--package", "clickcast-model", "--example", "kernel", "--quiet"];
        must_succeed(&mut cargo(&kernel))
    })?;
    let tools = step("peers", || Tools::prepare(quick))?;

    let mut sections = Vec::new();
    for case in chosen {
        let outcome = step(case.name, || (case.measure)(&tools));
        if let Err(error) = &outcome {
            println!("{error:#}");
        }
        sections.push(Section { title: case.title, outcome });
    }
    let page = results::page(&results::Sitting::now(quick), &sections);
    println!("{page}");
    let folder = if quick || wanted.is_some() { WORK } else { "bench" };
    let path = format!("{folder}/RESULTS.md");
    fs::write(root().join(&path), page).with_context(|| format!("cannot write `{path}`"))?;
    println!("written to {path}");
    for table in results::tables(&sections) {
        let Some((file, title)) = &table.chart else { continue };
        let bars: Vec<chart::Bar> =
            table.race.entries.iter().map(|entry| (entry.name, entry.speed.median(), !entry.is_peer)).collect();
        let path = format!("{folder}/{file}");
        fs::write(root().join(&path), chart::svg(title, &bars)).with_context(|| format!("cannot write `{path}`"))?;
    }
    let failed: Vec<&str> = sections.iter().filter(|part| part.outcome.is_err()).map(|part| part.title).collect();
    if !failed.is_empty() {
        bail!("not measured: {}", failed.join("; "));
    }
    Ok(())
}
