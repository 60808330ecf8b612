//! Memory follows batches, never the size of a file or of a row group.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::process::Command;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray};
use clickcast_dataset::{Error, Scan, ScanEvent, scan};
use clickcast_record::{Need, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use support::World;

/// Names the file, in the process that is measured.
const VARIABLE: &str = "CLICKCAST_TEST_MEMORY_OF";
const ROWS: usize = 3_000_000;
const PAIRS: usize = 8;
/// Less than the row group takes decoded: `ROWS * PAIRS * 12` bytes are 275 MiB.
const PEAK_MAX_MIB: u64 = 200;

fn schema() -> Schema {
    let feature = |column: usize| {
        format!(
            "[[feature]]\nname = \"n{column}\"\nkind = \"numeric\"\n[[feature]]\nname = \"c{column}\"\nkind = \"categorical\"\n"
        )
    };
    Schema::from_toml(&(0..PAIRS).map(feature).collect::<String>()).unwrap()
}

fn batch(first: usize, rows: usize) -> RecordBatch {
    let random = |row: usize| (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let values: ArrayRef = Arc::new((0..1000).map(|value| Some(format!("v{value}"))).collect::<StringArray>());
    let columns = (0..PAIRS).flat_map(|column| {
        let numbers = (first..first + rows).map(|row| Some(random(row * PAIRS + column) as f64));
        let codes: Int32Array = (first..first + rows).map(|row| (random(row + column) % 1000) as i32).collect();
        let categories = DictionaryArray::<Int32Type>::try_new(codes, values.clone()).unwrap();
        let numbers: ArrayRef = Arc::new(numbers.collect::<Float64Array>());
        let categories: ArrayRef = Arc::new(categories);
        [(format!("n{column}"), numbers), (format!("c{column}"), categories)]
    });
    RecordBatch::try_from_iter(columns).unwrap()
}

fn write(path: &std::path::Path) {
    let properties =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_max_row_group_row_count(None).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch(0, 1).schema(), Some(properties)).unwrap();
    for first in (0..ROWS).step_by(100_000) {
        writer.write(&batch(first, 100_000)).unwrap();
    }
    assert_eq!(writer.close().unwrap().num_row_groups(), 1);
}

/// Peak memory of this process so far.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn measured(uri: &str) {
    let world = World::new();
    let (inputs, schema, need) = (world.inputs(uri).unwrap(), schema(), Need::default());
    let handle = world.runtime.handle();
    let scanned = Scan { inputs: &inputs, schema: &schema, need: &need, threads: 2, batches_max: 12, handle };
    let mut rows = 0;
    let each = |step: ScanEvent<usize>| {
        if let ScanEvent::Rows(batch_rows) = step {
            rows += batch_rows;
        }
        Ok::<(), Error>(())
    };
    scan(scanned, |batch| batch.rows, each).unwrap();
    assert_eq!(rows, ROWS);
    let peak = peak_mib();
    eprintln!("peak memory: {peak} MiB");
    assert!(peak < PEAK_MAX_MIB, "{peak} MiB");
}

#[test]
fn one_row_group_of_millions_of_rows_is_read_in_bounded_memory() {
    if let Ok(uri) = std::env::var(VARIABLE) {
        return measured(&uri);
    }
    let world = World::new();
    let path = world.path("a.parquet");
    write(&path);
    // In a process of its own, whose peak is the reader's alone.
    let name = "one_row_group_of_millions_of_rows_is_read_in_bounded_memory";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args([name, "--exact", "--nocapture"]).env(VARIABLE, &path).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("peak memory"), "{printed}");
    eprintln!("{printed}");
}
