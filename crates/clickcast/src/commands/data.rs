//! Input files of a command, and how it goes through them.

use arrow_array::RecordBatch;
use clickcast_dataset::{Error, Input, Scan, Step};
use clickcast_record::{Batch, Need, Schema};
use clickcast_storage::Store;

use super::{Context, storage_failure};
use crate::failure::Failure;

/// The files behind a data URI.
pub(super) struct Data {
    uri: String,
    pub(super) inputs: Vec<Input>,
    rows_total: Option<u64>,
}

impl Data {
    pub(super) fn open(context: &Context, uri: &str) -> Result<Self, Failure> {
        let inputs = context.runtime.block_on(clickcast_dataset::discover(uri))?;
        // Whoever reads the file says what is wrong with it.
        let rows_total = if_readable(clickcast_dataset::rows_of(&inputs, context.runtime.handle()))?.flatten();
        Ok(Self { uri: uri.to_owned(), inputs, rows_total })
    }

    /// Some of the files, as if there were no others.
    pub(super) fn only(&self, inputs: Vec<Input>) -> Self {
        Self { uri: self.uri.clone(), inputs, rows_total: None }
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
        batches_max: context.threads * Scan::BATCHES_PER_THREAD,
        handle: context.runtime.handle(),
    };
    clickcast_dataset::scan(scan, map, sink)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(&error, error.is_transient())
    }
}

/// What was read; none where it never can be.
pub(super) fn if_readable<T>(read: Result<T, Error>) -> Result<Option<T>, Failure> {
    match read {
        Err(error) if error.is_transient() => Err(error.into()),
        read => Ok(read.ok()),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clickcast_dataset::prediction_metadata;
    use clickcast_storage::Fault;

    use super::*;

    #[test]
    fn what_can_not_be_read_just_now_is_not_taken_for_what_never_can() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store = Store::in_memory();
        runtime.block_on(store.put("a.parquet", "no Parquet".into())).unwrap();
        let read = |store: &Store| if_readable(prediction_metadata(store, "a.parquet", runtime.handle()));
        assert_eq!(read(&store).unwrap(), None);
        let unreachable = store.with_faults(|_, _| Some(Fault::Refused));
        assert!(read(&unreachable).unwrap_err().is_transient());
    }
}
