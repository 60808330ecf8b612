//! Writes pairs: row groups are encoded side by side, and appended in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use clickcast_storage::Store;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::EnabledStatistics;
use parquet::file::writer::SerializedFileWriter;
use tokio::runtime::Handle;

use crate::Error;
use crate::write::{CTR, OUT_BYTES, Out, ROW_GROUP_ROWS, properties};

/// A column of pairs: few values, each of which many rows name.
#[derive(Debug)]
pub struct Coded {
    /// The values, without a dictionary of their own.
    pub values: ArrayRef,
    /// For each row the place of its value.
    pub places: Vec<i32>,
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

/// An encoded row group.
#[derive(Debug)]
pub struct PairGroup {
    chunks: Vec<ArrowColumnChunk>,
    rows: u64,
}

impl PairWriter {
    /// Rows of a group that is worth a row group of its own, and not too large to be held in memory by each thread.
    pub const GROUP_ROWS: usize = ROW_GROUP_ROWS;

    /// Begins a file under `key` of id columns of these types and a `ctr` of this one; `metadata` goes to its
    /// footer, with the `rows` counted.
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
        let ids = ids.iter().filter(|(id, _)| id != CTR);
        let mut fields: Vec<Field> = ids.map(|(id, data_type)| Field::new(id, data_type.clone(), true)).collect();
        fields.push(Field::new(CTR, ctr, false));
        let schema = Arc::new(Schema::new(fields));
        // Statistics of pages would pile up in memory until the end: a file may have ten thousand row groups.
        let properties = properties().set_statistics_enabled(EnabledStatistics::Chunk).set_offset_index_disabled(true);
        let begun = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties.build()));
        let begun = begun.and_then(ArrowWriter::into_serialized_writer);
        let (writer, factory) = begun.map_err(|error| Error::unwritten(&name, &error))?;
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
        for chunk in group.chunks {
            chunk.append_to_row_group(&mut row_group)?;
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
        self.metadata.insert("clickcast.rows".to_owned(), self.rows.to_string());
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
    pub fn encode(&self, ids: Vec<Coded>, ctr: ArrayRef) -> Result<PairGroup, Error> {
        let rows = ctr.len() as u64;
        let mut columns = Vec::with_capacity(ids.len() + 1);
        for Coded { values, places } in ids {
            let column = DictionaryArray::<Int32Type>::try_new(Int32Array::from(places), values);
            let column: ArrayRef = Arc::new(column.map_err(|error| Error::arrow(&self.name, error))?);
            columns.push(column);
        }
        columns.push(ctr);
        let chunks = self.chunks(&columns).map_err(|error| Error::unwritten(&self.name, &error))?;
        Ok(PairGroup { chunks, rows })
    }

    fn chunks(&self, columns: &[ArrayRef]) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
        // The number of the row group matters to encrypted files alone.
        let writers = self.factory.create_column_writers(0)?;
        let mut chunks = Vec::with_capacity(writers.len());
        for ((mut writer, field), column) in writers.into_iter().zip(self.schema.fields()).zip(columns) {
            for leaf in compute_leaves(field, column)? {
                writer.write(&leaf)?;
            }
            chunks.push(writer.close()?);
        }
        Ok(chunks)
    }
}
