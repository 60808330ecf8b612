//! Peak memory of `predict` at two threads, on a file larger than its bound and on one of a single large row group.

use anyhow::Result;

use super::super::measure::{Race, race, remove};
use super::super::results::{Claim, Table};
use super::super::tools::{Tools, ours};
use super::learning::Data;

const MEMORY_MAX_BYTES: u64 = 1 << 30;
const LARGE_FILE_BYTES: u64 = (1 << 30) + (100 << 20);
const ROW_GROUP_ROWS: u64 = 4_000_000;

pub(crate) fn measure(tools: &Tools) -> Result<Vec<Table>> {
    if tools.quick {
        return Ok(Vec::new());
    }
    let data = Data::prepare(tools)?;
    let (rows, schema, model) = (data.path("train.parquet"), data.path("features.toml"), data.path("model-memory"));
    remove(&model)?;
    tools.clickcast(&["train", "--data", &rows, "--schema", &schema, "--family", "lr", "--out", &model, "--json"])?;

    let bytes = LARGE_FILE_BYTES.to_string();
    let group = ROW_GROUP_ROWS.to_string();
    let shapes = [
        ("a file of over 1 GiB", "large", ["--bytes", &bytes]),
        ("one row group of 4 M rows", "group", ["--rows", &group]),
    ];
    let mut tables = Vec::new();
    for (shape, name, size) in shapes {
        let folder = tools.data(&format!("memory-{name}"), "bench/factors.py", |folder| {
            let out = format!("{folder}/rows.parquet");
            let arguments = ["repeat", "--data", &rows, "--out", &out, size[0], size[1]];
            tools.script("bench/factors.py", &arguments).map(drop)
        })?;
        let (input, out) = (format!("{folder}/rows.parquet"), format!("{}/predicted-memory-{name}", data.folder));
        let arguments = ["predict", "--model", &model, "--data", &input, "--out", &out, "--threads", "2", "--json"];
        remove(&out)?;
        let counted = tools.clickcast(&arguments)?.number("rows")? as u64;
        tables.push(table(shape, counted, race(3, &[ours("clickcast lr", counted, &arguments, &out)])?));
    }
    Ok(tables)
}

fn table(shape: &str, rows: u64, race: Race) -> Table {
    let peak = race.entries.iter().map(|entry| entry.memory_peak_bytes).max().unwrap_or_default();
    let claim =
        Claim { text: format!("{shape}: peak {} MiB; at most 1024", peak >> 20), holds: peak <= MEMORY_MAX_BYTES };
    let about = format!("Predicting {rows} rows of {shape}, two threads.");
    Table { about, race, claims: vec![claim], ..Table::default() }
}
