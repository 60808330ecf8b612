//! Pairs per second of cross scoring's kernels, on one thread, best of several runs.
//!
//! ```text
//! cargo bench -p clickcast-kernel --bench cross
//! ```
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;

use clickcast_kernel::cross::{LANES, logistic, pair_logits};

const USERS: usize = 8;
/// Ads of a tile, and of all tiles together.
const TILE: usize = 512;
const ADS: usize = 10_240;
const RUNS: usize = 7;

fn main() {
    for (name, width) in [("lr", 0), ("fm, k = 8", 8), ("fm, k = 16", 16), ("ffm, 9 x 7 fields, k = 4", 252)] {
        let users: Vec<f32> = (0..USERS * (1 + width)).map(|index| (index % 13) as f32 / 40.0 - 0.15).collect();
        let panels: Vec<f32> = (0..ADS * (1 + width)).map(|index| (index % 17) as f32 / 50.0 - 0.15).collect();
        let mut out = vec![0.0; USERS * ADS];
        let repeats = 1 + 20_000_000 / (USERS * ADS * (4 + width));
        let mut best = f64::INFINITY;
        for _ in 0..RUNS {
            let start = Instant::now();
            for _ in 0..repeats {
                for first in (0..ADS).step_by(TILE) {
                    let panels = &panels[first * (1 + width)..][..TILE * (1 + width)];
                    pair_logits(black_box(&users), USERS, panels, TILE, width, &mut out[first..], ADS);
                    for user in 0..USERS {
                        logistic(&mut out[user * ADS + first..][..TILE]);
                    }
                }
                black_box(&out);
            }
            best = best.min(start.elapsed().as_secs_f64());
        }
        let pairs = (repeats * USERS * ADS) as f64;
        println!("{name}: {:.0} M pairs/s ({LANES} lanes)", pairs / best / 1e6);
    }
}
