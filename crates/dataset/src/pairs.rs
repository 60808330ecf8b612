//! Writes pairs: row groups are encoded side by side, and appended in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use clickcast_storage::Store;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::EnabledStatistics;
use parquet::file::writer::SerializedFileWriter;
use tokio::runtime::Handle;

use crate::Error;
use crate::write::{CTR, OUT_BYTES, Out, ROW_GROUP_ROWS, footer, properties};

/// A column of pairs: few values, each of which many rows name.
#[derive(Debug)]
pub struct Coded {
    /// The values, without a dictionary of their own.
    pub values: ArrayRef,
    /// For each row the place of its value; none where each row has its own.
    pub places: Option<Vec<i32>>,
}

/// Writes one file of pairs: the ids, then `ctr`.
pub struct PairWriter {
    writer: SerializedFileWriter<Vec<u8>>,
    encoder: Arc<PairEncoder>,
    out: Out,
    metadata: BTreeMap<String, String>,
    rows: u64,
}

/// Turns pairs into a row group of one file. Threads share it.
#[derive(Debug)]
pub struct PairEncoder {
    name: String,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
}

/// A column of ids of one row group.
#[derive(Debug)]
pub enum PairColumn {
    /// To be encoded.
    Coded(Coded),
    /// Encoded once for all groups that hold the same: to each user the same ads come, in the same order.
    Repeated(Arc<RepeatedColumn>),
}

/// A column as it lies in every row group.
#[derive(Debug)]
pub struct RepeatedColumn {
    bytes: Bytes,
    close: ColumnCloseResult,
}

/// An encoded row group.
#[derive(Debug)]
pub struct PairGroup {
    columns: Vec<EncodedColumn>,
    rows: u64,
}

#[derive(Debug)]
enum EncodedColumn {
    Chunk(Box<ArrowColumnChunk>),
    Repeated(Arc<RepeatedColumn>),
}

impl PairWriter {
    /// Rows of a group: worth a row group of its own, and not too many for each thread to hold.
    pub const GROUP_ROWS: usize = ROW_GROUP_ROWS;

    /// Begins a file under `key` of id columns of these types, none named `ctr`, and a `ctr` of this one;
    /// `metadata` goes to its footer, with the `rows` counted.
    ///
    /// # Errors
    /// Where the columns can't be written as Parquet.
    pub fn create(
        store: &Store,
        key: &str,
        handle: &Handle,
        ids: &[(String, DataType)],
        ctr: DataType,
        metadata: BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let name = store.uri(key);
        let mut fields: Vec<Field> =
            ids.iter().map(|(id, data_type)| Field::new(id, data_type.clone(), true)).collect();
        fields.push(Field::new(CTR, ctr, false));
        let schema = Arc::new(Schema::new(fields));
        let (writer, factory) = begin(schema.clone()).map_err(|error| Error::unwritten(&name, &error))?;
        let out = Out::new(store, key, handle);
        let encoder = Arc::new(PairEncoder { name, factory, schema });
        Ok(Self { writer, encoder, out, metadata, rows: 0 })
    }

    /// What encodes groups for this file.
    #[must_use]
    pub fn encoder(&self) -> Arc<PairEncoder> {
        self.encoder.clone()
    }

    /// Appends a group.
    ///
    /// # Errors
    /// Where the store can't take it.
    pub fn append(&mut self, group: PairGroup) -> Result<(), Error> {
        self.rows += group.rows;
        self.splice(group).map_err(|error| Error::unwritten(&self.encoder.name, &error))?;
        self.out.send(self.writer.inner_mut(), OUT_BYTES)
    }

    fn splice(&mut self, group: PairGroup) -> Result<(), ParquetError> {
        let mut row_group = self.writer.next_row_group()?;
        for column in group.columns {
            match column {
                EncodedColumn::Chunk(chunk) => chunk.append_to_row_group(&mut row_group)?,
                EncodedColumn::Repeated(column) => row_group.append_column(&column.bytes, column.close.clone())?,
            }
        }
        row_group.close()?;
        // What the file's writer still buffers belongs to the bytes that go out.
        self.writer.flush()?;
        Ok(())
    }

    /// Ends the file, which now appears under its name; its length in bytes.
    ///
    /// # Errors
    /// Where the store can't take it; then there is nothing under its name.
    pub fn finish(mut self) -> Result<u64, Error> {
        self.metadata.insert(footer::ROWS.to_owned(), self.rows.to_string());
        for (key, value) in self.metadata {
            self.writer.append_key_value_metadata(KeyValue::new(key, value));
        }
        let rest = self.writer.into_inner();
        let mut rest = rest.map_err(|error| Error::unwritten(&self.encoder.name, &error))?;
        self.out.send(&mut rest, 0)?;
        self.out.finish()
    }
}

impl PairEncoder {
    /// Encodes one row group.
    ///
    /// # Shapes
    /// `ids`: the columns of [`PairWriter::create`], in order; `ctr`: as long as each of them.
    /// # Errors
    /// Where a column is of another type or length, or names a value that there is not.
    pub fn encode(&self, ids: Vec<PairColumn>, ctr: ArrayRef) -> Result<PairGroup, Error> {
        let (given, expected) = (ids.len() + 1, self.schema.fields().len());
        if given != expected {
            return Err(Error::file(&self.name, format!("{given} columns of pairs for a file of {expected}")));
        }
        let rows = ctr.len() as u64;
        let mut columns = Vec::with_capacity(ids.len() + 1);
        // The number of the row group matters to encrypted files alone.
        let writers = self.factory.create_column_writers(0).map_err(|error| self.unwritten(&error))?;
        let ids = ids.into_iter().chain(std::iter::once(PairColumn::Coded(Coded::plain(ctr))));
        for ((writer, field), column) in writers.into_iter().zip(self.schema.fields()).zip(ids) {
            columns.push(match column {
                PairColumn::Coded(coded) => EncodedColumn::Chunk(Box::new(self.chunk(writer, field, coded)?)),
                PairColumn::Repeated(column) => EncodedColumn::Repeated(column),
            });
        }
        Ok(PairGroup { columns, rows })
    }

    /// Encodes column `index` for all groups that hold the same.
    ///
    /// # Errors
    /// As [`PairEncoder::encode`].
    pub fn repeated(&self, index: usize, coded: Coded) -> Result<Arc<RepeatedColumn>, Error> {
        let field = self.schema.field(index).clone();
        // A file of this column alone, from which it is taken over as it is.
        let alone = Arc::new(Schema::new(vec![field.clone()]));
        let (mut file, factory) = begin(alone).map_err(|error| self.unwritten(&error))?;
        let mut writers = factory.create_column_writers(0).map_err(|error| self.unwritten(&error))?;
        let writer =
            writers.pop().ok_or_else(|| Error::file(&self.name, "a column without values can't be written"))?;
        let chunk = self.chunk(writer, &field, coded)?;
        let column = (|| {
            let mut close = chunk.close().clone();
            let mut row_group = file.next_row_group()?;
            chunk.append_to_row_group(&mut row_group)?;
            // Where it lies in that file.
            close.metadata = row_group.close()?.column(0).clone();
            Ok(RepeatedColumn { bytes: file.into_inner()?.into(), close })
        })();
        column.map(Arc::new).map_err(|error| self.unwritten(&error))
    }

    fn chunk(&self, mut writer: ArrowColumnWriter, field: &Field, coded: Coded) -> Result<ArrowColumnChunk, Error> {
        let column: ArrayRef = match coded.places {
            None => coded.values,
            Some(places) => {
                let column = DictionaryArray::<Int32Type>::try_new(Int32Array::from(places), coded.values);
                Arc::new(column.map_err(|error| Error::arrow(&self.name, error))?)
            }
        };
        let chunk = compute_leaves(field, &column).and_then(|leaves| {
            leaves.iter().try_for_each(|leaf| writer.write(leaf))?;
            writer.close()
        });
        chunk.map_err(|error| self.unwritten(&error))
    }

    fn unwritten(&self, error: &ParquetError) -> Error {
        Error::unwritten(&self.name, error)
    }
}

impl Coded {
    /// A column with one value a row.
    fn plain(values: ArrayRef) -> Self {
        Self { values, places: None }
    }
}

type Begun = (SerializedFileWriter<Vec<u8>>, ArrowRowGroupWriterFactory);

fn begin(schema: SchemaRef) -> Result<Begun, ParquetError> {
    // Statistics of pages would pile up in memory until the end: a file may have ten thousand row groups.
    let properties = properties().set_statistics_enabled(EnabledStatistics::Chunk).set_offset_index_disabled(true);
    ArrowWriter::try_new(Vec::new(), schema, Some(properties.build()))?.into_serialized_writer()
}
