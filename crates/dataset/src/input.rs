//! An opened file: the parts that can be read side by side, and their batches.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use arrow_select::concat::concat_batches;
use clickcast_record::{Batch, Binding, InferredTimeUnit, Need, Schema};
use tokio::runtime::Handle;

use crate::Error;
use crate::columnar::{GroupReader, ParquetFile};
use crate::discover::{Format, Input};
use crate::text::{TextFile, TextReader};

/// What is wanted of every file of a scan.
pub(crate) struct Wants<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) need: &'a Need,
    /// Shared, so that files whose integer times have different units are an error.
    pub(crate) time_unit: InferredTimeUnit,
}

/// A file bound to a schema.
pub(crate) struct Opened {
    name: String,
    file: File,
    /// The wanted columns, as batches have them.
    schema: SchemaRef,
    binding: Arc<Binding>,
    columns: Vec<String>,
    hive: Vec<(String, Option<String>)>,
    /// The row groups to read.
    groups: Range<usize>,
}

enum File {
    Parquet(ParquetFile),
    Text(TextFile),
}

/// Reads one part of a file, one batch at a time.
pub(crate) struct PartReader {
    name: String,
    reader: Reader,
    binding: Arc<Binding>,
    hive: Vec<(String, Option<String>)>,
    next_row: u64,
}

enum Reader {
    Parquet(GroupReader),
    Text(Box<TextReader>),
}

impl Opened {
    pub(crate) fn new(input: &Input, handle: &Handle, wants: &Wants<'_>) -> Result<Self, Error> {
        let Wants { schema, need, time_unit } = wants;
        let name = input.name();
        let (file, own) = open(input, handle, |text| text.schema(schema, need))?;
        let columns = need.columns(schema);
        refuse_repeated(&name, &own, &columns)?;
        // A column in the file takes precedence over the name of its folder.
        let hive = input.hive.iter().filter(|(key, _)| own.column_with_name(key).is_none() && columns.contains(key));
        let hive: Vec<_> = hive.cloned().collect();
        let all = own.fields().iter().cloned().chain(hive.iter().map(|(key, _)| Arc::new(hive_field(key))));
        let wanted = all.filter(|field| columns.contains(field.name()));
        let wanted = ArrowSchema::new(wanted.collect::<Vec<_>>());
        // All of the file's columns, so that a message can list them.
        let binding =
            Binding::new(schema, need, &wanted).map(|binding| binding.with_time_unit(time_unit)).map_err(|error| {
                match error {
                    clickcast_record::Error::MissingColumn { column, .. } => {
                        let present =
                            own.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
                        clickcast_record::Error::MissingColumn { column, present }
                    }
                    other => other,
                }
            });
        let binding = binding.map_err(|source| Error::record(&name, source))?;
        let parts = match &file {
            File::Parquet(file) => file.row_groups().len(),
            File::Text(_) => 1,
        };
        let groups = match (input.row_groups, &file) {
            (Some((first, last)), File::Parquet(_)) => first as usize..parts.min(last as usize + 1),
            _ => 0..parts,
        };
        Ok(Self { name, file, schema: Arc::new(wanted), binding: Arc::new(binding), columns, hive, groups })
    }

    /// Returns an empty batch with the file's columns.
    pub(crate) fn without_rows(&self) -> Result<Batch, Error> {
        let bound = self.binding.batch(&RecordBatch::new_empty(self.schema.clone()), 0);
        let mut batch = bound.map_err(|source| Error::record(&self.name, source))?;
        if let File::Text(file) = &self.file {
            carry_as_read(&mut batch, &file.nothing_read());
        }
        Ok(batch)
    }

    /// Returns the number of parts that can be read in parallel.
    pub(crate) fn parts(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn read(&self, part: usize, handle: &Handle, schema: &Schema, need: &Need) -> Result<PartReader, Error> {
        let part = self.groups.start + part;
        let (reader, next_row) = match &self.file {
            File::Parquet(file) => (Reader::Parquet(file.read(part, &self.columns, handle)?), file.row_groups()[part]),
            File::Text(file) => (Reader::Text(Box::new(file.read(handle, schema, need, &self.columns)?)), 0),
        };
        let (name, binding, hive) = (self.name.clone(), self.binding.clone(), self.hive.clone());
        Ok(PartReader { name, reader, binding, hive, next_row })
    }
}

impl PartReader {
    pub(crate) fn next(&mut self) -> Option<Result<Batch, Error>> {
        let next = match &mut self.reader {
            Reader::Parquet(reader) => reader.next(&self.name)?.map(|batch| (batch, None)),
            Reader::Text(reader) => reader.next()?.map(|(batch, read)| (batch, Some(read))),
        };
        Some(next.and_then(|(batch, read)| {
            let batch = with_hive(&self.name, batch, &self.hive)?;
            let first_row = self.next_row;
            self.next_row += batch.num_rows() as u64;
            let bound = self.binding.batch(&batch, first_row);
            let mut batch = bound.map_err(|source| Error::record(&self.name, source))?;
            read.iter().for_each(|read| carry_as_read(&mut batch, read));
            Ok(batch)
        }))
    }
}

/// Carries a text file's columns as they were read, not as the features' types change `41` or `NA`.
fn carry_as_read(batch: &mut Batch, read: &RecordBatch) {
    for (name, array) in &mut batch.carried {
        if let Some(column) = read.column_by_name(name) {
            *array = column.clone();
        }
    }
}

fn open(input: &Input, handle: &Handle, schema: impl Fn(&TextFile) -> SchemaRef) -> Result<(File, SchemaRef), Error> {
    Ok(match input.format {
        Format::Parquet => {
            let file = ParquetFile::open(input, handle)?;
            let schema = file.schema().clone();
            (File::Parquet(file), schema)
        }
        Format::Csv | Format::Tsv => {
            let file = TextFile::open(input, handle)?;
            let schema = schema(&file);
            (File::Text(file), schema)
        }
    })
}

/// Refuses a file that has a wanted column twice: it does not say which one is meant.
fn refuse_repeated(file: &str, own: &ArrowSchema, columns: &[String]) -> Result<(), Error> {
    for column in columns {
        if own.fields().iter().filter(|field| field.name() == column).count() > 1 {
            return Err(Error::repeated(file, column));
        }
    }
    Ok(())
}

fn hive_field(name: &str) -> Field {
    Field::new(name, DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), true)
}

/// Returns the batch with its folders' columns after its own.
fn with_hive(file: &str, batch: RecordBatch, hive: &[(String, Option<String>)]) -> Result<RecordBatch, Error> {
    if hive.is_empty() {
        return Ok(batch);
    }
    let mut fields: Vec<Arc<Field>> = batch.schema().fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    for (key, value) in hive {
        let codes = Int32Array::from(vec![value.as_ref().map(|_| 0); batch.num_rows()]);
        let values: ArrayRef = Arc::new(StringArray::from_iter(value.iter().map(Some)));
        let column = DictionaryArray::<Int32Type>::try_new(codes, values).map_err(|error| Error::arrow(file, error))?;
        fields.push(Arc::new(hive_field(key)));
        columns.push(Arc::new(column));
    }
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).map_err(|error| Error::arrow(file, error))
}

/// Returns the number of rows of some files by their footers, or `None` if a file would have to be read.
///
/// # Errors
/// The same as for reading the files.
pub fn rows_of(inputs: &[Input], handle: &Handle) -> Result<Option<u64>, Error> {
    let mut rows = 0;
    for input in inputs {
        // A remote footer costs a round trip; an estimate of the time left is not worth thousands of them.
        if input.format != Format::Parquet || input.store.local_path(&input.object.key).is_none() {
            return Ok(None);
        }
        rows += ParquetFile::open(input, handle)?.rows();
    }
    Ok(Some(rows))
}

/// Returns the rows of each row group of a file, or `None` if its format has no row groups.
///
/// # Errors
/// The same as for reading the file.
pub fn row_groups(input: &Input, handle: &Handle) -> Result<Option<Vec<u64>>, Error> {
    if input.format != Format::Parquet {
        return Ok(None);
    }
    let file = ParquetFile::open(input, handle)?;
    let firsts = file.row_groups();
    let ends = firsts.iter().skip(1).copied().chain([file.rows()]);
    Ok(Some(ends.zip(&firsts).map(|(end, first)| end - first).collect()))
}

/// Returns the key-value metadata in a Parquet file's footer.
pub(crate) fn key_values(input: &Input, handle: &Handle) -> Result<Vec<(String, String)>, Error> {
    ParquetFile::open(input, handle).map(|file| file.key_values())
}

/// Returns the first rows of a file with all its columns. A text file's columns get the types that their values suggest.
///
/// # Errors
/// The same as for reading the file.
pub fn sample(input: &Input, handle: &Handle, rows: usize) -> Result<RecordBatch, Error> {
    let name = input.name();
    let (file, schema) = open(input, handle, |text| text.head().clone())?;
    let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let mut batches = Vec::new();
    let mut taken = 0;
    match &file {
        File::Parquet(file) => {
            'groups: for group in 0..file.row_groups().len() {
                let mut reader = file.read(group, &columns, handle)?;
                while let Some(batch) = reader.next(&name) {
                    let batch = batch?;
                    let batch = batch.slice(0, batch.num_rows().min(rows - taken));
                    taken += batch.num_rows();
                    batches.push(batch);
                    if taken == rows {
                        break 'groups;
                    }
                }
            }
        }
        File::Text(file) => {
            let texts = all_text(&schema)?;
            let need = Need::default();
            let mut reader = file.read(handle, &texts, &need, &columns)?;
            while let Some(batch) = reader.next() {
                let (batch, _) = batch?;
                let batch = batch.slice(0, batch.num_rows().min(rows - taken));
                taken += batch.num_rows();
                batches.push(batch);
                if taken == rows {
                    break;
                }
            }
        }
    }
    let Some(first) = batches.first() else { return Ok(RecordBatch::new_empty(schema)) };
    let batch = concat_batches(&first.schema(), &batches).map_err(|error| Error::arrow(&name, error))?;
    let batch = if input.format == Format::Parquet { batch } else { typed(&name, &batch, &schema)? };
    with_hive(&name, batch, &input.hive)
}

/// Converts text columns to the types that the head suggests, where every value fits.
fn typed(file: &str, batch: &RecordBatch, head: &SchemaRef) -> Result<RecordBatch, Error> {
    let columns = batch.columns().iter().zip(head.fields()).map(|(column, field)| {
        let cast = arrow_cast::cast(column, field.data_type()).ok();
        let cast = cast.filter(|cast| cast.null_count() == column.null_count());
        (field.name(), cast.unwrap_or_else(|| column.clone()), true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| Error::arrow(file, error))
}

/// Returns a schema in which every column of a text file is text.
fn all_text(head: &SchemaRef) -> Result<Schema, Error> {
    use clickcast_record::{Feature, Kind, Side};
    let feature = |name: &String| Feature::new(name, Kind::Categorical, Side::Context);
    let features = head.fields().iter().map(|field| feature(field.name())).collect();
    Schema::new(features).map_err(|source| Error::record("", source))
}
