//! Predicting with LightGBM's own model of 500 trees: LightGBM in memory and file to file, ours file to file.

use anyhow::Result;

use super::super::measure::race;
use super::super::results::{Claim, Table};
use super::super::tools::{Tools, ours, peer};

const IN_MEMORY: &str = "LightGBM, rows in memory";
const FILES: &str = "LightGBM, file to file";

/// Float32 predictions keep about seven digits.
const DIFFERENCE_MAX: f64 = 1e-7;

pub(crate) fn measure(tools: &Tools) -> Result<Vec<Table>> {
    let rows: u64 = tools.size(100_000, 30_000);
    let folder = tools.data(&format!("trees-{rows}"), |folder| {
        let (data, model) = (format!("{folder}/rows.parquet"), format!("{folder}/model.txt"));
        let made = ["trees_make", "--rows", &rows.to_string(), "--data", &data, "--model", &model];
        tools.script("bench/peers.py", &made).map(drop)
    })?;
    let path = |file: &str| format!("{folder}/{file}");
    let (data, text, model, out) = (path("rows.parquet"), path("model.txt"), path("model"), path("predicted"));
    super::super::measure::remove(&model)?;
    tools.clickcast(&["import", "--from", "lightgbm", &text, "--out", &model])?;

    let theirs = path("predicted.parquet");
    let contenders = [
        ours(
            "clickcast",
            &["predict", "--model", &model, "--data", &data, "--out", &out, "--threads", "1", "--json"],
            &out,
        ),
        peer(IN_MEMORY, &["trees_predict", "--data", &data, "--model", &text]),
        peer(FILES, &["trees_predict", "--data", &data, "--model", &text, "--out", &theirs]),
    ];
    let entries = race(rows, &contenders)?;
    let compared = tools.script("bench/peers.py", &["compare", "--data", &data, "--model", &text, "--out", &out])?;
    let difference = compared.number("difference_max")?;
    let ratio = entries[0].speed.median() / entries[1].speed.median();
    let claims = vec![
        Claim {
            text: format!("the same predictions: they differ by at most {difference:.1e} (float32)"),
            holds: difference <= DIFFERENCE_MAX,
        },
        Claim { text: format!("file to file as fast as LightGBM in memory: ratio {ratio:.2}"), holds: ratio >= 1.0 },
    ];
    let about = format!("Predicting {rows} rows of 39 numeric columns, 5 % missing, one thread.");
    Ok(vec![Table { about, entries, baseline: Some(IN_MEMORY), claims, ..Table::default() }])
}
