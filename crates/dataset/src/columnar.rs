//! Parquet files: row groups read side by side, dictionary pages kept as dictionaries.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use tokio::runtime::Handle;

use crate::blocks::Plan;
use crate::discover::Input;
use crate::guard::guarded;
use crate::source::{Failure, Source};
use crate::{Error, batch_rows};

/// A Parquet file whose footer has been read.
pub(crate) struct ParquetFile {
    name: String,
    input: Input,
    source: Source,
    metadata: ArrowReaderMetadata,
}

impl ParquetFile {
    pub(crate) fn open(input: &Input, handle: &Handle) -> Result<Self, Error> {
        let name = input.name();
        let source = Source::open(input, handle, Plan::footer())?;
        let loaded = guarded(|| load(&source)).map_err(|panic| Error::damaged(&name, &panic))?;
        let metadata = loaded.map_err(|error| source.failure().or(|| Error::damaged(&name, &error)))?;
        Ok(Self { name, input: input.clone(), source, metadata })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Each row group's first row.
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
    pub(crate) fn read(&self, row_group: usize, columns: &[String], handle: &Handle) -> Result<GroupReader, Error> {
        let roots: Vec<usize> = (0..self.schema().fields().len())
            .filter(|&index| columns.iter().any(|column| column == self.schema().field(index).name()))
            .collect();
        let rows = batch_rows(roots.len());
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
        let plan = Plan::side_by_side(self.stretches(row_group, &mask));
        let source = self.source.again(&self.input, handle, plan);
        let failure = source.failure();
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(source, self.metadata.clone())
            .with_row_groups(vec![row_group])
            .with_projection(mask)
            .with_batch_size(rows);
        let built = guarded(|| builder.build()).map_err(|panic| Error::damaged(&self.name, &panic))?;
        let reader = built.map_err(|error| failure.or(|| Error::damaged(&self.name, &error)))?;
        Ok(GroupReader { reader, failure })
    }

    /// Where the columns lie in the file.
    fn stretches(&self, row_group: usize, mask: &ProjectionMask) -> Vec<Range<u64>> {
        let columns = self.metadata.metadata().row_group(row_group).columns().iter().enumerate();
        let included = columns.filter(|(leaf, _)| mask.leaf_included(*leaf));
        let ranges = included.map(|(_, column)| {
            let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
            let start = u64::try_from(start).unwrap_or(0);
            start..start.saturating_add(u64::try_from(column.compressed_size()).unwrap_or(0))
        });
        ranges.collect()
    }
}

/// Batches of one row group.
pub(crate) struct GroupReader {
    reader: ParquetRecordBatchReader,
    failure: Failure,
}

impl GroupReader {
    pub(crate) fn next(&mut self, file: &str) -> Option<Result<RecordBatch, Error>> {
        match guarded(|| self.reader.next()) {
            Ok(next) => Some(next?.map_err(|error| self.failure.or(|| Error::damaged(file, &error)))),
            Err(panic) => Some(Err(self.failure.or(|| Error::damaged(file, &panic)))),
        }
    }
}

/// Reads the footer, and asks for text as dictionaries.
fn load(source: &Source) -> parquet::errors::Result<ArrowReaderMetadata> {
    let metadata = ArrowReaderMetadata::load(source, ArrowReaderOptions::new())?;
    let fields: Vec<FieldRef> = metadata.schema().fields().iter().map(with_dictionary).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata.schema().metadata().clone()));
    ArrowReaderMetadata::try_new(metadata.metadata().clone(), ArrowReaderOptions::new().with_schema(schema))
}

/// The field with text as a dictionary, in lists too.
fn with_dictionary(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
        DataType::List(item) => DataType::List(with_dictionary(item)),
        DataType::LargeList(item) => DataType::LargeList(with_dictionary(item)),
        _ => return field.clone(),
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}
