//! Few rows a call, as a server gets them: one row, and a hundred candidates for one user.

use anyhow::{Context, Result};

use super::super::measure::race;
use super::super::results::{Claim, Comparison, Table};
use super::super::tools::{Tools, our_kernel, peer};
use super::trees::{LARGE, LIGHTGBM, OURS, SCORE};

/// A load of calls.
struct Load {
    work: &'static str,
    call_rows: u64,
    rows: u64,
    latency_us_max: f64,
}

const LOADS: [Load; 2] = [
    Load { work: "one row a call, 500 trees of 63 leaves", call_rows: 1, rows: 5_000, latency_us_max: 5.0 },
    Load {
        work: "100 candidates for one user a call, 500 trees of 63 leaves",
        call_rows: 100,
        rows: 20_000,
        latency_us_max: 100.0,
    },
];

pub(crate) fn measure(tools: &Tools) -> Result<Vec<Table>> {
    let data = LARGE.data(tools)?;
    LOADS.iter().map(|load| load.table(tools, &data)).collect()
}

impl Load {
    fn table(&self, tools: &Tools, data: &str) -> Result<Table> {
        let Self { work, call_rows, rows, latency_us_max } = *self;
        let (count, call) = (rows.to_string(), call_rows.to_string());
        let mut ours = our_kernel(OURS, rows, data);
        ours.words.push(call.clone());
        let arguments = ["memory", "--engine", "lightgbm", "--data", data, "--model", data, "--rows", &count];
        let lightgbm = peer(LIGHTGBM, rows, SCORE, &[&arguments[..], &["--call-rows", &call]].concat());
        let race = race(tools.size(5, 3), &[ours, lightgbm])?;

        let entry = race.entry(OURS).context("ours is measured")?;
        let latency_us = 1e6 * call_rows as f64 / entry.speed.median();
        let exact = entry.last.number("difference_max")? == 0.0;
        let claims = vec![
            Claim {
                text: format!("{latency_us:.2} us a call; at most {latency_us_max}"),
                holds: latency_us <= latency_us_max,
            },
            Claim { text: "the scores of the model's plain form to the last bit".to_owned(), holds: exact },
        ];
        let comparisons = vec![Comparison { work, ours: OURS, peer: LIGHTGBM, ratio_min: None }];
        let about = format!(
            "{work}: {rows} different rows in turn, one core. LightGBM's single row goes through its function for \
             just that, prepared beforehand; its candidates through `predict`."
        );
        Ok(Table { about, race, baseline: Some(LIGHTGBM), comparisons, claims, ..Table::default() })
    }
}
