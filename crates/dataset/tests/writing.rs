//! What is written reads back, appears when it is whole, and leaves nothing otherwise.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use clickcast_dataset::{Coded, PairColumn, PairWriter, PredictionWriter, TableWriter, prediction_metadata, sample};
use clickcast_record::Precision;
use clickcast_storage::{Fault, Operation, Store};
use support::{SCHEMA, World, everything, expected, said, table};

/// More than a row group's rows.
const ROWS: usize = 1_100_000;
const STEP: usize = 100_000;

fn ids(first: usize, rows: usize) -> Vec<(String, ArrayRef)> {
    let users: DictionaryArray<Int32Type> = (first..first + rows).map(|row| ["x", "y", "z"][row % 3]).collect();
    let ads: Int64Array = (first..first + rows).map(|row| (row % 10 > 0).then_some(row as i64)).collect();
    vec![("user".to_owned(), Arc::new(users)), ("ad".to_owned(), Arc::new(ads))]
}

fn score(row: usize) -> f64 {
    row as f64 / ROWS as f64
}

fn write(world: &World, store: &Store, key: &str, precision: Precision) -> Result<u64, clickcast_dataset::Error> {
    let metadata = BTreeMap::from([("model".to_owned(), "m1".to_owned())]);
    let mut writer = PredictionWriter::create(store, key, world.runtime.handle(), precision, metadata)?;
    for first in (0..ROWS).step_by(STEP) {
        let scores: Vec<f64> = (first..first + STEP).map(score).collect();
        writer.write(&ids(first, STEP), &scores)?;
    }
    writer.finish()
}

#[test]
fn predictions_read_back_in_order_with_their_types_and_metadata() {
    let world = World::new();
    let local = Store::open(&world.uri("out")).unwrap();
    for store in [local, Store::in_memory()] {
        for (precision, wanted) in [(Precision::F32, DataType::Float32), (Precision::F64, DataType::Float64)] {
            let bytes = write(&world, &store, "a/b.parquet", precision).unwrap();
            assert_eq!(world.runtime.block_on(store.head("a/b.parquet")).unwrap().size, bytes);
            let metadata = prediction_metadata(&store, "a/b.parquet", world.runtime.handle()).unwrap().unwrap();
            assert_eq!((metadata["model"].as_str(), metadata["clickcast.rows"].as_str()), ("m1", "1100000"));
            let rows = sample(&world.inputs_in(&store)[0], world.runtime.handle(), ROWS + 1).unwrap();
            assert_eq!(rows.num_rows(), ROWS);
            let schema = rows.schema();
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            assert_eq!(names, ["user", "ad", "ctr"]);
            assert_eq!(rows.column(2).data_type(), &wanted);
            let text = |column: usize| arrow_cast::cast(rows.column(column), &DataType::Utf8).unwrap();
            let (users, ads) = (text(0), text(1));
            let ctr = arrow_cast::cast(rows.column(2), &DataType::Float64).unwrap();
            let as_text = |array: &ArrayRef, row: usize| {
                let array = array.as_any().downcast_ref::<arrow_array::StringArray>().unwrap();
                array.is_valid(row).then(|| array.value(row).to_owned())
            };
            let ctr = ctr.as_any().downcast_ref::<arrow_array::Float64Array>().unwrap();
            for row in (0..ROWS).step_by(997).chain([ROWS - 1]) {
                assert_eq!(as_text(&users, row).as_deref(), Some(["x", "y", "z"][row % 3]));
                assert_eq!(as_text(&ads, row), (row % 10 > 0).then(|| row.to_string()));
                let close = if precision == Precision::F64 { 0.0 } else { 1e-7 };
                assert!((ctr.value(row) - score(row)).abs() <= close, "{row}: {}", ctr.value(row));
            }
        }
    }
}

#[test]
fn predictions_of_no_rows_have_the_columns_of_others() {
    let world = World::new();
    let store = Store::in_memory();
    for (key, rows) in [("none.parquet", 0), ("some.parquet", 2)] {
        let mut writer =
            PredictionWriter::create(&store, key, world.runtime.handle(), Precision::F32, BTreeMap::new()).unwrap();
        writer.write(&ids(0, rows), &vec![0.5; rows]).unwrap();
        writer.finish().unwrap();
    }
    let [none, some] = &world.inputs_in(&store)[..] else { panic!("there are two files") };
    let read = |input| sample(input, world.runtime.handle(), 9).unwrap();
    assert_eq!(read(none).schema().fields(), read(some).schema().fields());
    assert_eq!((read(none).num_rows(), read(none).num_columns()), (0, 3));
}

#[test]
fn the_same_predictions_are_the_same_bytes() {
    let world = World::new();
    let store = Store::in_memory();
    write(&world, &store, "a.parquet", Precision::F32).unwrap();
    write(&world, &store, "b.parquet", Precision::F32).unwrap();
    let get = |key: &str| world.runtime.block_on(store.get(key)).unwrap();
    assert!(get("a.parquet") == get("b.parquet"));
}

#[test]
fn nothing_is_there_before_the_end_and_after_a_drop() {
    let world = World::new();
    for store in [Store::open(&world.uri("out")).unwrap(), Store::in_memory()] {
        let listed = || world.runtime.block_on(store.list()).unwrap();
        let handle = world.runtime.handle();
        let begin = || PredictionWriter::create(&store, "a.parquet", handle, Precision::F32, BTreeMap::new()).unwrap();
        let (mut dropped, mut finished) = (begin(), begin());
        for first in (0..ROWS).step_by(STEP) {
            dropped.write(&ids(first, STEP), &[0.5; STEP]).unwrap();
            finished.write(&ids(first, STEP), &[0.5; STEP]).unwrap();
            assert!(listed().is_empty());
        }
        drop(dropped);
        assert!(listed().is_empty());
        assert!(prediction_metadata(&store, "a.parquet", handle).unwrap().is_none());
        finished.finish().unwrap();
        assert_eq!(listed().len(), 1);
    }
    assert_eq!(std::fs::read_dir(world.path("out")).unwrap().count(), 1, "a temporary file is left behind");
}

#[test]
fn a_write_that_fails_anywhere_is_transient_and_leaves_nothing() {
    let world = World::new();
    for failed in [Operation::Put, Operation::Part, Operation::Complete] {
        for fault in [Fault::Refused, Fault::LostAnswer] {
            let store = Store::in_memory();
            let met = Arc::new(std::sync::atomic::AtomicBool::new(false));
            let seen = met.clone();
            let faulty = store.clone().with_faults(move |operation, _| {
                let here = operation == failed;
                seen.fetch_or(here, std::sync::atomic::Ordering::SeqCst);
                here.then_some(fault)
            });
            let outcome = write_large(&world, &faulty);
            assert!(met.load(std::sync::atomic::Ordering::SeqCst), "{failed:?} was never asked for");
            let error = outcome.unwrap_err();
            assert!(error.is_transient(), "{}", said(&error));
            let there = world.runtime.block_on(store.head("a.parquet")).is_ok();
            // Only the last request makes it appear, and then it is whole.
            assert_eq!(there, failed == Operation::Complete && fault == Fault::LostAnswer);
        }
    }
}

/// Predictions of several parts of an upload: their scores hardly compress.
fn write_large(world: &World, store: &Store) -> Result<u64, clickcast_dataset::Error> {
    let handle = world.runtime.handle();
    let mut writer = PredictionWriter::create(store, "a.parquet", handle, Precision::F64, BTreeMap::new())?;
    for first in (0..2_200_000).step_by(STEP) {
        let noise = |row: usize| (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64 / u64::MAX as f64;
        writer.write(&[], &(first..first + STEP).map(noise).collect::<Vec<_>>())?;
    }
    writer.finish()
}

#[test]
fn tables_of_every_ending_read_back() {
    let world = World::new();
    for name in ["t.parquet", "t.csv", "t.csv.gz"] {
        let uri = world.uri(name);
        let schema = table(0, 1).schema();
        let mut writer = TableWriter::create(&uri, world.runtime.handle(), schema).unwrap();
        for first in [0, 1000, 1700] {
            writer.write(&table(first, 1000.min(2000 - first))).unwrap();
            assert!(!std::path::Path::new(&uri).exists());
        }
        let bytes = writer.finish().unwrap();
        assert_eq!(std::fs::metadata(&uri).unwrap().len(), bytes);
        let rows = world.read(&uri, SCHEMA, &everything()).unwrap();
        let wanted: Vec<String> = (0..1000).chain(1000..2000).chain(1700..2000).map(expected).collect();
        assert!(rows == wanted, "{name}");
    }
    let Err(error) = TableWriter::create(&world.uri("t.xml"), world.runtime.handle(), table(0, 1).schema()) else {
        panic!("no table is written as XML");
    };
    assert!(said(&error).contains(".parquet, .csv or .csv.gz"), "{}", said(&error));
}

#[test]
fn a_table_without_rows_still_has_its_columns() {
    let world = World::new();
    for name in ["t.parquet", "t.csv"] {
        let uri = world.uri(name);
        let empty: RecordBatch = table(0, 0);
        let mut writer = TableWriter::create(&uri, world.runtime.handle(), empty.schema()).unwrap();
        writer.write(&empty).unwrap();
        writer.finish().unwrap();
        assert!(world.read(&uri, SCHEMA, &everything()).unwrap().is_empty());
    }
}

#[test]
fn groups_of_pairs_read_back_in_the_order_they_were_appended() {
    const ADS: usize = 5;
    let world = World::new();
    let store = Store::open(&world.uri("out")).unwrap();
    let users: ArrayRef = Arc::new(Int64Array::from_iter_values(100..130));
    let ads: ArrayRef = Arc::new(StringArray::from_iter_values(["v", "w", "x", "y", "z"]));
    let types = [("user".to_owned(), DataType::Int64), ("ad".to_owned(), DataType::Utf8)];
    let metadata = BTreeMap::from([("model".to_owned(), "m1".to_owned())]);
    let handle = world.runtime.handle();
    let mut writer = PairWriter::create(&store, "a.parquet", handle, &types, DataType::Float32, metadata).unwrap();
    let encoder = writer.encoder();
    let cycle = |users: usize| Some((0..users).flat_map(|_| 0..ADS as i32).collect::<Vec<_>>());
    let repeated = encoder.repeated(1, Coded { values: ads.clone(), places: cycle(12) }).unwrap();
    // The last group is smaller than the others: its ads are encoded for itself.
    for (first, count) in [(0, 12), (12, 12), (24, 6)] {
        let own = Coded {
            values: users.slice(first, count),
            places: Some((0..count as i32).flat_map(|user| [user; ADS]).collect()),
        };
        let ads = match count {
            12 => PairColumn::Repeated(repeated.clone()),
            _ => PairColumn::Coded(Coded { values: ads.clone(), places: cycle(count) }),
        };
        let scores = (first * ADS..(first + count) * ADS).map(|pair| pair as f32);
        let ctr: ArrayRef = Arc::new(Float32Array::from_iter_values(scores));
        writer.append(encoder.encode(vec![PairColumn::Coded(own), ads], ctr).unwrap()).unwrap();
    }
    let bytes = writer.finish().unwrap();
    assert_eq!(world.runtime.block_on(store.head("a.parquet")).unwrap().size, bytes);
    let metadata = prediction_metadata(&store, "a.parquet", handle).unwrap().unwrap();
    assert_eq!((metadata["model"].as_str(), metadata["clickcast.rows"].as_str()), ("m1", "150"));
    let rows = sample(&world.inputs_in(&store)[0], handle, 1000).unwrap();
    let column = |index: usize| arrow_cast::cast(rows.column(index), &DataType::Utf8).unwrap();
    let columns: Vec<ArrayRef> = (0..3).map(column).collect();
    assert_eq!(rows.num_rows(), 150);
    for pair in 0..150 {
        let text = |index: usize| columns[index].as_any().downcast_ref::<StringArray>().unwrap().value(pair);
        let expected = (100 + pair / ADS, ["v", "w", "x", "y", "z"][pair % ADS], pair);
        assert_eq!((text(0).parse::<usize>().unwrap(), text(1), text(2).parse::<f32>().unwrap() as usize), expected);
    }
    let odd = encoder.encode(vec![], Arc::new(Int64Array::from(vec![1])));
    assert!(odd.is_err());
}
