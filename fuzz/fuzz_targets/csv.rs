//! A CSV file is read or refused: never a panic, and what was read is whole and the same for any number of threads.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use clickcast_dataset::{Error, Scan, ScanEvent, discover, sample, scan};
use clickcast_record::{Batch, Column, Need, Roles, Schema};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const SCHEMA: &str = r#"
label = "click"
weight = "weight"
time = "time"
feature = [
    { name = "price", kind = "numeric" },
    { name = "site", kind = "categorical" },
    { name = "tags", kind = "multi" },
]
"#;

struct Bench {
    folder: TempDir,
    runtime: Runtime,
    schema: Schema,
    /// The same without weight and time, which most files lack.
    narrow: Schema,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    // A file in memory, where the system has such a place: the disk would be most of the time.
    let memory = PathBuf::from("/dev/shm");
    let root = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let schema = Schema::from_toml(SCHEMA).expect("the schema is one");
    let narrow = schema.with_roles(Roles { label: schema.label().map(str::to_owned), ..Roles::default() });
    Bench {
        folder: tempfile::tempdir_in(root).expect("a temporary folder can be made"),
        runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime starts"),
        narrow: narrow.expect("the schema is one"),
        schema,
    }
});

fuzz_target!(|data: &[u8]| {
    let path = BENCH.folder.path().join("x.csv");
    std::fs::write(&path, data).expect("the file can be written");
    let uri = path.to_str().expect("the path is UTF-8");
    let Ok(inputs) = BENCH.runtime.block_on(discover(uri)) else { return };
    for input in &inputs {
        // Refusals are fine here.
        let _ = sample(input, BENCH.runtime.handle(), 5);
    }
    for schema in [&BENCH.schema, &BENCH.narrow] {
        let need = Need { labels: true, times: true, carried: vec!["site".to_owned()] };
        let read = |threads: usize| {
            let handle = BENCH.runtime.handle();
            let scanned = Scan { inputs: &inputs, schema, need: &need, threads, batches_max: 2 * threads, handle };
            let mut rows = Vec::new();
            let outcome = scan(scanned, check, |step| {
                if let ScanEvent::Rows(batch) = step {
                    rows.push(batch);
                }
                Ok::<(), Error>(())
            });
            (outcome.map_err(|error| error.to_string()), rows)
        };
        assert_eq!(read(1), read(2));
    }
});

/// Checks that every column has a value for every row; gives the rows' number and a rough sum of what is in them.
fn check(batch: Batch) -> (usize, u64) {
    let mut sum = 0_u64;
    let mut add = |value: u64| sum = sum.wrapping_mul(31).wrapping_add(value);
    for column in &batch.features {
        match column {
            Column::Numeric(values) => {
                assert_eq!(values.len(), batch.rows);
                (0..batch.rows).for_each(|row| add(values.get(row).to_bits()));
            }
            Column::Categorical(values) => {
                assert_eq!(values.len(), batch.rows);
                (0..batch.rows).for_each(|row| add(values.get(row).map_or(0, |category| category.hash())));
            }
            Column::Multi(lists) => {
                assert_eq!(lists.offsets.len(), batch.rows + 1);
                assert_eq!(lists.offsets.last(), Some(&lists.values.len()));
                assert!(lists.offsets.is_sorted());
                (0..lists.values.len())
                    .for_each(|item| add(lists.values.get(item).map_or(0, |category| category.hash())));
            }
        }
    }
    assert!(batch.labels.is_some_and(|labels| labels.len() == batch.rows));
    if let Some(weights) = batch.weights {
        assert_eq!(weights.len(), batch.rows);
        assert!(weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0));
    }
    assert!(batch.times.is_none_or(|times| times.len() == batch.rows));
    assert!(batch.carried.iter().all(|(_, values)| values.len() == batch.rows));
    (batch.rows, sum)
}
