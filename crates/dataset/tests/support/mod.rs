//! Tables to write, and what comes back of them.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use clickcast_dataset::{Error, Input, Scan, ScanEvent, discover, discover_in, scan};
use clickcast_record::{Batch, Category, Column, Need, Schema};
use clickcast_storage::Store;
use clickcast_testing::Folder;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tokio::runtime::Runtime;

pub const SCHEMA: &str = "label = \"click\"\ntime = \"ts\"\ntime_unit = \"ms\"\nid = [\"id\"]\n\
    [[feature]]\nname = \"age\"\nkind = \"numeric\"\n[[feature]]\nname = \"os\"\nkind = \"categorical\"\n\
    [[feature]]\nname = \"tags\"\nkind = \"multi\"\n";

/// A folder and a runtime.
pub struct World {
    folder: Folder,
    pub runtime: Runtime,
}

impl World {
    pub fn new() -> Self {
        Self { folder: Folder::default(), runtime: Runtime::new().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    pub fn uri(&self, name: &str) -> String {
        self.folder.uri(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        self.folder.write(name, bytes);
        self.uri(name)
    }

    /// A store in memory with these objects.
    pub fn remote(&self, objects: &[(&str, Vec<u8>)]) -> Store {
        let store = Store::in_memory();
        for (key, bytes) in objects {
            self.runtime.block_on(store.put(key, Bytes::from(bytes.clone()))).unwrap();
        }
        store
    }

    pub fn inputs(&self, uri: &str) -> Result<Vec<Input>, Error> {
        self.runtime.block_on(discover(uri))
    }

    pub fn inputs_in(&self, store: &Store) -> Vec<Input> {
        self.runtime.block_on(discover_in(store)).unwrap()
    }

    /// Every row as text, by the features, the label, the time and the carried columns.
    pub fn rows(&self, inputs: &[Input], schema: &str, need: &Need, threads: usize) -> Result<Vec<String>, Error> {
        let schema = Schema::from_toml(schema).unwrap();
        let handle = self.runtime.handle();
        let scanned = Scan { inputs, schema: &schema, need, threads, batches_max: 4, handle };
        let (mut rows, mut expected, mut input) = (Vec::new(), 0, None);
        scan(scanned, texts, |step| {
            match step {
                ScanEvent::Begin(begun) => (input, expected) = (Some(begun), 0),
                ScanEvent::Rows((first_row, texts)) => {
                    assert_eq!(first_row, expected, "rows of one file are in order");
                    expected += texts.len() as u64;
                    rows.extend(texts);
                }
                ScanEvent::End(ended) => assert_eq!(input.take(), Some(ended)),
            }
            Ok::<(), Error>(())
        })?;
        Ok(rows)
    }

    /// As [`World::rows`] of all behind a URI, with two threads.
    pub fn read(&self, uri: &str, schema: &str, need: &Need) -> Result<Vec<String>, Error> {
        self.rows(&self.inputs(uri)?, schema, need, 2)
    }
}

/// An error with all that lies beneath it.
pub fn said(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn category(category: Option<Category<'_>>) -> String {
    match category {
        None => "-".to_owned(),
        Some(Category::Text(text)) => text.to_owned(),
        Some(Category::Integer(integer)) => integer.to_string(),
    }
}

fn texts(batch: Batch) -> (u64, Vec<String>) {
    let text = |row: usize| {
        let mut cells: Vec<String> = Vec::new();
        for column in &batch.features {
            cells.push(match column {
                Column::Numeric(numbers) => numbers.get(row).to_string(),
                Column::Categorical(categories) => category(categories.get(row)),
                Column::Multi(lists) => {
                    let items = (lists.offsets[row]..lists.offsets[row + 1]).map(|item| lists.values.get(item));
                    format!("[{}]", items.map(category).collect::<Vec<_>>().join(" "))
                }
            });
        }
        cells.extend(batch.labels.iter().map(|labels| labels[row].to_string()));
        cells.extend(batch.times.iter().map(|times| times[row].as_ms().to_string()));
        for (name, array) in &batch.carried {
            let array = arrow_cast::cast(array, &arrow_schema::DataType::Utf8).unwrap();
            let array = array.as_any().downcast_ref::<StringArray>().unwrap();
            cells.push(format!("{name}={}", array.value(row)));
        }
        cells.join(",")
    };
    (batch.first_row, (0..batch.rows).map(text).collect())
}

/// What a table has beside [`SCHEMA`]'s features.
pub fn everything() -> Need {
    Need { labels: true, times: true, carried: vec!["id".to_owned()] }
}

/// Rows `first..first + rows` of a table that [`SCHEMA`] fits, with missing values, and [`expected`] of it.
pub fn table(first: usize, rows: usize) -> RecordBatch {
    let range = first..first + rows;
    let mut tags = ListBuilder::new(StringBuilder::new());
    for row in range.clone() {
        for tag in 0..row % 4 {
            tags.values().append_value(format!("t{}", (row + tag) % 5));
        }
        tags.append(true);
    }
    let age = |row: usize| (!row.is_multiple_of(7)).then_some(row as f64 / 2.0);
    let os = |row: usize| (!row.is_multiple_of(5)).then(|| format!("os{}", row % 3));
    let columns: [(&str, ArrayRef); 7] = [
        ("id", Arc::new(range.clone().map(|row| Some(format!("u{row}"))).collect::<StringArray>())),
        ("age", Arc::new(range.clone().map(age).collect::<Float64Array>())),
        ("unused", Arc::new(range.clone().map(|row| Some(format!("{row}").repeat(20))).collect::<StringArray>())),
        ("os", Arc::new(range.clone().map(os).collect::<StringArray>())),
        ("tags", Arc::new(tags.finish())),
        ("click", Arc::new(range.clone().map(|row| i64::from(row % 3 == 0)).collect::<Int64Array>())),
        ("ts", Arc::new(range.map(|row| 1000 + row as i64).collect::<Int64Array>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

/// A row of [`table`] as it must come back.
pub fn expected(row: usize) -> String {
    let age = if row.is_multiple_of(7) { "NaN".to_owned() } else { (row as f64 / 2.0).to_string() };
    let os = if row.is_multiple_of(5) { "-".to_owned() } else { format!("os{}", row % 3) };
    let tags = (0..row % 4).map(|tag| format!("t{}", (row + tag) % 5)).collect::<Vec<_>>().join(" ");
    format!("{age},{os},[{tags}],{},{},id=u{row}", row.is_multiple_of(3), 1000 + row)
}

/// A Parquet file of some batches, each at least one row group.
pub fn parquet(batches: &[RecordBatch], compression: Compression, dictionary: bool) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_dictionary_enabled(dictionary)
        .set_data_page_row_count_limit(500)
        .set_write_batch_size(100)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties)).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
        writer.flush().unwrap();
    }
    writer.into_inner().unwrap()
}

/// The same as text.
pub fn csv(rows: std::ops::Range<usize>) -> String {
    let mut text = "id,age,unused,os,tags,click,ts\n".to_owned();
    for row in rows {
        let age = if row.is_multiple_of(7) { "NA".to_owned() } else { (row as f64 / 2.0).to_string() };
        let os = if row.is_multiple_of(5) { String::new() } else { format!("os{}", row % 3) };
        let tags = (0..row % 4).map(|tag| format!("t{}", (row + tag) % 5)).collect::<Vec<_>>().join("|");
        text += &format!("u{row},{age},x,{os},{tags},{},{}\n", u8::from(row.is_multiple_of(3)), 1000 + row);
    }
    text
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
