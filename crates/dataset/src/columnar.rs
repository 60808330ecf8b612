//! Parquet files: row groups read side by side, dictionary pages kept as dictionaries.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::reader::ChunkReader;
use tokio::runtime::Handle;

use crate::blocks::Blocks;
use crate::discover::Input;
use crate::{BATCH_ROWS, Error};

/// A Parquet file whose footer has been read.
#[derive(Clone)]
pub(crate) struct ParquetFile {
    name: String,
    source: Source,
    metadata: ArrowReaderMetadata,
}

#[derive(Clone)]
enum Source {
    /// Each reader opens it for itself: clones of an open file would share their position.
    Local(PathBuf),
    Remote(Blocks),
}

impl ParquetFile {
    pub(crate) fn open(input: &Input, handle: &Handle) -> Result<Self, Error> {
        let name = input.name();
        let key = &input.object.key;
        let (source, metadata) = match input.store.local_path(key) {
            Some(path) => {
                let file = File::open(&path).map_err(|error| Error::file(&name, error))?;
                (Source::Local(path), load(&file))
            }
            None => {
                let blocks = Blocks::new(input.store.clone(), key, input.object.size, handle.clone());
                let metadata = load(&blocks);
                (Source::Remote(blocks), metadata)
            }
        };
        let metadata = metadata.map_err(|error| Error::parquet(&name, error))?;
        Ok(Self { name, source, metadata })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Each row group's first row and number.
    pub(crate) fn row_groups(&self) -> Vec<u64> {
        let mut first_row = 0;
        let groups = self.metadata.metadata().row_groups().iter().map(|group| {
            let first = first_row;
            first_row += u64::try_from(group.num_rows()).unwrap_or(0);
            first
        });
        groups.collect()
    }

    pub(crate) fn key_values(&self) -> Vec<(String, String)> {
        let pairs = self.metadata.metadata().file_metadata().key_value_metadata();
        pairs.into_iter().flatten().map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default())).collect()
    }

    /// Reads some columns of one row group.
    pub(crate) fn read(&self, row_group: usize, columns: &[String]) -> Result<GroupReader, Error> {
        let roots: Vec<usize> = (0..self.schema().fields().len())
            .filter(|&index| columns.iter().any(|column| column == self.schema().field(index).name()))
            .collect();
        let reader = match &self.source {
            Source::Local(path) => {
                let file = File::open(path).map_err(|error| Error::file(&self.name, error))?;
                self.build(file, row_group, roots)
            }
            Source::Remote(blocks) => self.build(blocks.clone(), row_group, roots),
        };
        reader.map_err(|error| Error::parquet(&self.name, error)).map(|reader| GroupReader { reader })
    }

    fn build<R: ChunkReader + 'static>(
        &self,
        reader: R,
        row_group: usize,
        roots: Vec<usize>,
    ) -> parquet::errors::Result<ParquetRecordBatchReader> {
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
        ParquetRecordBatchReaderBuilder::new_with_metadata(reader, self.metadata.clone())
            .with_row_groups(vec![row_group])
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
    }
}

/// Batches of one row group.
pub(crate) struct GroupReader {
    reader: ParquetRecordBatchReader,
}

impl GroupReader {
    pub(crate) fn next(&mut self, file: &str) -> Option<Result<RecordBatch, Error>> {
        let next = self.reader.next()?;
        Some(next.map_err(|error| match error {
            arrow_schema::ArrowError::ExternalError(source) => match source.downcast::<parquet::errors::ParquetError>()
            {
                Ok(inner) => Error::parquet(file, *inner),
                Err(other) => Error::file(file, other),
            },
            other => Error::file(file, format!("not readable as Parquet: {other}; write the file again")),
        }))
    }
}

/// Reads the footer, and asks for text columns as dictionaries.
fn load<R: ChunkReader>(reader: &R) -> parquet::errors::Result<ArrowReaderMetadata> {
    let metadata = ArrowReaderMetadata::load(reader, ArrowReaderOptions::new())?;
    let text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let field = |field: &Arc<Field>| match text(field.data_type()) {
        true => {
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Arc::new(field.as_ref().clone().with_data_type(dictionary))
        }
        false => field.clone(),
    };
    let fields: Vec<Arc<Field>> = metadata.schema().fields().iter().map(field).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata.schema().metadata().clone()));
    ArrowReaderMetadata::try_new(metadata.metadata().clone(), ArrowReaderOptions::new().with_schema(schema))
}
