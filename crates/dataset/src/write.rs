//! Writes predictions and tables as streams that become visible only when they are complete.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use clickcast_record::Precision;
use clickcast_storage::{Store, Writer};
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use tokio::runtime::Handle;

use crate::carried::plain;
use crate::discover::{Input, Looked};
use crate::{Error, input};

/// The column of predictions; no carried column may have this name.
pub const CTR: &str = "ctr";
/// The rows of an output's row group: a reader's unit of work, and the writer's buffer.
pub(crate) const ROW_GROUP_ROWS: usize = 1 << 20;
/// Encoded bytes that are gathered before they are sent.
pub(crate) const OUT_BYTES: usize = 1 << 20;

/// Keys of the footer that describes a file of predictions.
pub mod footer {
    /// The model: its artifact's hash.
    pub const MODEL: &str = "clickcast.model";
    /// The input's key below its folder.
    pub const INPUT: &str = "clickcast.input";
    /// The input's ETag.
    pub const INPUT_ETAG: &str = "clickcast.input_etag";
    /// The input's row groups, `first-last`, if the file covers only some of them.
    pub const ROW_GROUPS: &str = "clickcast.row_groups";
    /// The carried columns and the precision.
    pub const COLUMNS: &str = "clickcast.columns";
    /// The run.
    pub const RUN: &str = "clickcast.run";
    /// The number of rows written.
    pub const ROWS: &str = "clickcast.rows";
}

/// What a new file may replace: the precondition of its last request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaces {
    /// Anything.
    Any,
    /// Nothing: the name must be free. Of several writers at once, one succeeds.
    Free,
    /// The version with this ETag. The new file is held in memory until it is complete: no store takes such a condition at
    /// the end of a multipart upload.
    Of(String),
}

/// Writes one file of predictions: the carried columns, then `ctr`.
pub struct PredictionWriter {
    file: ParquetWriter,
    precision: Precision,
    metadata: BTreeMap<String, String>,
    rows: u64,
}

impl PredictionWriter {
    /// Begins a file under `key`, with `metadata` and the number of rows in its footer.
    ///
    /// # Errors
    /// If the columns can't be written as Parquet.
    pub fn create(
        store: &Store,
        key: &str,
        handle: &Handle,
        precision: Precision,
        metadata: BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let file = ParquetWriter::new(Out::new(store, key, handle), store.uri(key), None)?;
        Ok(Self { file, precision, metadata, rows: 0 })
    }

    /// Begins a file under the precondition `place`: if it does not hold at the end, the file can't be finished.
    ///
    /// # Errors
    /// As [`PredictionWriter::create`].
    pub fn create_at(
        place: &Replaces,
        store: &Store,
        key: &str,
        handle: &Handle,
        precision: Precision,
        metadata: BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let file = ParquetWriter::new(Out::at(place, store, key, handle), store.uri(key), None)?;
        Ok(Self { file, precision, metadata, rows: 0 })
    }

    /// Appends rows; `carried` defines the file's columns even if there are no rows.
    ///
    /// # Errors
    /// Where the store can't take them, a column is not the one of the first batch, or is called [`CTR`].
    pub fn write(&mut self, carried: &[(String, ArrayRef)], scores: &[f64]) -> Result<(), Error> {
        let batch = predictions(carried, scores, self.precision);
        let batch = batch.map_err(|error| error.of(&self.file.name))?;
        self.rows += scores.len() as u64;
        self.file.write(&batch)
    }

    /// Ends the file, which then appears under its name, and returns its length in bytes.
    ///
    /// # Errors
    /// If the store can't take it; then nothing appears under its name.
    pub fn finish(mut self) -> Result<u64, Error> {
        if self.file.writer.is_none() {
            self.write(&[], &[])?;
        }
        self.metadata.insert(footer::ROWS.to_owned(), self.rows.to_string());
        let pairs = std::mem::take(&mut self.metadata);
        self.file.finish(pairs)
    }
}

/// Returns predictions as the rows of a table: the carried columns without their dictionaries, then [`CTR`].
///
/// # Shapes
/// Each column has as many rows as there are scores.
/// # Errors
/// [`Kind::Content`](crate::Kind::Content), which names the table as `predictions`, if a carried column has another length or is called [`CTR`].
pub fn predictions(carried: &[(String, ArrayRef)], scores: &[f64], precision: Precision) -> Result<RecordBatch, Error> {
    if carried.iter().any(|(name, _)| name == CTR) {
        return Err(Error::file("predictions", format!("no carried column can be called `{CTR}`")));
    }
    let ctr: ArrayRef = match precision {
        Precision::F32 => Arc::new(scores.iter().map(|&score| score as f32).collect::<Float32Array>()),
        Precision::F64 => Arc::new(Float64Array::from(scores.to_vec())),
    };
    let mut fields = Vec::with_capacity(carried.len() + 1);
    let mut arrays = Vec::with_capacity(carried.len() + 1);
    for (name, array) in carried {
        // Text stays text: a reader need not know that it came as a dictionary.
        let array = plain(array);
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    fields.push(Field::new(CTR, ctr.data_type().clone(), false));
    arrays.push(ctr);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|error| Error::arrow("predictions", error))
}

/// Returns the metadata in the footer of a file that [`PredictionWriter`] wrote, or `None` if the file does not exist.
///
/// # Errors
/// If the file can't be read as Parquet.
pub fn prediction_metadata(
    store: &Store,
    key: &str,
    handle: &Handle,
) -> Result<Option<BTreeMap<String, String>>, Error> {
    match handle.block_on(Looked::at(store, key)) {
        Ok(looked) => looked_metadata(store, looked, handle).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the metadata of a described file, as [`prediction_metadata`] does.
///
/// # Errors
/// As [`prediction_metadata`].
pub fn looked_metadata(store: &Store, looked: Looked, handle: &Handle) -> Result<BTreeMap<String, String>, Error> {
    let found = input::key_values(&Input::parquet(store.clone(), looked), handle)?;
    Ok(found.into_iter().collect())
}

/// What exists under a file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Nothing.
    Nothing,
    /// A file of predictions with the wanted entries in its footer.
    Wanted,
    /// Something else, with this ETag; it may be unreadable.
    Other(String),
}

/// Looks for a file of predictions with these entries in its footer; a small file takes one request.
///
/// # Errors
/// If the store can't be read.
pub fn written(store: &Store, key: &str, wanted: &BTreeMap<String, String>, handle: &Handle) -> Result<Written, Error> {
    let looked = match handle.block_on(Looked::at(store, key)) {
        Ok(looked) => looked,
        Err(error) if error.is_not_found() => return Ok(Written::Nothing),
        Err(error) => return Err(error.into()),
    };
    let etag = looked.object.etag.clone();
    match looked_metadata(store, looked, handle) {
        Ok(found) if wanted.iter().all(|(key, value)| found.get(key) == Some(value)) => Ok(Written::Wanted),
        Err(error) if error.is_transient() => Err(error),
        Ok(_) | Err(_) => Ok(Written::Other(etag)),
    }
}

/// Whether a file of predictions with these entries in its footer exists; an unreadable file has none.
///
/// # Errors
/// If the store fails for a transient reason.
pub fn is_written(store: &Store, key: &str, wanted: &BTreeMap<String, String>, handle: &Handle) -> Result<bool, Error> {
    match written(store, key, wanted, handle) {
        Err(error) if error.is_transient() => Err(error),
        // A later write reports what is in the way.
        found => Ok(found.is_ok_and(|found| found == Written::Wanted)),
    }
}

/// Writes a table as Parquet or CSV, by the ending of its name.
pub struct TableWriter {
    name: String,
    form: Form,
}

enum Form {
    Parquet(Box<ParquetWriter>),
    Text(Box<TextWriter>),
}

struct TextWriter {
    encoder: TextEncoder,
    out: Out,
    header: bool,
}

enum TextEncoder {
    Plain(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl TableWriter {
    /// Begins a table at `uri`: `.parquet`, `.csv` or `.csv.gz`.
    ///
    /// # Errors
    /// If the ending is not one of these.
    pub fn create(uri: &str, handle: &Handle, schema: SchemaRef) -> Result<Self, Error> {
        let (store, key) = Store::open_parent(uri)?;
        let lower = key.to_ascii_lowercase();
        let form = if lower.ends_with(".parquet") {
            Form::Parquet(Box::new(ParquetWriter::new(Out::new(&store, &key, handle), store.uri(&key), Some(schema))?))
        } else if lower.ends_with(".csv") || lower.ends_with(".csv.gz") {
            let encoder = match lower.ends_with(".gz") {
                true => TextEncoder::Gzip(Box::new(GzEncoder::new(Vec::new(), flate2::Compression::fast()))),
                false => TextEncoder::Plain(Vec::new()),
            };
            Form::Text(Box::new(TextWriter { encoder, out: Out::new(&store, &key, handle), header: true }))
        } else {
            return Err(Error::file(uri, "can't tell the format to write; end the name in .parquet, .csv or .csv.gz"));
        };
        Ok(Self { name: uri.to_owned(), form })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// If the store can't take them, or a column can't be written in the format.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        match &mut self.form {
            Form::Parquet(file) => file.write(batch),
            Form::Text(text) => {
                let batch = flat(&self.name, batch)?;
                let header = std::mem::take(&mut text.header);
                let builder = arrow_csv::WriterBuilder::new().with_header(header);
                let written = match &mut text.encoder {
                    TextEncoder::Plain(bytes) => builder.build(bytes).write(&batch),
                    TextEncoder::Gzip(encoder) => builder.build(encoder.as_mut()).write(&batch),
                };
                written.map_err(|error| Error::arrow(&self.name, error))?;
                let bytes = match &mut text.encoder {
                    TextEncoder::Plain(bytes) => bytes,
                    TextEncoder::Gzip(encoder) => encoder.get_mut(),
                };
                text.out.send(bytes, OUT_BYTES)
            }
        }
    }

    /// Ends the table, which then appears under its name, and returns its length in bytes.
    ///
    /// # Errors
    /// If the store can't take it; then nothing appears under its name.
    pub fn finish(self) -> Result<u64, Error> {
        match self.form {
            Form::Parquet(file) => file.finish(BTreeMap::new()),
            Form::Text(mut text) => {
                let mut bytes = match text.encoder {
                    TextEncoder::Plain(bytes) => bytes,
                    TextEncoder::Gzip(encoder) => encoder.finish().map_err(|error| Error::stream(&self.name, error))?,
                };
                text.out.send(&mut bytes, 0)?;
                text.out.finish()
            }
        }
    }
}

/// Returns a batch whose lists are text separated by `|`, which is their form in text files.
fn flat(file: &str, batch: &RecordBatch) -> Result<RecordBatch, Error> {
    use arrow_array::cast::AsArray;
    use arrow_array::{Array, StringArray};
    let column = |(field, array): (&Arc<Field>, &ArrayRef)| -> Result<(String, ArrayRef, bool), Error> {
        let array: ArrayRef = match field.data_type() {
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                let items =
                    arrow_cast::cast(lists.values(), &DataType::Utf8).map_err(|error| Error::arrow(file, error))?;
                let items = items.as_string::<i32>();
                let list = |row: usize| {
                    let range = lists.offsets()[row] as usize..lists.offsets()[row + 1] as usize;
                    lists.is_valid(row).then(|| range.map(|item| items.value(item)).collect::<Vec<_>>().join("|"))
                };
                Arc::new((0..lists.len()).map(list).collect::<StringArray>())
            }
            // Times in text files have no zone: they are in UTC.
            DataType::Timestamp(unit, Some(_)) => {
                let plain = DataType::Timestamp(*unit, None);
                arrow_cast::cast(array, &plain).map_err(|error| Error::arrow(file, error))?
            }
            _ => plain(array),
        };
        Ok((field.name().clone(), array, true))
    };
    let columns = batch.schema().fields().iter().zip(batch.columns()).map(column).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| Error::arrow(file, error))
}

/// A Parquet file in progress. Its schema is the first batch's, unless it is given.
struct ParquetWriter {
    name: String,
    writer: Option<ArrowWriter<Vec<u8>>>,
    out: Out,
}

impl ParquetWriter {
    fn new(out: Out, name: String, schema: Option<SchemaRef>) -> Result<Self, Error> {
        let mut file = Self { name, writer: None, out };
        if let Some(schema) = schema {
            file.writer = Some(begin(&file.name, schema)?);
        }
        Ok(file)
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => begin(&self.name, batch.schema())?,
        };
        writer.write(batch).map_err(|error| Error::unwritten(&self.name, &error))?;
        writer.sync().map_err(|error| Error::stream(&self.name, error))?;
        self.out.send(writer.inner_mut(), OUT_BYTES)?;
        self.writer = Some(writer);
        Ok(())
    }

    fn finish(mut self, metadata: BTreeMap<String, String>) -> Result<u64, Error> {
        let Some(mut writer) = self.writer.take() else {
            return Err(Error::file(&self.name, "a file without columns can't be written"));
        };
        for (key, value) in metadata {
            writer.append_key_value_metadata(KeyValue::new(key, value));
        }
        let mut rest = writer.into_inner().map_err(|error| Error::unwritten(&self.name, &error))?;
        self.out.send(&mut rest, 0)?;
        self.out.finish()
    }
}

/// Returns the properties of all files.
pub(crate) fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        // Level 1: at higher levels predictions compress little more, for several times the cost.
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        // Predictions are nearly unique: their dictionary would be built only to be thrown away.
        .set_column_dictionary_enabled(CTR.into(), false)
        .set_created_by(format!("clickcast {}", env!("CARGO_PKG_VERSION")))
}

/// Begins a Parquet file in memory.
fn begin(file: &str, schema: SchemaRef) -> Result<ArrowWriter<Vec<u8>>, Error> {
    let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties().build()));
    writer.map_err(|error| Error::unwritten(file, &error))
}

/// Bytes on their way to a store.
pub(crate) struct Out {
    form: OutForm,
    handle: Handle,
}

enum OutForm {
    Streamed(Writer),
    /// The whole file in memory, which replaces the version with this ETag.
    Held {
        bytes: Vec<u8>,
        store: Store,
        key: String,
        etag: String,
    },
}

impl Out {
    pub(crate) fn new(store: &Store, key: &str, handle: &Handle) -> Self {
        Self::at(&Replaces::Any, store, key, handle)
    }

    fn at(place: &Replaces, store: &Store, key: &str, handle: &Handle) -> Self {
        let form = match place {
            Replaces::Any => OutForm::Streamed(store.writer(key)),
            Replaces::Free => OutForm::Streamed(store.writer_new(key)),
            Replaces::Of(etag) => {
                OutForm::Held { bytes: Vec::new(), store: store.clone(), key: key.to_owned(), etag: etag.clone() }
            }
        };
        Self { form, handle: handle.clone() }
    }

    /// Sends the buffer if it has more than `bytes_min` bytes.
    pub(crate) fn send(&mut self, buffer: &mut Vec<u8>, bytes_min: usize) -> Result<(), Error> {
        if buffer.len() > bytes_min {
            match &mut self.form {
                OutForm::Streamed(writer) => self.handle.block_on(writer.write(std::mem::take(buffer).into()))?,
                OutForm::Held { bytes, .. } => bytes.append(buffer),
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<u64, Error> {
        match self.form {
            OutForm::Streamed(writer) => Ok(self.handle.block_on(writer.finish())?),
            OutForm::Held { bytes, store, key, etag } => {
                let length = bytes.len() as u64;
                self.handle.block_on(store.update(&key, bytes.into(), &etag))?;
                Ok(length)
            }
        }
    }
}
