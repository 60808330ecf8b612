//! Every format gives the same rows.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use clickcast_record::Need;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use support::{SCHEMA, World, csv, everything, expected, gzip, parquet, table};

const ROWS: usize = 2500;

fn check(world: &World, name: &str, bytes: impl AsRef<[u8]>) {
    let uri = world.write(name, bytes);
    let rows = world.read(&uri, SCHEMA, &everything()).unwrap();
    let wanted: Vec<String> = (0..ROWS).map(expected).collect();
    assert!(rows == wanted, "{name}: {:?}", rows.iter().zip(&wanted).find(|(a, b)| a != b));
}

#[test]
fn parquet_is_read_whatever_its_codec_and_encoding() {
    let world = World::new();
    let batches = [table(0, 1000), table(1000, 1), table(1001, ROWS - 1001)];
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        for dictionary in [true, false] {
            check(&world, &format!("{compression:?}{dictionary}.parquet"), parquet(&batches, compression, dictionary));
        }
    }
}

#[test]
fn text_is_read_however_it_is_written() {
    let world = World::new();
    let plain = csv(0..ROWS);
    check(&world, "plain.csv", &plain);
    check(&world, "plain.csv.gz", gzip(plain.as_bytes()));
    check(&world, "plain.csv.zst", zstd::encode_all(plain.as_bytes(), 1).unwrap());
    let two_members = [gzip(&plain.as_bytes()[..1000]), gzip(&plain.as_bytes()[1000..])].concat();
    check(&world, "members.csv.gz", two_members);
    check(&world, "mark.csv", format!("\u{feff}{plain}"));
    check(&world, "windows.csv", plain.replace('\n', "\r\n"));
    check(&world, "semicolons.csv", plain.replace(',', ";"));
    check(&world, "tabs.tsv", plain.replace(',', "\t"));
    check(&world, "tabs.tsv.gz", gzip(plain.replace(',', "\t").as_bytes()));
    check(&world, "unended.csv", plain.trim_end());
    check(&world, "inches.csv", plain.replacen(",x,", ",5\" disk,", ROWS / 2 + 1));
    check(&world, "quoted.csv", plain.replace(",x,", ",\"a, \"\"b\"\"\nc\","));
}

#[test]
fn quoted_line_breaks_where_the_head_ends_are_no_trouble() {
    let world = World::new();
    // Rows longer than the head's share of a thousand, so that the head ends within one.
    let long = format!(",\"{}\n\n{}\",", "y".repeat(300), "z".repeat(300));
    check(&world, "long.csv", csv(0..ROWS).replace(",x,", &long));
}

#[test]
fn a_missing_value_has_many_spellings_and_is_one() {
    let world = World::new();
    for missing in ["", "NA", "N/A", "NaN", "null", "NULL", "None", "\\N"] {
        let uri = world.write("a.csv", format!("age,os,tags\n1,ios,a\n{missing},{missing},{missing}\n"));
        let rows = world.read(&uri, SCHEMA, &Need::default()).unwrap();
        assert_eq!(rows, ["1,ios,[a]", "NaN,-,[]"], "{missing}");
    }
}

#[test]
fn carried_columns_of_text_come_as_they_were_read() {
    let world = World::new();
    let need = Need { labels: true, times: true, carried: ["age", "os", "ts", "click"].map(str::to_owned).to_vec() };
    for (cells, read) in [
        ("41,ios,a,1,5", "41,ios,[a],true,5,age=41,os=ios,ts=5,click=1"),
        ("4.10,NA,a,false,05", "4.1,-,[a],false,5,age=4.10,os=NA,ts=05,click=false"),
        ("NA,007,a,0, 5", "NaN,007,[a],false,5,age=NA,os=007,ts= 5,click=0"),
        (
            "12345678901234567890,x,a,0,5",
            "12345678901234567000,x,[a],false,5,age=12345678901234567890,os=x,ts=5,click=0",
        ),
    ] {
        // The first row says that times are integers.
        let uri = world.write("a.csv", format!("age,os,tags,click,ts\n1,ios,a,0,1\n{cells}\n"));
        assert_eq!(world.read(&uri, SCHEMA, &need).unwrap()[1], read);
    }
}

#[test]
fn times_are_integers_or_what_iso_writes() {
    let world = World::new();
    let need = Need { times: true, ..Need::default() };
    let day = 1_767_571_200_000_i64;
    for (text, expected) in [
        ("12", 12),
        ("2026-01-05", day),
        ("2026-01-05T01:00:00", day + 3_600_000),
        ("2026-01-05 00:00:01", day + 1000),
        ("2026-01-05T01:00:00Z", day + 3_600_000),
        ("2026-01-05T01:00:00.250", day + 3_600_250),
    ] {
        let uri = world.write("a.csv", format!("age,os,tags,ts\n1,ios,a,{text}\n"));
        let rows = world.read(&uri, SCHEMA, &need).unwrap();
        assert_eq!(rows, [format!("1,ios,[a],{expected}")], "{text}");
    }
}

#[test]
fn folders_names_are_columns_unless_the_file_has_them() {
    let world = World::new();
    let schema =
        "[[feature]]\nname = \"os\"\nkind = \"categorical\"\n[[feature]]\nname = \"age\"\nkind = \"numeric\"\n";
    world.write("in/os=ios/a.csv", "age\n1\n2\n");
    world.write("in/os=a%3Ab/a.csv", "age\n3\n");
    world.write("in/os=__HIVE_DEFAULT_PARTITION__/a.csv.gz", gzip(b"age\n4\n"));
    world.write("in/os=own/a.csv", "os,age\nmine,5\n");
    world.write("in/os=own/_SUCCESS", "");
    world.write("in/os=own/.a.csv.crc", "x");
    world.write("in/os=own/notes.txt", "x");
    let rows = world.read(&world.uri("in"), schema, &Need::default()).unwrap();
    assert_eq!(rows, ["-,4", "a:b,3", "ios,1", "ios,2", "mine,5"]);
    // Each file knows its folder, however it is named.
    let rows = world.read(&world.uri("in/os=ios"), schema, &Need::default()).unwrap();
    assert_eq!(rows, ["ios,1", "ios,2"]);
    let rows = world.read(&world.uri("in/os=ios/a.csv"), schema, &Need::default()).unwrap();
    assert_eq!(rows, ["ios,1", "ios,2"]);
}

#[test]
fn columns_that_are_not_needed_are_not_read() {
    let world = World::new();
    let mut bytes = parquet(&[table(0, ROWS)], Compression::UNCOMPRESSED, false);
    let file = bytes::Bytes::from(bytes.clone());
    let metadata = parquet::file::metadata::ParquetMetaDataReader::new().parse_and_finish(&file).unwrap();
    let (start, length) = metadata.row_group(0).column(2).byte_range();
    assert_eq!(metadata.row_group(0).column(2).column_path().string(), "unused");
    bytes[start as usize..(start + length) as usize].fill(0xff);
    check(&world, "a.parquet", &bytes);
    // From afar its bytes are not even fetched: all the blocks that are read miss it.
    let store = world.remote(&[("a.parquet", bytes)]);
    let rows = world.rows(&world.inputs_in(&store), SCHEMA, &everything(), 2).unwrap();
    assert_eq!(rows.len(), ROWS);
}

#[test]
fn zero_rows_are_no_error() {
    let world = World::new();
    let header = world.write("header.csv", "id,age,unused,os,tags,click,ts\n");
    let empty = world.write("empty.parquet", parquet(&[table(0, 0)], Compression::SNAPPY, true));
    for uri in [header, empty] {
        assert_eq!(world.read(&uri, SCHEMA, &everything()).unwrap(), [""; 0]);
        let sample = clickcast_dataset::sample(&world.inputs(&uri).unwrap()[0], world.runtime.handle(), 10).unwrap();
        assert_eq!((sample.num_rows(), sample.num_columns()), (0, 7));
    }
}

#[test]
fn a_sample_has_the_first_rows_and_the_types_that_they_suggest() {
    let world = World::new();
    let uri = world.write("in/dt=1/a.csv", csv(0..ROWS));
    let sample = clickcast_dataset::sample(&world.inputs(&uri).unwrap()[0], world.runtime.handle(), 100).unwrap();
    assert_eq!(sample.num_rows(), 100);
    let schema = sample.schema();
    let types: Vec<String> =
        schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    assert_eq!(
        types,
        [
            "id Utf8",
            "age Float64",
            "unused Utf8",
            "os Utf8",
            "tags Utf8",
            "click Int64",
            "ts Int64",
            "dt Dictionary(Int32, Utf8)"
        ]
    );
}
