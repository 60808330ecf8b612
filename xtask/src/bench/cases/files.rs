//! Trees from Parquet to Parquet in one process on one core, beside good Python scripts around the peers.

use anyhow::{Context, Result};

use super::super::WORK;
use super::super::measure::{race, remove};
use super::super::results::{Claim, Comparison, Table};
use super::super::tools::{Tools, ours, peer};
use super::trees::LARGE;

const SCORE: &str = "bench/score.py";
const OURS: &str = "clickcast predict";
const LIGHTGBM: &str = "LightGBM + pyarrow";
const CATBOOST: &str = "CatBoost + pyarrow, its own model";
const WORK_DONE: &str = "Parquet to Parquet, 500 trees of 63 leaves, 39 numeric columns";

/// Float32 predictions keep about seven digits.
const DIFFERENCE_MAX: f64 = 1e-7;

/// Our form of the large model, imported anew.
///
/// # Errors
/// If the import fails.
pub(crate) fn imported(tools: &Tools, data: &str) -> Result<String> {
    let model = format!("{data}-imported");
    remove(&model)?;
    tools.clickcast(&["import", "--from", "lightgbm", &format!("{data}/model.txt"), "--out", &model, "--json"])?;
    Ok(model)
}

/// A Parquet file of so many rows for the large model, whose folder is `data`.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn parquet(tools: &Tools, data: &str, rows: u64) -> Result<String> {
    let folder = tools.data(&format!("rows-{rows}"), "bench/trees.py", |folder| {
        let (out, rows) = (format!("{folder}/rows.parquet"), rows.to_string());
        tools.script("bench/trees.py", &["parquet", "--data", data, "--out", &out, "--rows", &rows]).map(drop)
    })?;
    Ok(format!("{folder}/rows.parquet"))
}

pub(crate) fn measure(tools: &Tools) -> Result<Vec<Table>> {
    let rows: u64 = tools.size(500_000, 100_000);
    let data = LARGE.data(tools)?;
    let (model, file) = (imported(tools, &data)?, parquet(tools, &data, rows)?);
    let catboost = tools.engine("catboost", "bench/own_model.py", &data)?;
    let (out, theirs) = (format!("{WORK}/predicted"), format!("{WORK}/predicted.parquet"));
    let arguments = ["predict", "--model", &model, "--data", &file, "--out", &out, "--threads", "1", "--json"];
    let script = |name, engine, model| {
        let arguments =
            ["files", "--engine", engine, "--data", &data, "--model", model, "--file", &file, "--out", &theirs];
        peer(name, rows, SCORE, &arguments)
    };
    let contenders = [
        ours(OURS, rows, &arguments, &out).pinned(),
        script(LIGHTGBM, "lightgbm", &data),
        script(CATBOOST, "catboost", &catboost),
    ];
    let race = race(tools.size(5, 3), &contenders)?;
    let compared = tools.script(SCORE, &["compare", "--data", &data, "--out", &out])?;
    let difference = compared.number("difference_max").context("no comparison")?;
    let comparison = |peer, ratio_min| Comparison { work: WORK_DONE, ours: OURS, peer, ratio_min };
    Ok(vec![Table {
        about: format!(
            "{WORK_DONE}: {rows} rows in row groups of 100,000, one core, one thread. The scripts read a row group at \
             a time, score it with one thread, and write it."
        ),
        race,
        baseline: Some(LIGHTGBM),
        comparisons: vec![comparison(LIGHTGBM, Some(25.0)), comparison(CATBOOST, None)],
        claims: vec![Claim {
            text: format!("LightGBM's predictions: they differ by at most {difference:.1e} (float32)"),
            holds: difference <= DIFFERENCE_MAX,
        }],
        chart: Some(("files.svg", WORK_DONE.to_owned())),
        ..Table::default()
    }])
}
