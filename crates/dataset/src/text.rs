//! CSV and TSV files: read as text, then turned into what the schema says, cell by cell.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use arrow_array::builder::Float64Builder;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_csv::ReaderBuilder;
use arrow_csv::reader::Format;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use clickcast_record::{Kind, Need};
use tokio::runtime::Handle;

use crate::blocks::Plan;
use crate::discover::{self, Compression, Input};
use crate::records::Records;
use crate::source::{Failure, Source};
use crate::{Error, batch_rows};

/// What is looked at to tell the delimiter, the columns and their types.
const HEAD_BYTES: usize = 256 * 1024;
/// Rows whose values tell a column's type.
const TYPED_ROWS: usize = 1000;
/// Decompressed bytes buffered ahead of the parser.
const BUFFER_BYTES: usize = 256 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What data frames and databases write for a value that isn't there.
const MISSING: [&str; 9] = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "\\N"];

fn is_missing(cell: &str) -> bool {
    // Nearly every cell is told apart by its length or first letter, before any comparison.
    cell.len() <= 4 && matches!(cell.as_bytes().first(), None | Some(b'N' | b'n' | b'\\')) && MISSING.contains(&cell)
}

/// A text file whose head has been read.
#[derive(Clone)]
pub(crate) struct TextFile {
    name: String,
    input: Input,
    source: Source,
    delimiter: u8,
    /// Columns with the types that the head's values suggest.
    head: SchemaRef,
}

/// Batches of a text file.
pub(crate) struct TextReader {
    name: String,
    failure: Failure,
    reader: arrow_csv::reader::BufReader<Records<Box<dyn BufRead + Send>>>,
    schema: SchemaRef,
    roles: Vec<Role>,
    rows: u64,
}

/// What a column's cells are to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Number,
    Text,
    Integer,
    Timestamp,
    Unchanged,
}

impl TextFile {
    pub(crate) fn open(input: &Input, handle: &Handle) -> Result<Self, Error> {
        let name = input.name();
        let mut head = Vec::new();
        let source = Source::open(input, handle, Plan::sequential(input.object.size))?;
        let failed = |error| source.failure().or(|| unreadable(&name, input, error));
        let mut stream = stream(input, &source)?.take(HEAD_BYTES as u64);
        stream.read_to_end(&mut head).map_err(failed)?;
        if head.starts_with(b"PAR1") || head.contains(&0) {
            return Err(Error::file(&name, "this is not text, though its name says so; give it its true ending"));
        }
        if head.len() == HEAD_BYTES {
            head.truncate(whole_rows(&head));
        }
        if head.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::file(&name, "the file is empty; it needs a line of column names at least"));
        }
        let delimiter = sniff(&head, input.format == discover::Format::Tsv);
        let missing = MISSING.map(regex::escape).join("|");
        let missing = regex::Regex::new(&format!("^({missing})$")).map_err(|error| Error::file(&name, error))?;
        let format = Format::default().with_header(true).with_delimiter(delimiter).with_null_regex(missing);
        let (head, _) =
            format.infer_schema(head.as_slice(), Some(TYPED_ROWS)).map_err(|error| Error::arrow(&name, error))?;
        if let Some(twice) = head.fields().iter().enumerate().find_map(|(index, field)| {
            let earlier = head.fields()[..index].iter().any(|other| other.name() == field.name());
            earlier.then_some(field.name())
        }) {
            return Err(Error::repeated(&name, twice));
        }
        Ok(Self { name, input: input.clone(), source, delimiter, head: Arc::new(head) })
    }

    /// The columns with the types that the first rows suggest.
    pub(crate) fn head(&self) -> &SchemaRef {
        &self.head
    }

    /// The columns with the types in which [`TextFile::read`] gives them.
    pub(crate) fn schema(&self, schema: &clickcast_record::Schema, need: &Need) -> SchemaRef {
        let fields = self.head.fields().iter().map(|field| {
            let role = self.role(field, schema, need);
            let data_type = match role {
                Role::Number => DataType::Float64,
                Role::Integer => DataType::Int64,
                Role::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
                Role::Text | Role::Unchanged => DataType::Utf8,
            };
            Field::new(field.name(), data_type, true)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// No rows of all columns, as they are read.
    pub(crate) fn nothing_read(&self) -> RecordBatch {
        RecordBatch::new_empty(self.texts())
    }

    fn texts(&self) -> SchemaRef {
        let texts = self.head.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true));
        Arc::new(Schema::new(texts.collect::<Vec<_>>()))
    }

    pub(crate) fn read(
        &self,
        handle: &Handle,
        schema: &clickcast_record::Schema,
        need: &Need,
        columns: &[String],
    ) -> Result<TextReader, Error> {
        let wanted: Vec<usize> = (0..self.head.fields().len())
            .filter(|&index| columns.iter().any(|column| column == self.head.field(index).name()))
            .collect();
        let typed = self.schema(schema, need).project(&wanted).map_err(|error| Error::arrow(&self.name, error))?;
        let roles = wanted.iter().map(|&index| self.role(self.head.field(index), schema, need)).collect();
        let source = self.source.again(&self.input, handle, Plan::sequential(self.input.object.size));
        let rows = batch_rows(wanted.len());
        let reader = ReaderBuilder::new(self.texts())
            .with_header(true)
            .with_delimiter(self.delimiter)
            .with_projection(wanted)
            .with_batch_size(rows)
            .build_buffered(Records::new(stream(&self.input, &source)?, self.delimiter))
            .map_err(|error| source.failure().or(|| Error::arrow(&self.name, error)))?;
        Ok(TextReader {
            name: self.name.clone(),
            failure: source.failure(),
            reader,
            schema: Arc::new(typed),
            roles,
            rows: 0,
        })
    }

    fn role(&self, field: &Field, schema: &clickcast_record::Schema, need: &Need) -> Role {
        let name = field.name().as_str();
        let kind = schema.kind_of(name);
        if schema.time() == Some(name) && need.times {
            return match field.data_type() {
                DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Role::Timestamp,
                _ => Role::Integer,
            };
        }
        if schema.weight() == Some(name) || kind == Some(Kind::Numeric) {
            return Role::Number;
        }
        if schema.label() == Some(name) || kind.is_some() { Role::Text } else { Role::Unchanged }
    }
}

impl TextReader {
    /// The next rows as the schema needs them, and as they were read.
    pub(crate) fn next(&mut self) -> Option<Result<(RecordBatch, RecordBatch), Error>> {
        let batch = match self.reader.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(self.failure.or(|| Error::arrow(&self.name, error)))),
        };
        let first_row = self.rows;
        self.rows += batch.num_rows() as u64;
        Some(self.convert(&batch, first_row).map(|converted| (converted, batch)))
    }

    fn convert(&self, batch: &RecordBatch, first_row: u64) -> Result<RecordBatch, Error> {
        let mut columns = Vec::with_capacity(self.roles.len());
        for (index, &role) in self.roles.iter().enumerate() {
            let name = self.schema.field(index).name();
            let Some(cells) = batch.column(index).as_any().downcast_ref::<StringArray>() else {
                return Err(Error::file(&self.name, "the reader gave no text"));
            };
            let column = convert(cells, role).map_err(|(row, expected)| {
                let problem = format!("`{}` is not {expected}", cells.value(row));
                let row = first_row + row as u64 + 1;
                let source = clickcast_record::Error::Value { column: name.clone(), row, problem };
                Error::record(&self.name, source)
            })?;
            columns.push(column);
        }
        // All that is wanted may be in the names of folders.
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let converted = RecordBatch::try_new_with_options(self.schema.clone(), columns, &rows);
        converted.map_err(|error| Error::arrow(&self.name, error))
    }
}

/// Turns cells into values; the first cell that can't be is the error, with what it should be.
fn convert(cells: &StringArray, role: Role) -> Result<ArrayRef, (usize, &'static str)> {
    match role {
        Role::Unchanged => Ok(Arc::new(cells.clone())),
        Role::Text => match cells.iter().any(|cell| cell.is_some_and(is_missing)) {
            false => Ok(Arc::new(cells.clone())),
            true => {
                Ok(Arc::new(cells.iter().map(|cell| cell.filter(|cell| !is_missing(cell))).collect::<StringArray>()))
            }
        },
        Role::Number => {
            let mut numbers = Float64Builder::with_capacity(cells.len());
            for (row, cell) in cells.iter().enumerate() {
                match cell.map(str::trim).filter(|cell| !is_missing(cell)) {
                    None => numbers.append_null(),
                    Some(cell) => numbers.append_value(number(cell).ok_or((row, "a number"))?),
                }
            }
            Ok(Arc::new(numbers.finish()))
        }
        Role::Integer => {
            let parse = |(row, cell): (usize, Option<&str>)| match cell.filter(|cell| !is_missing(cell)) {
                None => Ok(None),
                Some(cell) => cell.trim().parse().map(Some).map_err(|_| (row, "an integer, as the first times are")),
            };
            Ok(Arc::new(cells.iter().enumerate().map(parse).collect::<Result<Int64Array, _>>()?))
        }
        Role::Timestamp => {
            let target = DataType::Timestamp(TimeUnit::Millisecond, None);
            let times = arrow_cast::cast(cells, &target).map_err(|_| (0, "a date or time"))?;
            // A cast makes null of what it can't read.
            match (0..cells.len())
                .find(|&row| times.is_null(row) && cells.is_valid(row) && !is_missing(cells.value(row)))
            {
                Some(row) => Err((row, "a date or time")),
                None => Ok(times),
            }
        }
    }
}

fn number(cell: &str) -> Option<f64> {
    cell.parse().ok().or_else(|| match cell.to_ascii_lowercase().as_str() {
        "true" => Some(1.0),
        "false" => Some(0.0),
        _ => None,
    })
}

/// The delimiter that the line of column names has most of, outside quotes.
fn sniff(head: &[u8], tabs: bool) -> u8 {
    let mut counts = [(b'\t', 0), (b',', 0), (b';', 0), (b'|', 0)];
    let mut quoted = false;
    for &byte in head {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            _ if !quoted => counts.iter_mut().filter(|(delimiter, _)| *delimiter == byte).for_each(|(_, n)| *n += 1),
            _ => {}
        }
    }
    let default = if tabs { b'\t' } else { b',' };
    counts.into_iter().filter(|&(_, count)| count > 0).max_by_key(|&(_, count)| count).map_or(default, |(best, _)| best)
}

/// How much of a file's beginning is whole rows: up to the last line break that no quotes enclose.
fn whole_rows(head: &[u8]) -> usize {
    let (mut quoted, mut end) = (false, 0);
    for (index, &byte) in head.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => end = index + 1,
            _ => {}
        }
    }
    if end == 0 { head.len() } else { end }
}

/// The file's text: decompressed, without a byte order mark.
fn stream(input: &Input, source: &Source) -> Result<Box<dyn BufRead + Send>, Error> {
    let name = input.name();
    let failed = |error| source.failure().or(|| unreadable(&name, input, error));
    let raw = Box::new(source.reader(0));
    let text: Box<dyn Read + Send> = match input.compression {
        Compression::None => raw,
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(raw)),
        Compression::Zstd => Box::new(zstd::Decoder::new(raw).map_err(failed)?),
    };
    let mut buffered = BufReader::with_capacity(BUFFER_BYTES, text);
    let start = buffered.fill_buf().map_err(failed)?;
    if start.starts_with(BYTE_ORDER_MARK) {
        buffered.consume(BYTE_ORDER_MARK.len());
    }
    Ok(Box::new(buffered))
}

fn unreadable(name: &str, input: &Input, error: std::io::Error) -> Error {
    let error = Error::stream(name, error);
    match input.compression {
        Compression::None => error,
        Compression::Gzip => error.within("not readable as gzip"),
        Compression::Zstd => error.within("not readable as zstd"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_the_header_has_most_of() {
        for (head, tabs, expected) in [
            ("a,b,c\n1;2;3;4;5\n", false, b','),
            ("\"a,b,c,d\";e;f\n", false, b';'),
            ("a\tb,c\td\n", false, b'\t'),
            ("a|b\n", false, b'|'),
            ("alone\n", false, b','),
            ("alone\n", true, b'\t'),
        ] {
            assert_eq!(sniff(head.as_bytes(), tabs), expected, "{head}");
        }
    }
}
