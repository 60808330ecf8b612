//! Input files of a command, and how it goes through them.

use arrow_array::RecordBatch;
use clickcast_dataset::{Error, Input, Scan, Step};
use clickcast_record::{Batch, Need, Schema};
use clickcast_storage::Store;

use super::{Context, storage_failure};
use crate::failure::Failure;

/// Batches in flight for each thread: one worked on, and some to even out parts of unequal cost. A
/// batch of 32,768 rows and 40 columns takes up to 10 MiB.
const BATCHES_PER_THREAD: usize = 6;

/// The files behind a data URI.
pub(super) struct Data {
    uri: String,
    pub(super) inputs: Vec<Input>,
    rows_total: Option<u64>,
}

impl Data {
    pub(super) fn open(context: &Context, uri: &str) -> Result<Self, Failure> {
        let inputs = context.runtime.block_on(clickcast_dataset::discover(uri))?;
        let rows_total = match clickcast_dataset::rows_of(&inputs, context.runtime.handle()) {
            Err(error) if error.is_transient() => return Err(error.into()),
            // Whoever reads the file says what is wrong with it.
            rows_total => rows_total.unwrap_or_default(),
        };
        Ok(Self { uri: uri.to_owned(), inputs, rows_total })
    }

    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    /// Rows of all files, where their footers tell.
    pub(super) fn rows_total(&self) -> Option<u64> {
        self.rows_total
    }

    /// The first rows of the first file.
    pub(super) fn sample(&self, context: &Context, rows: usize) -> Result<RecordBatch, Failure> {
        let first = self.inputs.first().ok_or_else(|| Failure::input(format!("`{}` has no files", self.uri)))?;
        Ok(clickcast_dataset::sample(first, context.runtime.handle(), rows)?)
    }

    /// Reads all files: batches are mapped in parallel, and come to `sink` in order.
    pub(super) fn scan<R: Send>(
        &self,
        context: &Context,
        schema: &Schema,
        need: &Need,
        map: impl Fn(Batch) -> R + Sync,
        sink: impl FnMut(Step<R>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        scan(context, &self.inputs, schema, need, map, sink)
    }
}

/// Reads some files: batches are mapped in parallel, and come to `sink` in order.
pub(super) fn scan<R: Send>(
    context: &Context,
    inputs: &[Input],
    schema: &Schema,
    need: &Need,
    map: impl Fn(Batch) -> R + Sync,
    sink: impl FnMut(Step<R>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let scan = Scan {
        inputs,
        schema,
        need,
        threads: context.threads,
        batches_max: context.threads * BATCHES_PER_THREAD,
        handle: context.runtime.handle(),
    };
    clickcast_dataset::scan(scan, map, sink)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(&error, error.is_transient())
    }
}

/// Reads one object whole, such as a model file.
pub(super) fn read_object(context: &Context, uri: &str) -> Result<Vec<u8>, Failure> {
    let (store, key) = Store::open_parent(uri).map_err(|error| storage_failure(&error))?;
    let bytes = context.runtime.block_on(store.get(&key)).map_err(|error| storage_failure(&error))?;
    Ok(bytes.to_vec())
}

/// Writes one object whole, such as a schema or a page.
pub(super) fn write_object(context: &Context, uri: &str, content: impl Into<Vec<u8>>) -> Result<(), Failure> {
    let (store, key) = Store::open_parent(uri).map_err(|error| storage_failure(&error))?;
    let put = store.put(&key, content.into().into());
    context.runtime.block_on(put).map_err(|error| storage_failure(&error))
}
