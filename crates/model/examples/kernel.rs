//! Scores rows in memory with a LightGBM model, for `cargo xtask bench`: rows, CPU seconds, and whether LightGBM's raw
//! scores come out.
//!
//! ```text
//! kernel FOLDER ROWS                 # FOLDER as `bench/trees.py make` writes it
//! kernel FOLDER ROWS CALL_ROWS       # calls of so many rows: the candidates for one user
//! ```
//!
//! Of a call's candidates the first two thirds of the columns are the user's, whose values the first row has.
//! Numeric columns are given as `f32` values, so that binning is part of the work; categorical ones as codes into a
//! dictionary, as Parquet holds them.

#![allow(clippy::print_stdout, reason = "the answer is printed")]

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

use clickcast_model::trees::{FeatureKind, Form, Plan, Scratch, TreeColumn, lightgbm};
use rustix::time::{ClockId, clock_gettime};

/// As many rows as a batch of a Parquet file's 39 columns has.
const BATCH_ROWS: usize = 32 * 1024;
/// Passes over the rows go on until the clock has something to measure.
const CPU_S_MIN: f64 = 0.5;

enum Values {
    Numbers(Vec<f32>),
    Coded { codes: Vec<u32>, values: Vec<f64> },
}

impl Values {
    fn new(column: &[f32], kind: FeatureKind) -> Self {
        if kind != FeatureKind::Categorical {
            return Self::Numbers(column.to_vec());
        }
        let (mut values, mut index) = (Vec::new(), HashMap::new());
        let mut code = |value: &f32| {
            *index.entry(value.to_bits()).or_insert_with(|| {
                values.push(f64::from(*value));
                values.len() as u32 - 1
            })
        };
        let codes = column.iter().map(&mut code).collect();
        Self::Coded { codes, values }
    }

    /// The value of this row for all rows.
    fn constant(&self, row: usize) -> TreeColumn<'_> {
        TreeColumn::Constant(self.value(row))
    }

    fn value(&self, row: usize) -> f64 {
        match self {
            Self::Numbers(values) => f64::from(values[row]),
            Self::Coded { codes, values } => values[codes[row] as usize],
        }
    }

    fn from(&self, row: usize) -> TreeColumn<'_> {
        match self {
            Self::Numbers(values) => TreeColumn::F32(&values[row..]),
            Self::Coded { codes, values } => TreeColumn::Coded { codes: &codes[row..], values },
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, rows, call_rows) = match arguments.as_slice() {
        [folder, rows] => (Path::new(folder), rows.parse::<usize>()?, None),
        [folder, rows, call_rows] => (Path::new(folder), rows.parse()?, Some(call_rows.parse::<usize>()?)),
        _ => return Err("usage: kernel FOLDER ROWS [CALL_ROWS]".into()),
    };
    let ensemble = lightgbm::parse(&std::fs::read(folder.join("model.txt"))?)?;
    let mut expected: Vec<f64> = numbers(&folder.join("raw"), f64::from_le_bytes)?;
    let all: Vec<f32> = numbers(&folder.join("rows"), f32::from_le_bytes)?;
    let columns: Vec<Values> = ensemble
        .features()
        .iter()
        .zip(all.chunks(expected.len()))
        .map(|(feature, column)| Values::new(&column[..rows], feature.kind))
        .collect();
    let batch_rows = call_rows.unwrap_or(BATCH_ROWS);
    let of_user = if call_rows.is_some() { columns.len() * 2 / 3 } else { 0 };
    if call_rows.is_some() {
        // Rows that LightGBM hasn't scored: the model's plain form says what they are worth.
        let row = |row: usize| {
            let user = row / batch_rows * batch_rows;
            let place = |(index, column): (usize, &Values)| column.value(if index < of_user { user } else { row });
            ensemble.raw_score(&columns.iter().enumerate().map(place).collect::<Vec<_>>())
        };
        expected = (0..rows).map(row).collect();
    }

    let plan = Plan::new(&ensemble);
    let (mut scratch, mut out) = (Scratch::default(), vec![0.0; rows]);
    let mut call = Vec::new();
    let mut pass = |out: &mut [f64]| {
        out.chunks_mut(batch_rows).enumerate().try_for_each(|(batch, out)| {
            let row = batch * batch_rows;
            call.clear();
            call.extend(columns[..of_user].iter().map(|column| column.constant(row)));
            call.extend(columns[of_user..].iter().map(|column| column.from(row)));
            plan.score(&call, out.len(), &mut scratch, out)
        })
    };
    pass(&mut out)?;
    let (start, mut passes, mut cpu_s) = (cpu_seconds(), 0, 0.0);
    while cpu_s < CPU_S_MIN {
        pass(&mut out)?;
        passes += 1;
        cpu_s = cpu_seconds() - start;
    }
    let differences = out.iter().zip(&expected).map(|(found, expected)| (found - expected).abs());
    let report = serde_json::json!({
        "rows": rows * passes,
        "cpu_seconds": cpu_s,
        "difference_max": differences.fold(0.0, f64::max),
        "form": format!("{:?}", Form::best()),
    });
    println!("{report}");
    Ok(())
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn numbers<T, const N: usize>(path: &Path, read: fn([u8; N]) -> T) -> Result<Vec<T>, Box<dyn Error>> {
    Ok(std::fs::read(path)?.as_chunks().0.iter().map(|bytes| read(*bytes)).collect())
}
