//! `clickcast synth`: makes impressions whose true CTR is known.

use std::ops::Range;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use clickcast_dataset::TableWriter;
use clickcast_operations::data::write_object;
use clickcast_synth::{Generator, Settings, Truth, features_toml};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::{Context, pace};
use crate::arguments::SynthArguments;
use crate::console;
use crate::failure::Failure;
use crate::progress::Progress;

const MS_PER_HOUR: i64 = 3_600_000;
/// Users or ads written at a time.
const ENTITIES: u64 = 65_536;

/// Where an hour's impressions go.
pub(super) struct Destination {
    /// Hours in a row with the same one share a file.
    pub(super) uri: String,
    /// Columns to leave out.
    pub(super) without: &'static [&'static str],
}

/// What was written, and how well it could be predicted at best.
#[derive(Default)]
pub(super) struct Written {
    pub(super) files: usize,
    pub(super) bytes: u64,
    pub(super) truth: Option<Truth>,
}

pub(super) fn run(context: &Context, arguments: &SynthArguments) -> Result<(), Failure> {
    let outcome = synthesize(context, arguments)?;
    console::result(&outcome, context.json)
}

fn synthesize(context: &Context, arguments: &SynthArguments) -> Result<Value, Failure> {
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
    let name = arguments.out.rsplit('/').next().unwrap_or_default();
    let is_file = [".parquet", ".csv", ".csv.gz"].iter().any(|ending| name.to_ascii_lowercase().ends_with(ending));
    let written = write(context, &generator, |date, _| {
        let uri = match is_file {
            true => arguments.out.clone(),
            false => format!("{}/dt={date}/impressions.parquet", arguments.out.trim_end_matches('/')),
        };
        Destination { uri, without: &[] }
    })?;
    if let Some(uri) = &arguments.users_out {
        write_entities(context, uri, generator.settings().users, |range| generator.users(range))?;
    }
    if let Some(uri) = &arguments.ads_out {
        write_entities(context, uri, generator.settings().ads, |range| generator.ads(range))?;
    }
    if let Some(uri) = &arguments.schema {
        write_schema(context, uri)?;
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
        "files": written.files,
        "bytes": written.bytes,
        "seconds": seconds,
        "rows_per_second": rows_per_second,
        "optimum": written.truth.and_then(|truth| truth.optimum()),
    }))
}

/// Writes the schema that fits the impressions.
pub(super) fn write_schema(context: &Context, uri: &str) -> Result<(), Failure> {
    Ok(write_object(&context.resources, uri, features_toml())?)
}

/// Writes all impressions, those of each date and hour to where `destination` says.
pub(super) fn write(
    context: &Context,
    generator: &Generator,
    destination: impl Fn(&str, i8) -> Destination,
) -> Result<Written, Failure> {
    let rows = generator.settings().rows;
    let progress = Progress::new("synth", Some(rows), context.quiet);
    let mut written = Written::default();
    let mut open: Option<(String, TableWriter)> = None;
    let mut truth = Truth::new();
    let blocks: Vec<u64> = (0..generator.blocks()).collect();
    // Blocks of one chunk are made side by side, then written in order.
    for chunk in blocks.chunks(context.resources.threads() * 2) {
        let block = |&index: &u64| {
            let (batch, mut truth) = (generator.block(index), Truth::new());
            truth.add(&batch).map(|()| (batch, truth))
        };
        let made: Vec<_> = context.resources.pool().install(|| chunk.par_iter().map(block).collect());
        for made in made {
            let (batch, block_truth) = made.map_err(Failure::input)?;
            truth.merge(block_truth);
            for (time, part) in hours(&batch) {
                let Destination { uri, without } = destination(&time.date().to_string(), time.hour());
                let part = leave_out(&part, without)?;
                if open.as_ref().is_none_or(|(current, _)| *current != uri) {
                    finish(&mut written, open.take())?;
                    open = Some((uri.clone(), TableWriter::create(&uri, context.runtime.handle(), part.schema())?));
                }
                if let Some((_, writer)) = &mut open {
                    writer.write(&part)?;
                }
            }
            progress.add(batch.num_rows() as u64);
        }
    }
    if open.is_none() {
        let Destination { uri, without } = destination(&generator.settings().first_day.to_string(), 0);
        let empty = leave_out(&RecordBatch::new_empty(generator.schema()), without)?;
        open = Some((uri.clone(), TableWriter::create(&uri, context.runtime.handle(), empty.schema())?));
    }
    finish(&mut written, open)?;
    written.truth = Some(truth);
    Ok(written)
}

fn finish(written: &mut Written, open: Option<(String, TableWriter)>) -> Result<(), Failure> {
    if let Some((_, writer)) = open {
        written.bytes += writer.finish()?;
        written.files += 1;
    }
    Ok(())
}

/// Cuts a batch, whose rows are in the order of time, into its hours.
fn hours(batch: &RecordBatch) -> Vec<(DateTime, RecordBatch)> {
    let Some(times) =
        batch.column_by_name("ts").and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>())
    else {
        return Vec::new();
    };
    let times = times.values();
    let mut hours = Vec::new();
    let mut first = 0;
    while first < times.len() {
        let hour = times[first].div_euclid(MS_PER_HOUR);
        let end = first + times[first..].partition_point(|&time| time.div_euclid(MS_PER_HOUR) <= hour);
        let time = Timestamp::from_millisecond(hour * MS_PER_HOUR).unwrap_or_default();
        hours.push((TimeZone::UTC.to_datetime(time), batch.slice(first, end - first)));
        first = end;
    }
    hours
}

fn leave_out(batch: &RecordBatch, without: &[&str]) -> Result<RecordBatch, Failure> {
    let schema = batch.schema();
    let kept: Vec<usize> =
        (0..schema.fields().len()).filter(|&index| !without.contains(&schema.field(index).name().as_str())).collect();
    batch.project(&kept).map_err(Failure::input)
}

fn write_entities(
    context: &Context,
    uri: &str,
    count: u64,
    make: impl Fn(Range<u64>) -> RecordBatch,
) -> Result<(), Failure> {
    let mut writer = TableWriter::create(uri, context.runtime.handle(), make(0..0).schema())?;
    for first in (0..count).step_by(ENTITIES as usize) {
        writer.write(&make(first..(first + ENTITIES).min(count)))?;
    }
    writer.finish()?;
    Ok(())
}
