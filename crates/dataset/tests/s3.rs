//! Files in an object store, from end to end.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;

use clickcast_dataset::{PredictionWriter, prediction_metadata};
use clickcast_record::Precision;
use clickcast_storage::Store;
use clickcast_testing::services::Moto;
use parquet::basic::Compression;
use support::{SCHEMA, World, csv, everything, expected, gzip, parquet, table};

#[test]
fn files_in_s3_are_read_and_predictions_written_as_on_disk() {
    let Some(moto) = Moto::start() else { return };
    let world = World::new();
    let input = Store::open_with("s3://bucket/in/dt=2026-01-05", &moto.variables()).unwrap();
    let groups = [table(0, 700), table(700, 300)];
    for (key, bytes) in [
        ("a.parquet", parquet(&groups, Compression::SNAPPY, true)),
        ("b.csv", csv(1000..2000).into_bytes()),
        ("c.csv.gz", gzip(csv(2000..3000).as_bytes())),
        ("_SUCCESS", Vec::new()),
    ] {
        world.runtime.block_on(input.put(key, bytes.into())).unwrap();
    }
    let inputs = world.inputs_in(&input);
    assert_eq!(inputs[0].name(), "s3://bucket/in/dt=2026-01-05/a.parquet");
    let rows = world.rows(&inputs, SCHEMA, &everything(), 2).unwrap();
    assert!(rows == (0..3000).map(expected).collect::<Vec<_>>());
    // The prefix itself names a Hive folder.
    let hive = "[[feature]]\nname = \"dt\"\nkind = \"categorical\"\n";
    let days = world.rows(&inputs, hive, &clickcast_record::Need::default(), 2).unwrap();
    assert!(days.len() == 3000 && days.iter().all(|day| day == "2026-01-05"));

    let out = Store::open_with("s3://bucket/out", &moto.variables()).unwrap();
    let handle = world.runtime.handle();
    let metadata = BTreeMap::from([("clickcast.input_etag".to_owned(), inputs[0].object.etag.clone())]);
    let mut writer = PredictionWriter::create(&out, "a.parquet", handle, Precision::F32, metadata).unwrap();
    writer.write(&[], &[0.25; 1000]).unwrap();
    assert!(prediction_metadata(&out, "a.parquet", handle).unwrap().is_none());
    writer.finish().unwrap();
    let found = prediction_metadata(&out, "a.parquet", handle).unwrap().unwrap();
    assert_eq!((&found["clickcast.input_etag"], found["clickcast.rows"].as_str()), (&inputs[0].object.etag, "1000"));
}
