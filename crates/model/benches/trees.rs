//! Rows per second of the tree oracle and of every form of the plan, on one thread, best of several runs.
//!
//! ```text
//! python crates/model/benches/trees.py DIR          # trains the model, prints LightGBM's own rows/s
//! CLICKCAST_TREES=DIR cargo bench -p clickcast-model --bench trees               # every form
//! CLICKCAST_TREES=DIR cargo bench -p clickcast-model --bench trees -- Avx512     # one
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use clickcast_model::trees::{Form, Plan, Scratch, TreeColumn, lightgbm};

/// Rows of one call, about a Parquet batch.
const BATCH_ROWS: usize = 8192;
/// So many runs at least, and for so long.
const RUNS: usize = 7;
const RUNS_S: f64 = 0.5;

fn main() {
    let Some(folder) = std::env::var_os("CLICKCAST_TREES").map(PathBuf::from) else {
        println!("skipped: CLICKCAST_TREES names no folder made by benches/trees.py");
        return;
    };
    let text = std::fs::read(folder.join("model.txt")).unwrap();
    let start = Instant::now();
    let ensemble = lightgbm::parse(&text).unwrap();
    println!("parse: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let features = ensemble.features().len();
    let bytes = std::fs::read(folder.join("inputs")).unwrap();
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let columns: Vec<Vec<f32>> =
        (0..features).map(|feature| values.iter().skip(feature).step_by(features).copied().collect()).collect();
    let rows = columns[0].len() / BATCH_ROWS * BATCH_ROWS;

    let oracle_rows = 3000;
    let row_major: Vec<f64> = values[..oracle_rows * features].iter().map(|&value| f64::from(value)).collect();
    let expected: Vec<f64> = row_major.chunks(features).map(|row| ensemble.raw_score(row)).collect();
    report("oracle", oracle_rows, 1, || row_major.chunks(features).map(|row| ensemble.raw_score(row)).sum());

    let dictionaries: Vec<(Vec<u32>, Vec<f64>)> = columns.iter().map(|column| dictionary(column, rows)).collect();
    let named = |form: Form| std::env::args().any(|argument| argument == format!("{form:?}"));
    let any_named = Form::ALL.into_iter().any(named);
    for form in Form::ALL.into_iter().filter(|&form| named(form) || !any_named) {
        let start = Instant::now();
        let plan = Plan::with_form(&ensemble, form);
        let compile_ms = start.elapsed().as_secs_f64() * 1e3;
        let mut scratch = Scratch::default();
        let mut out = vec![0.0; rows];
        let single: Vec<Source<'_>> = columns.iter().map(|column| Source::F32(column)).collect();
        // One user's candidates: the first two thirds of the columns are the user's.
        let user = |(index, column)| if index * 3 < features * 2 { Source::First(column) } else { Source::F32(column) };
        let candidates: Vec<Source<'_>> = columns.iter().map(Vec::as_slice).enumerate().map(user).collect();
        for batch_rows in [BATCH_ROWS, 256, 100, 50, 16, 8, 1] {
            let total = batch_rows.max(200) / batch_rows * batch_rows;
            for (kind, sources) in [("f32", &single), ("candidates of one user", &candidates)] {
                report(&format!("{form:?}, {kind}, {batch_rows} rows a call"), total, batch_rows, || {
                    score(&plan, sources, batch_rows, &mut scratch, &mut out[..total])
                });
                assert!(kind != "f32" || total < oracle_rows || out[..oracle_rows] == expected);
            }
        }
        // Dictionaries cut to what a batch holds, as a reader's would be.
        let coded: Vec<Source<'_>> = dictionaries.iter().map(|(codes, values)| Source::Coded(codes, values)).collect();
        report(&format!("{form:?}, coded"), rows, BATCH_ROWS, || {
            score(&plan, &coded, BATCH_ROWS, &mut scratch, &mut out)
        });
        println!("{form:?}: compiled in {compile_ms:.1} ms");
    }
}

enum Source<'a> {
    F32(&'a [f32]),
    /// In all rows of a call the first one's value.
    First(&'a [f32]),
    Coded(&'a [u32], &'a [f64]),
}

fn score(plan: &Plan, sources: &[Source<'_>], batch_rows: usize, scratch: &mut Scratch, out: &mut [f64]) -> f64 {
    for (index, out) in out.chunks_mut(batch_rows).enumerate() {
        let at = index * batch_rows;
        let columns: Vec<TreeColumn<'_>> = sources
            .iter()
            .map(|source| match source {
                Source::F32(values) => TreeColumn::F32(&values[at..]),
                Source::First(values) => TreeColumn::Constant(f64::from(values[at])),
                Source::Coded(codes, values) => TreeColumn::Coded { codes: &codes[at..], values },
            })
            .collect();
        plan.score(&columns, out.len(), scratch, out).unwrap();
    }
    out.iter().sum()
}

/// Codes of a column rounded so that it has at most 1000 values, and those values.
fn dictionary(column: &[f32], rows: usize) -> (Vec<u32>, Vec<f64>) {
    let mut values = Vec::new();
    let mut index = HashMap::new();
    let codes = column[..rows]
        .iter()
        .map(|&value| {
            let value = (f64::from(value) * 16.0).round().min(800.0) / 16.0;
            *index.entry(value.to_bits()).or_insert_with(|| {
                values.push(value);
                values.len() as u32 - 1
            })
        })
        .collect();
    (codes, values)
}

fn report(name: &str, rows: usize, call_rows: usize, mut run: impl FnMut() -> f64) {
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    let mut runs = 0;
    // Short runs are many, so that one of them is undisturbed.
    while runs < RUNS || begin.elapsed().as_secs_f64() < RUNS_S {
        runs += 1;
        let start = Instant::now();
        std::hint::black_box(run());
        best = best.min(start.elapsed().as_secs_f64());
    }
    let row_s = best / rows as f64;
    let call_us = row_s * call_rows as f64 * 1e6;
    println!("{name}: {:.1} k rows/s, {:.0} ns a row, {call_us:.2} us a call", 1e-3 / row_s, row_s * 1e9);
}
