//! Files that are not what they should be: a sentence, and never a panic.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use clickcast_record::Need;
use parquet::basic::{Compression, ZstdLevel};
use support::{SCHEMA, World, csv, everything, gzip, parquet, said, table};

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let world = World::new();
    let whole = parquet(&[table(0, 2000)], Compression::SNAPPY, true);
    let text = csv(0..2000);
    let zipped = gzip(text.as_bytes());
    let row = |cells: &str| format!("age,os,tags,click,ts,id\n1,ios,a,0,5,u\n{cells}\n").into_bytes();
    for (name, bytes, wanted) in [
        ("cut.parquet", whole[..whole.len() / 2].to_vec(), &["cut.parquet", "Parquet", "write the file again"][..]),
        ("tail.parquet", whole[whole.len() / 2..].to_vec(), &["tail.parquet", "Parquet"]),
        ("tiny.parquet", b"PAR1".to_vec(), &["tiny.parquet", "Parquet"]),
        ("text.parquet", text.clone().into_bytes(), &["text.parquet", "Parquet"]),
        ("empty.parquet", Vec::new(), &["empty.parquet", "empty"]),
        ("parquet.csv", whole.clone(), &["parquet.csv", "not text"]),
        ("zip.csv", zipped.clone(), &["zip.csv", "not text"]),
        ("utf16.csv", text.encode_utf16().flat_map(u16::to_le_bytes).collect(), &["utf16.csv", "not text"]),
        ("empty.csv", Vec::new(), &["empty.csv", "empty"]),
        ("blank.csv", b"\n \n".to_vec(), &["blank.csv", "empty"]),
        ("plain.csv.gz", text.clone().into_bytes(), &["plain.csv.gz", "gzip"]),
        ("plain.csv.zst", text.clone().into_bytes(), &["plain.csv.zst", "zstd"]),
        ("cut.csv.gz", zipped[..zipped.len() / 2].to_vec(), &["cut.csv.gz"]),
        (
            "latin.csv",
            row("2,caf\u{e9},a,0,5,u").iter().map(|&b| if b == 0xc3 { 0xe9 } else { b }).collect(),
            &["latin.csv", "UTF-8", "line 3"],
        ),
        ("twice.csv", b"age,age\n1,2\n".to_vec(), &["twice.csv", "`age` is there twice"]),
        (
            "missing.csv",
            b"age,tags,click,ts,id\n1,a,0,5,u\n".to_vec(),
            &["missing.csv", "`os` is missing", "age, tags"],
        ),
        ("word.csv", row("old,ios,a,0,5,u"), &["word.csv", "`age`, row 2", "`old` is not a number"]),
        ("time.csv", row("2,ios,a,0,soon,u"), &["time.csv", "`ts`, row 2", "soon"]),
        ("label.csv", row("2,ios,a,2,5,u"), &["label.csv", "`click`, row 2", "2"]),
        ("quote.csv", row("2,ios,a,0,5,\"u\n3,ios,a,0,5,u"), &["quote.csv", "row 2 has a quote that is not closed"]),
        (
            "endless.csv",
            row(&format!("2,\"ios{}", "\n,,,,,".repeat(3 << 20))),
            &["endless.csv", "row 2 is longer than 16 MiB"],
        ),
        ("short.csv", row("2,ios"), &["short.csv", "line 3"]),
        ("long.csv", row("2,ios,a,0,5,u,more"), &["long.csv", "line 3"]),
    ] {
        let uri = world.write(&format!("in/{name}"), bytes);
        let error = world.read(&uri, SCHEMA, &everything()).unwrap_err();
        let sentence = said(&error);
        assert!(!error.is_transient(), "{name}: {sentence}");
        for part in wanted {
            assert!(sentence.contains(part), "{name}: wanted `{part}` in: {sentence}");
        }
    }
    for (uri, wanted) in [("absent.csv", "no data here"), ("in/nothing", "no data here"), ("in/a.txt", "no data here")]
    {
        let error = world.inputs(&world.uri(uri)).unwrap_err();
        assert!(!error.is_transient() && said(&error).contains(wanted), "{}", said(&error));
    }
}

#[test]
fn a_parquet_file_that_has_a_wanted_column_twice_is_refused() {
    let world = World::new();
    let batch = table(0, 10);
    let field = |name| batch.schema().field_with_name(name).unwrap().clone();
    for (repeated, refused) in [("age", true), ("click", true), ("id", true), ("unused", false)] {
        let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
        let mut columns = batch.columns().to_vec();
        fields.push(Arc::new(field(repeated)));
        columns.push(batch.column_by_name(repeated).unwrap().clone());
        let twice = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let name = format!("{repeated}.parquet");
        let uri = world.write(&name, parquet(&[twice], Compression::SNAPPY, true));
        let read = world.read(&uri, SCHEMA, &everything()).map_err(|error| said(&error));
        match read {
            Ok(_) => assert!(!refused, "{name} was read"),
            Err(said) => {
                assert!(refused && said.contains(&format!("column `{repeated}` is there twice; rename one")), "{said}");
            }
        }
    }
}

#[test]
fn wrong_types_of_parquet_columns_are_named() {
    let world = World::new();
    let uri = world.write("a.parquet", parquet(&[table(0, 10)], Compression::SNAPPY, true));
    let schema = "[[feature]]\nname = \"os\"\nkind = \"numeric\"\n";
    let error = world.read(&uri, schema, &Need::default()).unwrap_err();
    assert_eq!(
        said(&error),
        format!("`{uri}`: column `os` is text, but the schema says numeric (a number or boolean)")
    );
}

/// Numbers that look random; the seed is in every message.
fn random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn damaged_bytes_never_panic() {
    let world = World::new();
    let batches = [table(0, 300), table(300, 300)];
    let mut files = vec![("csv", csv(0..600).into_bytes()), ("csv.gz", gzip(csv(0..600).as_bytes()))];
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default())] {
        for dictionary in [true, false] {
            files.push(("parquet", parquet(&batches, compression, dictionary)));
        }
    }
    let mut state = 7;
    for (ending, whole) in files {
        for round in 0..400 {
            let before = state;
            let mut bytes = whole.clone();
            for _ in 0..1 + round % 3 {
                // Half of the damage is done to the last of it, where Parquet's footer is.
                let near = if round % 2 == 0 { bytes.len() } else { bytes.len().min(3000) };
                let place = bytes.len() - 1 - random(&mut state) % near;
                bytes[place] = random(&mut state) as u8;
            }
            let uri = world.write(&format!("a.{ending}"), &bytes);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                drop(world.read(&uri, SCHEMA, &everything()));
                let first = &world.inputs(&uri).unwrap()[0];
                drop(clickcast_dataset::sample(first, world.runtime.handle(), 100));
            }));
            assert!(outcome.is_ok(), "{ending}, {} bytes, state {before}", whole.len());
        }
    }
}
