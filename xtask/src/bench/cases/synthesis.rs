//! `clickcast synth`: ten million impressions in under a minute.

use anyhow::{Context, Result};

use super::super::WORK;
use super::super::measure::race;
use super::super::results::{Claim, Table};
use super::super::tools::{Tools, ours};

/// The promise, in seconds for ten million rows on two cores.
const WALL_S_MAX: f64 = 60.0;

pub(crate) fn measure(tools: &Tools) -> Result<Vec<Table>> {
    let rows: u64 = tools.size(10_000_000, 1_000_000);
    let out = format!("{WORK}/synthesized.parquet");
    let arguments = ["synth", "--rows", &rows.to_string(), "--out", &out, "--json"];
    let race = race(3, &[ours("clickcast synth", rows, &arguments, &out)])?;
    let wall_s = race.entries.first().context("ours is measured")?.wall_s.median();
    let claim =
        || Claim { text: format!("{rows} rows in {wall_s:.1} s; at most {WALL_S_MAX}"), holds: wall_s <= WALL_S_MAX };
    let claims = if tools.quick { Vec::new() } else { vec![claim()] };
    Ok(vec![Table { about: format!("Writing {rows} impressions on all cores."), race, claims, ..Table::default() }])
}
