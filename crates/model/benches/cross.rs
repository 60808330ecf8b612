//! Pairs per second of tree ensembles on products of users and ads: one thread, its CPU time, best of several runs.
//!
//! ```text
//! python crates/model/benches/trees.py DIR          # trains the model
//! CLICKCAST_TREES=DIR cargo bench -p clickcast-model --bench cross
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::PathBuf;

use clickcast_model::trees::{CrossLeft, CrossPlan, CrossRight, CrossScratch, Ensemble, Form, TreeColumn, lightgbm};

const RUNS: usize = 15;

fn main() {
    let Some(folder) = std::env::var_os("CLICKCAST_TREES").map(PathBuf::from) else {
        println!("skipped: CLICKCAST_TREES names no folder made by benches/trees.py");
        return;
    };
    let ensemble = lightgbm::parse(&std::fs::read(folder.join("model.txt")).unwrap()).unwrap();
    let features = ensemble.features().len();
    let bytes = std::fs::read(folder.join("inputs")).unwrap();
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let columns: Vec<Vec<f32>> =
        (0..features).map(|feature| values.iter().skip(feature).step_by(features).copied().collect()).collect();
    // Every third feature is the ad's: 13 of 39.
    let left: Vec<bool> = (0..features).map(|feature| feature % 3 != 2).collect();
    for form in Form::ALL.into_iter().rev().filter(|form| form.is_available()) {
        for (users, ads) in [(256, 1024), (1024, 1024), (256, 10_240), (64, 1024), (1, 10_240)] {
            bench(&ensemble, &columns, &left, form, users, ads);
        }
    }
}

/// The users are the first rows, the ads the last.
fn bench(ensemble: &Ensemble, columns: &[Vec<f32>], is_left: &[bool], form: Form, users: usize, ads: usize) {
    let plan = CrossPlan::with_form(ensemble, is_left, form).unwrap();
    let user_columns: Vec<TreeColumn<'_>> = columns.iter().map(|column| TreeColumn::F32(column)).collect();
    let first_ad = columns[0].len() - ads;
    let ad_columns: Vec<TreeColumn<'_>> = columns.iter().map(|column| TreeColumn::F32(&column[first_ad..])).collect();
    let mut scratch = CrossScratch::default();
    let (mut left, mut right) = (CrossLeft::default(), CrossRight::default());
    let (mut left_ns, mut right_ns, mut score_ns) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    let mut out = vec![0.0; users * ads];
    for _ in 0..RUNS {
        let start = thread_ns();
        plan.left(&user_columns, users, &mut scratch, &mut left).unwrap();
        let left_done = thread_ns();
        plan.right(&ad_columns, ads, &mut scratch, &mut right).unwrap();
        let right_done = thread_ns();
        plan.score(&left, &right, &mut scratch, &mut out).unwrap();
        let done = thread_ns();
        left_ns = left_ns.min(left_done - start);
        right_ns = right_ns.min(right_done - left_done);
        score_ns = score_ns.min(done - right_done);
    }
    check(ensemble, columns, is_left, ads, &out);
    let pairs = (users * ads) as f64;
    println!(
        "{form:?}, {users} x {ads}: {:.2} M pairs/s, with sides made {:.2} M; a user {:.0} ns, an ad {:.0} ns",
        pairs / score_ns * 1e3,
        pairs / (left_ns + right_ns + score_ns) * 1e3,
        left_ns / users as f64,
        right_ns / ads as f64,
    );
}

/// Holds every thousandth pair against the oracle.
fn check(ensemble: &Ensemble, columns: &[Vec<f32>], left: &[bool], ads: usize, out: &[f64]) {
    let first_ad = columns[0].len() - ads;
    for (pair, out) in out.iter().enumerate().step_by(997) {
        let row_of = |is_left| if is_left { pair / ads } else { first_ad + pair % ads };
        let row: Vec<f64> = columns.iter().zip(left).map(|(column, &left)| f64::from(column[row_of(left)])).collect();
        assert_eq!(ensemble.raw_score(&row).to_bits(), out.to_bits());
    }
}

/// CPU time of this thread. The kernel counts it at its ticks or finer, so runs take many milliseconds.
fn thread_ns() -> f64 {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
