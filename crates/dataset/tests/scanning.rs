//! Order, bounds and failures of a scan.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clickcast_dataset::{Error, Scan, ScanEvent, scan};
use clickcast_record::{Need, Schema};
use clickcast_storage::{Fault, Operation, Store};
use parquet::basic::Compression;
use proptest::prelude::{ProptestConfig, prop, proptest};
use support::{SCHEMA, World, csv, everything, expected, parquet, said, table};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rows_come_in_input_order_whatever_the_threads(
        files in prop::collection::vec(prop::collection::vec(0..900_usize, 1..4), 1..5),
        threads in 1..6_usize,
    ) {
        let world = World::new();
        let (mut first, mut wanted) = (0, Vec::new());
        for (number, groups) in files.iter().enumerate() {
            let rows: usize = groups.iter().sum();
            if number % 2 == 0 {
                let mut batches = Vec::new();
                let mut begin = first;
                for &rows in groups {
                    batches.push(table(begin, rows));
                    begin += rows;
                }
                world.write(&format!("in/{number}.parquet"), parquet(&batches, Compression::SNAPPY, true));
            } else {
                world.write(&format!("in/{number}.csv"), csv(first..first + rows));
            }
            wanted.extend((first..first + rows).map(expected));
            first += rows;
        }
        let inputs = world.inputs(&world.uri("in")).unwrap();
        let rows = world.rows(&inputs, SCHEMA, &everything(), threads).unwrap();
        assert!(rows == wanted, "{} rows of {}", rows.len(), wanted.len());
    }
}

/// Scans and counts the rows; `each` sees at every batch how many others are mapped and wait.
fn counted(world: &World, uri: &str, batches_max: usize, threads: usize, mut each: impl FnMut(usize)) -> usize {
    let schema = Schema::from_toml(SCHEMA).unwrap();
    let (inputs, need) = (world.inputs(uri).unwrap(), Need::default());
    let handle = world.runtime.handle();
    let scanned = Scan { inputs: &inputs, schema: &schema, need: &need, threads, batches_max, handle };
    let mut rows = 0;
    let mapped = AtomicUsize::new(0);
    let mut taken = 0;
    let outcome = scan(
        scanned,
        |batch| {
            mapped.fetch_add(1, Ordering::SeqCst);
            batch.rows
        },
        |step| {
            if let ScanEvent::Rows(batch_rows) = step {
                taken += 1;
                each(mapped.load(Ordering::SeqCst) - taken);
                rows += batch_rows;
            }
            Ok::<(), Error>(())
        },
    );
    outcome.unwrap();
    rows
}

#[test]
fn a_slow_sink_lets_no_more_batches_pile_up_than_allowed() {
    const ROWS: usize = 1_000_000;
    let world = World::new();
    let mut text = String::from("age,os,tags\n");
    text += &"1,ios,a\n".repeat(ROWS);
    let uri = world.write("a.csv", text);
    let mut most = 0;
    let rows = counted(&world, &uri, 3, 2, |waiting| {
        most = most.max(waiting);
        for _ in 0..1000 {
            std::thread::yield_now();
        }
    });
    assert_eq!(rows, ROWS);
    assert!(most <= 3, "{most} batches waited");
}

#[test]
fn files_without_row_groups_are_opened_no_further_ahead_than_batches() {
    const EMPTY: usize = 60;
    const BATCHES_MAX: usize = 3;
    let world = World::new();
    let none = parquet(&[table(0, 0)], Compression::SNAPPY, true);
    let mut names: Vec<(String, Vec<u8>)> =
        (0..EMPTY).map(|number| (format!("{number:02}.parquet"), none.clone())).collect();
    names.push(("full.parquet".to_owned(), parquet(&[table(0, 900)], Compression::SNAPPY, true)));
    let objects: Vec<(&str, Vec<u8>)> = names.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    let store = world.remote(&objects).with_faults(move |operation, _| {
        count.fetch_add(usize::from(operation == Operation::Get), Ordering::SeqCst);
        None
    });
    let (inputs, handle) = (world.inputs_in(&store), world.runtime.handle());
    let (schema, need) = (Schema::from_toml(SCHEMA).unwrap(), Need::default());
    clickcast_dataset::sample(&inputs[0], handle, 1).unwrap();
    let for_one = requests.swap(0, Ordering::SeqCst);
    let scanned = Scan { inputs: &inputs, schema: &schema, need: &need, threads: 2, batches_max: BATCHES_MAX, handle };
    let (mut rows, mut ended) = (0, 0);
    let outcome = scan(
        scanned,
        |batch| batch.rows,
        |step| {
            // Whoever might run ahead gets the time to.
            for _ in 0..1000 {
                std::thread::yield_now();
            }
            match step {
                ScanEvent::Rows(batch_rows) => rows += batch_rows,
                ScanEvent::End(_) => ended += 1,
                ScanEvent::Begin(input) if input < EMPTY => {
                    let opened = requests.load(Ordering::SeqCst).div_ceil(for_one);
                    assert!(opened <= ended + BATCHES_MAX + 1, "{opened} files opened, {ended} ended");
                }
                ScanEvent::Begin(_) => {}
            }
            Ok::<(), Error>(())
        },
    );
    outcome.unwrap();
    assert_eq!((rows, ended), (900, EMPTY + 1));
}

#[test]
fn wide_tables_come_in_smaller_batches() {
    // Columns of 8 bytes in 2 MiB, but never so few rows that a batch's overhead is felt.
    for (columns, expected) in [(2, 5000), (128, 2048), (600, 1024)] {
        let world = World::new();
        let names: Vec<String> = (0..columns).map(|column| format!("c{column}")).collect();
        let schema: String =
            names.iter().map(|name| format!("[[feature]]\nname = \"{name}\"\nkind = \"numeric\"\n")).collect();
        let text = format!("{}\n{}", names.join(","), format!("{}\n", vec!["1"; columns].join(",")).repeat(5000));
        let uri = world.write("a.csv", text);
        let schema = Schema::from_toml(&schema).unwrap();
        let (inputs, need, handle) = (world.inputs(&uri).unwrap(), Need::default(), world.runtime.handle());
        let scanned = Scan { inputs: &inputs, schema: &schema, need: &need, threads: 2, batches_max: 4, handle };
        let mut most = 0;
        scan(
            scanned,
            |batch| batch.rows,
            |step| {
                if let ScanEvent::Rows(rows) = step {
                    most = most.max(rows);
                }
                Ok::<(), Error>(())
            },
        )
        .unwrap();
        assert_eq!(most, expected, "{columns} columns");
    }
}

#[test]
fn an_input_without_rows_gives_one_empty_batch_which_shows_its_columns() {
    let world = World::new();
    let schema = Schema::from_toml(SCHEMA).unwrap();
    let carried = ["ts", "id", "dt"].map(str::to_owned).to_vec();
    let need = Need { labels: true, times: true, carried: carried.clone() };
    let groups = |rows: usize| parquet(&[table(0, rows), table(0, 0)], Compression::SNAPPY, true);
    for (ending, none, some) in [
        ("csv", csv(0..0).into_bytes(), csv(0..9).into_bytes()),
        ("csv.gz", support::gzip(csv(0..0).as_bytes()), support::gzip(csv(0..9).as_bytes())),
        ("parquet", groups(0), groups(9)),
    ] {
        world.write(&format!("{ending}/dt=1/none.{ending}"), none);
        world.write(&format!("{ending}/dt=1/some.{ending}"), some);
        let inputs = world.inputs(&world.uri(ending)).unwrap();
        let handle = world.runtime.handle();
        let scanned = Scan { inputs: &inputs, schema: &schema, need: &need, threads: 2, batches_max: 4, handle };
        let mut batches = Vec::new();
        let collect = |step| {
            batches.extend(if let ScanEvent::Rows(batch) = step { Some(batch) } else { None });
            Ok::<(), Error>(())
        };
        scan(scanned, |batch| batch, collect).unwrap();
        assert_eq!(batches.iter().map(|batch| batch.rows).collect::<Vec<_>>(), [0, 9], "{ending}");
        let [none, some] = &batches[..] else { panic!("there are two batches") };
        let columns = |batch: &clickcast_record::Batch| {
            let columns = batch.carried.iter().map(|(name, array)| (name.clone(), array.data_type().clone()));
            columns.collect::<Vec<_>>()
        };
        assert_eq!(columns(none), columns(some), "{ending}");
        assert!(columns(none).iter().map(|(name, _)| name).eq(&carried), "{ending}");
    }
}

#[test]
fn a_sinks_error_ends_the_scan_at_once() {
    let world = World::new();
    let uri = world.write("a.parquet", parquet(&[table(0, 500), table(500, 500)], Compression::SNAPPY, true));
    let schema = Schema::from_toml(SCHEMA).unwrap();
    let (inputs, need, handle) = (world.inputs(&uri).unwrap(), Need::default(), world.runtime.handle());
    let scanned = Scan { inputs: &inputs, schema: &schema, need: &need, threads: 2, batches_max: 4, handle };
    let mut calls = 0;
    let outcome = scan(
        scanned,
        |batch| batch.rows,
        |step| {
            calls += 1;
            match step {
                ScanEvent::Rows(_) => Err(Error::file("out", "full")),
                _ => Ok(()),
            }
        },
    );
    assert_eq!((said(&outcome.unwrap_err()).as_str(), calls), ("`out`: full", 2));
}

#[test]
#[should_panic(expected = "the sink's own")]
fn a_sink_that_panics_ends_the_scan_and_is_heard() {
    let world = World::new();
    let uri = world.write("a.parquet", parquet(&[table(0, 500), table(500, 500)], Compression::SNAPPY, true));
    let schema = Schema::from_toml(SCHEMA).unwrap();
    let (inputs, need, handle) = (world.inputs(&uri).unwrap(), Need::default(), world.runtime.handle());
    let scanned = Scan { inputs: &inputs, schema: &schema, need: &need, threads: 2, batches_max: 4, handle };
    drop(scan(scanned, drop, |_| -> Result<(), Error> { panic!("the sink's own") }));
}

/// Text that no compression shortens much, and no schema asks for.
fn noise(seed: usize) -> String {
    let mut bits = seed as u64;
    let letter = |_| {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + (bits >> 33) as u8 % 26)
    };
    (0..300).map(letter).collect()
}

fn noisy_csv(rows: std::ops::Range<usize>) -> Vec<u8> {
    let first = rows.start;
    let text = csv(rows);
    let noisy = text.lines().enumerate().map(|(line, text)| match line {
        0 => format!("{text},noise\n"),
        _ => format!("{text},{}\n", noise(first + line)),
    });
    noisy.collect::<String>().into_bytes()
}

fn noisy_table(first: usize, rows: usize) -> arrow_array::RecordBatch {
    let table = table(first, rows);
    let noise: arrow_array::ArrayRef =
        Arc::new((0..rows).map(|row| Some(noise(first + row))).collect::<arrow_array::StringArray>());
    let schema = table.schema();
    let columns = schema.fields().iter().zip(table.columns()).map(|(field, column)| (field.name(), column.clone()));
    let columns: Vec<_> = columns.map(|(name, column)| (name.as_str(), column)).chain([("noise", noise)]).collect();
    arrow_array::RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap()
}

/// Objects of every format in a store, each too large to be read by one request.
fn objects() -> [(&'static str, Vec<u8>); 4] {
    [
        ("a.parquet", parquet(&[noisy_table(0, 2000), noisy_table(2000, 500)], Compression::SNAPPY, true)),
        ("b.csv", noisy_csv(2500..5000)),
        ("c.csv.gz", support::gzip(&noisy_csv(5000..7500))),
        ("d.csv.zst", zstd::encode_all(noisy_csv(7500..10_000).as_slice(), 1).unwrap()),
    ]
}

/// Objects that are read by one request each.
fn small_objects() -> [(&'static str, Vec<u8>); 2] {
    [
        ("a.parquet", parquet(&[table(0, 2000), table(2000, 500)], Compression::SNAPPY, true)),
        ("b.csv", csv(0..2500).into_bytes()),
    ]
}

#[test]
fn a_store_far_away_gives_the_same_rows() {
    let world = World::new();
    let store = world.remote(&objects());
    for threads in [1, 2, 5] {
        let rows = world.rows(&world.inputs_in(&store), SCHEMA, &everything(), threads).unwrap();
        assert!(rows == (0..10_000).map(expected).collect::<Vec<_>>());
    }
}

#[test]
fn whatever_the_store_refuses_is_transient_and_never_a_damaged_file() {
    let world = World::new();
    for (object, is_small) in
        objects().map(|object| (object, false)).into_iter().chain(small_objects().map(|object| (object, true)))
    {
        let store = world.remote(std::slice::from_ref(&object));
        let inputs = world.inputs_in(&store);
        for fault in [Fault::Refused, Fault::Truncated, Fault::LostAnswer] {
            // Each request in turn fails, until there are no more of them.
            let mut failures = 0;
            for failed in 0..100 {
                let met = Arc::new(AtomicUsize::new(0));
                let reads = Arc::new(AtomicUsize::new(0));
                let (count, seen) = (reads.clone(), met.clone());
                let faulty = store.clone().with_faults(move |operation, _| {
                    let number = if operation == Operation::Get { count.fetch_add(1, Ordering::SeqCst) } else { 99 };
                    (number == failed).then(|| {
                        seen.fetch_add(1, Ordering::SeqCst);
                        fault
                    })
                });
                let mut inputs = inputs.clone();
                inputs.iter_mut().for_each(|input| input.store = faulty.clone());
                let outcome = world.rows(&inputs, SCHEMA, &everything(), 2);
                if met.load(Ordering::SeqCst) == 0 {
                    assert_eq!(outcome.unwrap().len(), 2500);
                    break;
                }
                failures += 1;
                // Read-ahead that is never needed may fail unseen.
                if let Err(error) = outcome {
                    assert!(error.is_transient(), "{}, {failed}: {}", object.0, said(&error));
                    assert!(said(&error).contains(object.0), "{}", said(&error));
                }
            }
            assert_eq!(failures == 1, is_small, "{}: {failures} requests", object.0);
        }
    }
}

#[test]
fn an_object_that_is_replaced_meanwhile_is_refused_and_never_mixed() {
    let world = World::new();
    let (old, new) = (csv(0..2500), csv(1..2501));
    let store = world.remote(&[("a.csv", old.clone().into_bytes())]);
    let inputs = world.inputs_in(&store);
    world.runtime.block_on(store.put("a.csv", new.clone().into())).unwrap();
    let error = world.rows(&inputs, SCHEMA, &everything(), 2).unwrap_err();
    assert!(error.is_transient() && said(&error).contains("a.csv"), "{}", said(&error));
    // The same on disk.
    let uri = world.write("in/a.csv", old);
    let inputs = world.inputs(&uri).unwrap();
    world.write("in/b.csv", new);
    std::fs::rename(world.path("in/b.csv"), world.path("in/a.csv")).unwrap();
    let error = world.rows(&inputs, SCHEMA, &everything(), 2).unwrap_err();
    assert!(error.is_transient() && said(&error).contains("changed in the meantime"), "{}", said(&error));
}

#[test]
fn many_columns_far_away_are_fetched_side_by_side() {
    const LATE: Duration = Duration::from_millis(100);
    const COLUMNS: usize = 40;
    let world = World::new();
    // Columns of 100 kB, in blocks of their own.
    let random = |row: usize| (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let columns = (0..COLUMNS).map(|number| {
        let values = (0..40_000).map(|row| Some(random(row * COLUMNS + number) as f64));
        let values: arrow_array::ArrayRef = Arc::new(values.collect::<arrow_array::Float64Array>());
        (format!("c{number}"), values)
    });
    let batch = arrow_array::RecordBatch::try_from_iter(columns).unwrap();
    let bytes = parquet(&[batch], Compression::UNCOMPRESSED, false);
    let store: Store = world.remote(&[("a.parquet", bytes)]);
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    let slow = store.with_faults(move |operation, _| {
        count.fetch_add(usize::from(operation == Operation::Get), Ordering::SeqCst);
        Some(Fault::Late(LATE))
    });
    let schema: String = (0..COLUMNS).map(|c| format!("[[feature]]\nname = \"c{c}\"\nkind = \"numeric\"\n")).collect();
    let start = Instant::now();
    let inputs = world.inputs_in(&slow);
    let (schema, need, handle) = (Schema::from_toml(&schema).unwrap(), Need::default(), world.runtime.handle());
    let scanned = Scan { inputs: &inputs, schema: &schema, need: &need, threads: 2, batches_max: 4, handle };
    scan(scanned, drop, |_| Ok::<(), Error>(())).unwrap();
    let (elapsed, requests) = (start.elapsed(), requests.load(Ordering::SeqCst) as u32);
    // One after another they take `requests * LATE` at least.
    assert!(requests >= 10 && elapsed < requests * LATE / 2, "{requests} requests of {LATE:?} took {elapsed:?}");
}
