//! A hundred million rows from Parquet to Parquet on two cores, and what a billion would take.

use std::fs;

use anyhow::{Context, Result};

use super::super::WORK;
use super::super::measure::{race, remove};
use super::super::results::{Claim, Table};
use super::super::tools::{Tools, ours};
use super::files::{imported, parquet};
use super::trees::LARGE;
use crate::root;

const FILE_ROWS: u64 = 5_000_000;
const FILES: u64 = 20;
const BILLION: f64 = 1e9;
const BILLION_S_MAX: f64 = 3_600.0;

pub(crate) fn measure(tools: &Tools) -> Result<Vec<Table>> {
    if tools.quick {
        return Ok(Vec::new());
    }
    let data = LARGE.data(tools)?;
    let (model, file) = (imported(tools, &data)?, parquet(tools, &data, FILE_ROWS)?);
    let (folder, out) = (format!("{WORK}/bulk"), format!("{WORK}/predicted-bulk"));
    remove(&folder)?;
    fs::create_dir_all(root().join(&folder)).with_context(|| format!("cannot make `{folder}`"))?;
    for index in 0..FILES {
        let link = root().join(&folder).join(format!("rows-{index:02}.parquet"));
        fs::hard_link(root().join(&file), &link).with_context(|| format!("cannot link `{}`", link.display()))?;
    }
    let rows = FILE_ROWS * FILES;
    let arguments = ["predict", "--model", &model, "--data", &folder, "--out", &out, "--threads", "2", "--json"];
    let race = race(3, &[ours("clickcast predict", rows, &arguments, &out)])?;
    remove(&out)?;
    let wall_s = race.entries.first().context("ours is measured")?.wall_s.median();
    let billion_s = wall_s * BILLION / rows as f64;
    let claim = Claim {
        text: format!("a billion rows within an hour on two cores: {:.1} minutes by extrapolation", billion_s / 60.0),
        holds: billion_s <= BILLION_S_MAX,
    };
    let about = format!(
        "Parquet to Parquet, 500 trees of 63 leaves, 39 numeric columns, two threads: {rows} rows as {FILES} links to \
         one file of {FILE_ROWS} rows, which repeats 100,000 generated ones. So reading comes from the page cache, and a \
         billion rows are extrapolated: ten times as long."
    );
    Ok(vec![Table { about, race, claims: vec![claim], ..Table::default() }])
}
