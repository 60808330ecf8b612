//! The bank's telephone offers at the gate: a real market that changed much over the years.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::workplace::{Judged, Workplace};
use crate::real::data;
use crate::real::splits::Split;

/// How the file is split, in words, and the folder that it is judged in. A model of the first years must not pass on the
/// last ones; rows drawn at random differ from each other by chance only.
const SPLITS: [(&str, &str, Split); 2] = [
    ("first 70 %, last 30 %", "bank-in-order", Split::InOrder(0.7)),
    ("random 70 %, the others", "bank-random", Split::Random(0.7)),
];

/// What the gate said of a model of one part on the rows of the other.
pub(super) struct Case {
    pub(super) split: &'static str,
    pub(super) rows_learned: usize,
    pub(super) rows_judged: usize,
    pub(super) judged: Judged,
}

/// Every split; none where the data is absent.
///
/// # Errors
/// If the data is not what it was, or a command fails.
pub(super) fn judge() -> Result<Vec<Case>> {
    let Some(rows) = data::bank()? else {
        println!("SKIPPED: the bank: `../shared/data` is absent");
        return Ok(Vec::new());
    };
    let cases = SPLITS.iter().map(|&(name, folder, split)| case(&rows, name, folder, split).context(name));
    cases.collect()
}

fn case(rows: &data::Rows, name: &'static str, folder: &str, split: Split) -> Result<Case> {
    let place = Workplace::new(folder)?;
    let (rows_learned, rows_judged) = rows.write(&place.path(""), &split.trains(rows.labels.len()))?;
    place.json("train --data train.csv --schema features.toml --family lr --out model")?;
    let judged = place.judged("models gate --name bank --candidate model --data test.csv --registry registry")?;
    Ok(Case { split: name, rows_learned, rows_judged, judged })
}

/// A line for each split. Writing to a String cannot fail.
pub(super) fn section(page: &mut String, cases: &[Case]) {
    page.push_str(
        "\n# The bank\n\nReal rows, in the order of their dates: a bank's telephone offers of 2008 to 2010, whose clients \
         and success changed much, by columns that do not tell when. A model of the first years should not pass on the \
         last ones.\n\n",
    );
    if cases.is_empty() {
        page.push_str("Not judged: `../shared/data` is absent.\n");
        return;
    }
    page.push_str("| learned, judged | rows learned | rows judged | verdict | against |\n|---|---:|---:|---|---|\n");
    for Case { split, rows_learned, rows_judged, judged } in cases {
        let against = judged.against().join(", ");
        let _ = writeln!(page, "| {split} | {rows_learned} | {rows_judged} | {} | {against} |", judged.verdict);
    }
}
