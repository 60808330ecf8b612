//! Readers follow the pointer, with the program of `docs/runs.md` in a real DuckDB.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::process::{Command, Stdio};

use clickcast_testing::skip;
use serde_json::Value;
use support::World;

/// Returns a Python with DuckDB; if it can't be installed, records the test as skipped.
fn python() -> Option<String> {
    let script = skip::workspace_root().join("scripts/services/duckdb.sh");
    let output = Command::new(script).stderr(Stdio::inherit()).output();
    let printed = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let python = printed.lines().find_map(|line| line.strip_prefix("PYTHON=")).map(str::to_owned);
    if python.is_none() {
        skip::because("DuckDB can't be installed");
    }
    python
}

/// Returns the first program of the document.
fn program() -> String {
    let text = std::fs::read_to_string(skip::workspace_root().join("docs/runs.md")).unwrap();
    let (_, after) = text.split_once("```python\n").unwrap();
    after.split_once("```").unwrap().0.to_owned()
}

#[test]
fn duckdb_sees_the_whole_published_run_and_no_other() {
    let Some(python) = python() else { return };
    let world = World::new();
    world.json("synth --rows 6000 --days 3 --out days --schema features.toml");
    world.json("train --data days/dt=2026-01-05 --schema features.toml --family lr --out model");
    let script = world.write("reader.py", program());
    let read = || -> Value {
        let output = Command::new(&python).arg(&script).arg(world.path("out")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let rows = |run: &str| world.json(&format!("runs show {run} --out out"))["rows"].clone();
    let stage = |run: &str, days: &str| {
        world.json(&format!("predict --model model --data {days} --out out --run {run}"));
    };
    let deliver = |run: &str| {
        world.json(&format!("runs close {run} --out out"));
        assert_eq!(world.json(&format!("runs audit {run} --out out"))["verdict"], "pass");
        world.json(&format!("runs publish {run} --out out"));
    };
    stage("first", "days/dt=2026-01-06");
    deliver("first");
    let first = read();
    assert_eq!((&first["run"], &first["rows"]), (&"first".into(), &rows("first")));
    assert!(first["mean"].as_f64().is_some_and(|mean| mean > 0.0 && mean < 1.0), "{first}");
    // Readers see neither a staged run nor a closed one, nor a file that is not in the manifest.
    stage("second", "days");
    assert_eq!(read(), first);
    let stray = world.path("out/runs/first/ctr/stray.parquet");
    std::fs::copy(world.path("out/runs/second/ctr/dt=2026-01-06/impressions.parquet"), stray).unwrap();
    assert_eq!(read(), first);
    deliver("second");
    let second = read();
    assert_eq!((&second["run"], &second["rows"]), (&"second".into(), &6000.into()));
    world.json("runs rollback --reason wrong --out out");
    assert_eq!(read(), first);
}
