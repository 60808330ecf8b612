//! `clickcast synth`: makes impressions whose true CTR is known.

use std::time::Instant;

use clickcast_dataset::TableWriter;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::{Context, pace};
use crate::arguments::SynthArguments;
use crate::console;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::synth::{self, Generator, Settings, Truth};

pub(super) fn run(context: &Context, arguments: &SynthArguments) -> Result<(), Failure> {
    let outcome = synthesize(context, arguments)?;
    console::result(&outcome, context.json)
}

/// Writes the impressions; what to report comes back.
pub(super) fn synthesize(context: &Context, arguments: &SynthArguments) -> Result<Value, Failure> {
    let start = Instant::now();
    let defaults = Settings::for_rows(arguments.rows);
    let generator = Generator::new(Settings {
        users: arguments.users.unwrap_or(defaults.users),
        ads: arguments.ads.unwrap_or(defaults.ads),
        days: arguments.days,
        seed: arguments.seed,
        ..defaults
    })
    .map_err(Failure::input)?;
    let mut writer = TableWriter::create(&arguments.out, context.runtime.handle(), generator.schema())?;
    let progress = Progress::new("synth", Some(arguments.rows), context.quiet);
    let mut truth = Truth::new();
    let blocks: Vec<u64> = (0..generator.blocks()).collect();
    // Blocks of one chunk are made side by side, then written in order.
    for chunk in blocks.chunks(context.threads * 2) {
        let made: Vec<_> = context.pool.install(|| {
            let block = |&index: &u64| {
                let (batch, mut truth) = (generator.block(index), Truth::new());
                truth.add(&batch).map(|()| (batch, truth))
            };
            chunk.par_iter().map(block).collect()
        });
        for made in made {
            let (batch, block_truth) = made.map_err(Failure::input)?;
            writer.write(&batch)?;
            truth.merge(&block_truth);
            progress.add(batch.num_rows() as u64);
        }
    }
    let written = writer.finish()?;
    drop(progress);
    if let Some(path) = &arguments.schema {
        std::fs::write(path, synth::features_toml())
            .map_err(|error| Failure::input(format!("`{}`: {error}", path.display())))?;
    }
    let (seconds, rows_per_second) = pace(start, arguments.rows);
    let settings = generator.settings();
    Ok(json!({
        "rows": arguments.rows,
        "users": settings.users,
        "ads": settings.ads,
        "days": settings.days,
        "seed": settings.seed,
        "out": arguments.out,
        "bytes": written,
        "seconds": seconds,
        "rows_per_second": rows_per_second,
        "optimum": truth.optimum(),
    }))
}
