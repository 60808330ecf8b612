//! `cargo xtask real`: each family with default settings on the real data in `../shared/data`, beside the reference
//! results in the `SOURCES.md` there, on the very same splits.

pub(crate) mod data;
pub(crate) mod splits;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::root;
use crate::run::measured;
use crate::steps::{cargo, must_succeed, step};
use splits::Split;

const FAMILIES: [&str; 3] = ["lr", "fm", "ffm"];

/// What a family or a reference reached on the test rows.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quality {
    auc: f64,
    logloss: f64,
}

/// A row of the table of reference results.
struct Task {
    name: &'static str,
    folder: &'static str,
    read: fn() -> Result<Option<data::Rows>>,
    split: Split,
    /// Training and test rows, as the reference had them.
    rows: (usize, usize),
    /// scikit-learn's logistic regression, then LightGBM.
    references: [Quality; 2],
}

const TASKS: &[Task] = &[
    Task {
        name: "bank, random 70/30",
        folder: "bank-random",
        read: data::bank,
        split: Split::Random(0.7),
        rows: (28_795, 12_393),
        references: [Quality { auc: 0.7959, logloss: 0.2755 }, Quality { auc: 0.7855, logloss: 0.2855 }],
    },
    Task {
        name: "bank, first 70 % -> last 30 %",
        folder: "bank-in-order",
        read: data::bank,
        split: Split::InOrder(0.7),
        rows: (28_831, 12_357),
        references: [Quality { auc: 0.6079, logloss: 0.5563 }, Quality { auc: 0.5907, logloss: 0.6532 }],
    },
    Task {
        name: "movielens, random 80/20",
        folder: "movielens",
        read: data::movielens,
        split: Split::Random(0.8),
        rows: (80_841, 19_995),
        references: [Quality { auc: 0.7823, logloss: 0.5612 }, Quality { auc: 0.7827, logloss: 0.5640 }],
    },
];

/// Prints the table.
///
/// # Errors
/// If the binary does not build or fails, if the data is not what the reference had, or if no family reaches a
/// reference. Absent data is no error: a message says so.
pub(crate) fn run() -> Result<()> {
    step("build", || must_succeed(&mut cargo(&["build", "--release", "--package", "clickcast", "--quiet"])))?;
    let mut lines = Vec::new();
    let mut missed = Vec::new();
    for task in TASKS {
        let Some(rows) = (task.read)()? else {
            println!("SKIPPED: {}: `../shared/data` is absent", task.name);
            continue;
        };
        let reached = step(task.name, || qualities(task, &rows))?;
        if !is_reached(&reached, &task.references) {
            missed.push(task.name);
        }
        lines.push(table_line(task, &reached));
    }
    if lines.is_empty() {
        return Ok(());
    }
    println!("\n| AUC / logloss | reference LR | reference LightGBM | lr | fm | ffm | reached |");
    println!("|---|---|---|---|---|---|---|");
    lines.iter().for_each(|line| println!("{line}"));
    if !missed.is_empty() {
        bail!("not reached: {}", missed.join("; "));
    }
    Ok(())
}

/// Trains and evaluates each family.
fn qualities(task: &Task, rows: &data::Rows) -> Result<Vec<Quality>> {
    let folder = format!("target/real/{}", task.folder);
    fs::create_dir_all(root().join(&folder)).with_context(|| format!("cannot make `{folder}`"))?;
    let trains = task.split.trains(rows.labels.len());
    let counts = rows.write(&root().join(&folder), &trains)?;
    if counts != task.rows {
        bail!("{counts:?} training and test rows where the reference had {:?}", task.rows);
    }
    FAMILIES.iter().map(|family| quality(&folder, family).with_context(|| (*family).to_owned())).collect()
}

fn quality(folder: &str, family: &str) -> Result<Quality> {
    let path = |file: &str| format!("{folder}/{file}");
    let (train, test, schema, model) = (path("train.csv"), path("test.csv"), path("features.toml"), path(family));
    if root().join(&model).exists() {
        fs::remove_dir_all(root().join(&model)).with_context(|| format!("cannot remove `{model}`"))?;
    }
    let clickcast = |arguments: &[&str]| {
        let mut command = Command::new("target/release/clickcast");
        measured(command.args(arguments).current_dir(root()))
    };
    clickcast(&["train", "--data", &train, "--schema", &schema, "--family", family, "--out", &model, "--json"])?;
    let evaluation = clickcast(&["evaluate", "--model", &model, "--data", &test, "--json"])?;
    Ok(Quality { auc: evaluation.number("auc")?, logloss: evaluation.number("logloss")? })
}

/// Whether one family is at least as good as every reference, in both measures, to the four digits they are given in.
fn is_reached(families: &[Quality], references: &[Quality]) -> bool {
    let rounded = |number: f64| (number * 1e4).round();
    let beats = |ours: &Quality, theirs: &Quality| {
        rounded(ours.auc) >= rounded(theirs.auc) && rounded(ours.logloss) <= rounded(theirs.logloss)
    };
    families.iter().any(|ours| references.iter().all(|theirs| beats(ours, theirs)))
}

fn table_line(task: &Task, families: &[Quality]) -> String {
    let all = task.references.iter().chain(families);
    let cells: Vec<String> = all.map(|quality| format!("{:.4} / {:.4}", quality.auc, quality.logloss)).collect();
    let verdict = if is_reached(families, &task.references) { "yes" } else { "**no**" };
    format!("| {} | {} | {verdict} |", task.name, cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(auc: f64, logloss: f64) -> Quality {
        Quality { auc, logloss }
    }

    #[test]
    fn one_family_has_to_reach_every_reference_in_both_measures() {
        let references = [quality(0.80, 0.30), quality(0.79, 0.29)];
        let rows: &[(&[Quality], bool)] = &[
            (&[quality(0.80, 0.29)], true),
            (&[quality(0.79996, 0.29004)], true),
            (&[quality(0.7998, 0.28)], false),
            (&[quality(0.85, 0.2902)], false),
            (&[quality(0.85, 0.35), quality(0.70, 0.20)], false),
            (&[quality(0.70, 0.40), quality(0.81, 0.28)], true),
            (&[], false),
        ];
        for (families, reached) in rows {
            assert_eq!(is_reached(families, &references), *reached, "{families:?}");
        }
    }

    #[test]
    fn the_real_files_split_as_the_reference_had_them() {
        if clickcast_testing::skip::shared_data("SOURCES.md").is_none() {
            return;
        }
        for task in TASKS {
            let rows = (task.read)().expect("it reads").expect("it is there");
            let trains = task.split.trains(rows.labels.len());
            let train = trains.iter().filter(|trains| **trains).count();
            assert_eq!((train, trains.len() - train), task.rows, "{}", task.name);
        }
    }
}
