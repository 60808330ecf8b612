//! Writes synthetic impressions whose true click probability is known.

use std::ops::Range;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use clickcast_dataset::TableWriter;
use clickcast_synth::{Generator, Optimum, Settings, Truth, features_toml};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rayon::prelude::*;
use serde::Serialize;

use crate::data::write_object;
use crate::observer::Progress;
use crate::resources::pace;
use crate::{Error, Observer, Resources};

const MS_PER_HOUR: i64 = 3_600_000;

/// Users or ads written at a time.
const ENTITIES: u64 = 65_536;

/// The impressions to generate, and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynthesizeRequest {
    /// The market.
    pub settings: Settings,
    /// A Parquet or CSV file, or the folder or prefix that gets a folder `dt=<date>` for each day.
    pub out: String,
    /// The file for the table of users.
    pub users_out: Option<String>,
    /// The file for the table of ads.
    pub ads_out: Option<String>,
    /// The file for the feature schema of the impressions.
    pub schema: Option<String>,
}

impl SynthesizeRequest {
    /// Requests the impressions alone.
    #[must_use]
    pub fn new(settings: Settings, out: impl Into<String>) -> Self {
        Self { settings, out: out.into(), users_out: None, ads_out: None, schema: None }
    }
}

/// What was generated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SynthesizeReport {
    /// Number of impressions.
    pub rows: u64,
    /// Number of users of the market.
    pub users: u64,
    /// Number of ads of the market.
    pub ads: u64,
    /// Number of days.
    pub days: u32,
    /// The market's seed.
    pub seed: u64,
    /// The file, folder or prefix of the impressions.
    pub out: String,
    /// Files of impressions written.
    pub files: usize,
    /// Their total size.
    pub bytes: u64,
    /// Wall time.
    pub seconds: f64,
    /// Rows by the wall time.
    pub rows_per_second: f64,
    /// The metrics of the best possible model; `None` if there are no rows.
    pub optimum: Option<Optimum>,
}

/// The file that an hour's impressions go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The file. Consecutive hours with the same URI share it.
    pub uri: String,
    /// Columns to leave out.
    pub without: &'static [&'static str],
}

/// The impressions that were written.
#[derive(Clone)]
pub struct Written {
    /// Number of files.
    pub files: usize,
    /// Their total size.
    pub bytes: u64,
    /// The accumulated metrics of the true probabilities.
    pub truth: Truth,
}

/// Generates impressions, and on request their users, ads and feature schema.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if a setting is out of its range or a file can't be written as named.
pub fn synthesize(
    resources: &Resources,
    request: &SynthesizeRequest,
    observer: &dyn Observer,
) -> Result<SynthesizeReport, Error> {
    let start = Instant::now();
    let generator = Generator::new(request.settings.clone())?;
    let is_file = is_file(&request.out);
    let destination = |date: &str, _hour: i8| {
        let uri = if is_file {
            request.out.clone()
        } else {
            format!("{}/dt={date}/impressions.parquet", request.out.trim_end_matches('/'))
        };
        Destination { uri, without: &[] }
    };
    let written = write_impressions(resources, &generator, destination, observer)?;
    let settings = generator.settings();
    if let Some(uri) = &request.users_out {
        write_entities(resources, uri, settings.users, |ranks| generator.users(ranks))?;
    }
    if let Some(uri) = &request.ads_out {
        write_entities(resources, uri, settings.ads, |numbers| generator.ads(numbers))?;
    }
    if let Some(uri) = &request.schema {
        write_object(resources, uri, features_toml())?;
    }
    let (seconds, rows_per_second) = pace(start, settings.rows);
    Ok(SynthesizeReport {
        rows: settings.rows,
        users: settings.users,
        ads: settings.ads,
        days: settings.days,
        seed: settings.seed,
        out: request.out.clone(),
        files: written.files,
        bytes: written.bytes,
        seconds,
        rows_per_second,
        optimum: written.truth.optimum(),
    })
}

/// Writes all impressions of a generator. `destination` gets a date, such as `2026-01-05`, and an hour (UTC), and returns
/// the file for the impressions of that hour.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if a file can't be written as named.
pub fn write_impressions(
    resources: &Resources,
    generator: &Generator,
    destination: impl Fn(&str, i8) -> Destination,
    observer: &dyn Observer,
) -> Result<Written, Error> {
    let progress = Progress::rows(observer, "synth", Some(generator.settings().rows));
    let mut files = Files { resources, open: None, files: 0, bytes: 0 };
    let mut truth = Truth::new();
    let blocks: Vec<u64> = (0..generator.blocks()).collect();
    // The blocks of a chunk are made in parallel, then written in order.
    for chunk in blocks.chunks(resources.threads() * 2) {
        let block = |&index: &u64| {
            let (batch, mut truth) = (generator.block(index), Truth::new());
            truth.add(&batch).map(|()| (batch, truth))
        };
        let made: Vec<_> = resources.pool().install(|| chunk.par_iter().map(block).collect());
        for made in made {
            let (batch, block_truth) = made?;
            truth.merge(block_truth);
            for (time, hour) in hours(&batch) {
                files.write(&hour, destination(&time.date().to_string(), time.hour()))?;
            }
            progress.advance(batch.num_rows() as u64)?;
        }
    }
    if files.open.is_none() {
        let empty = RecordBatch::new_empty(generator.schema());
        files.write(&empty, destination(&generator.settings().first_day.to_string(), 0))?;
    }
    files.finish()?;
    Ok(Written { files: files.files, bytes: files.bytes, truth })
}

/// Files of impressions, of which one is open.
struct Files<'a> {
    resources: &'a Resources,
    open: Option<(String, TableWriter)>,
    files: usize,
    bytes: u64,
}

impl Files<'_> {
    /// Writes a batch to its file, and finishes the last file if that is another one.
    fn write(&mut self, batch: &RecordBatch, destination: Destination) -> Result<(), Error> {
        let part = leave_out(batch, destination.without)?;
        if self.open.as_ref().is_none_or(|(uri, _)| *uri != destination.uri) {
            self.finish()?;
            let writer = TableWriter::create(&destination.uri, self.resources.handle(), part.schema())?;
            self.open = Some((destination.uri, writer));
        }
        if let Some((_, writer)) = &mut self.open {
            writer.write(&part)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        if let Some((_, writer)) = self.open.take() {
            self.bytes += writer.finish()?;
            self.files += 1;
        }
        Ok(())
    }
}

/// Returns whether a URI names a single file.
fn is_file(uri: &str) -> bool {
    let name = uri.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    [".parquet", ".csv", ".csv.gz"].iter().any(|ending| name.ends_with(ending))
}

/// Cuts a batch, whose rows are in order of time, into its hours.
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

fn leave_out(batch: &RecordBatch, without: &[&str]) -> Result<RecordBatch, Error> {
    let schema = batch.schema();
    let is_kept = |index: &usize| !without.contains(&schema.field(*index).name().as_str());
    let kept: Vec<usize> = (0..schema.fields().len()).filter(is_kept).collect();
    batch.project(&kept).map_err(|error| Error::invalid(error.to_string()))
}

fn write_entities(
    resources: &Resources,
    uri: &str,
    count: u64,
    make: impl Fn(Range<u64>) -> RecordBatch,
) -> Result<(), Error> {
    let mut writer = TableWriter::create(uri, resources.handle(), make(0..0).schema())?;
    for first in (0..count).step_by(ENTITIES as usize) {
        writer.write(&make(first..(first + ENTITIES).min(count)))?;
    }
    writer.finish()?;
    Ok(())
}
