//! The files behind a data URI, and how an operation reads them.

use arrow_array::RecordBatch;
use clickcast_dataset::{Error as DatasetError, Input, Scan, ScanEvent};
use clickcast_record::{Batch, Need, Schema};
use clickcast_storage::Store;
use tokio::runtime::Handle;

use crate::{Error, Resources};

/// The files behind a data URI.
pub struct Data {
    uri: String,
    /// The files, in the order in which they are read.
    pub inputs: Vec<Input>,
    rows_total: Option<u64>,
    handle: Handle,
    threads: usize,
}

impl Data {
    /// Finds the files behind a URI: a file, or all files of a folder or prefix.
    ///
    /// # Errors
    /// If there are none, or the store fails. A file that cannot be read is no error here: reading it will say why.
    pub fn open(resources: &Resources, uri: &str) -> Result<Self, Error> {
        let inputs = resources.wait(clickcast_dataset::discover(uri))?;
        let rows_total = if_readable(clickcast_dataset::rows_of(&inputs, resources.handle()))?.flatten();
        let (handle, threads) = (resources.handle().clone(), resources.threads());
        Ok(Self { uri: uri.to_owned(), inputs, rows_total, handle, threads })
    }

    /// These files of the same place, as if there were no others.
    #[must_use]
    pub fn only(&self, inputs: Vec<Input>) -> Self {
        let (handle, threads) = (self.handle.clone(), self.threads);
        Self { uri: self.uri.clone(), inputs, rows_total: None, handle, threads }
    }

    /// Files that were found before, such as outputs that are read again.
    #[must_use]
    pub fn of(resources: &Resources, inputs: Vec<Input>) -> Self {
        let uri = inputs.first().map(Input::name).unwrap_or_default();
        let (handle, threads) = (resources.handle().clone(), resources.threads());
        Self { uri, inputs, rows_total: None, handle, threads }
    }

    /// The URI that was opened.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Rows of all files, or `None` where their footers do not tell.
    #[must_use]
    pub fn rows_total(&self) -> Option<u64> {
        self.rows_total
    }

    /// Reads the first rows of the first file.
    ///
    /// # Errors
    /// If there is no file, or it cannot be read.
    pub fn sample(&self, rows: usize) -> Result<RecordBatch, Error> {
        let first = self.inputs.first().ok_or_else(|| Error::invalid(format!("`{}` has no files", self.uri)))?;
        Ok(clickcast_dataset::sample(first, &self.handle, rows)?)
    }

    /// The names of the first file's columns, those of its folders (`dt=2026-01-05/`) among them.
    ///
    /// # Errors
    /// As [`Data::sample`].
    pub fn columns(&self) -> Result<Vec<String>, Error> {
        let sample = self.sample(1)?;
        Ok(sample.schema().fields().iter().map(|field| field.name().clone()).collect())
    }

    /// Reads all files: `map` is called on batches side by side, and `sink` on its results in order.
    ///
    /// # Errors
    /// If a file cannot be read, or does not fit the schema; and those of `sink`.
    pub fn scan<R: Send, E: From<DatasetError>>(
        &self,
        schema: &Schema,
        need: &Need,
        map: impl Fn(Batch) -> R + Sync,
        sink: impl FnMut(ScanEvent<R>) -> Result<(), E>,
    ) -> Result<(), E> {
        let scan = Scan {
            inputs: &self.inputs,
            schema,
            need,
            threads: self.threads,
            batches_max: self.threads * Scan::BATCHES_PER_THREAD,
            handle: &self.handle,
        };
        clickcast_dataset::scan(scan, map, sink)
    }
}

/// Returns what was read, or `None` if it can never be read.
///
/// # Errors
/// If it cannot be read just now.
pub fn if_readable<T>(read: Result<T, DatasetError>) -> Result<Option<T>, Error> {
    match read {
        Err(error) if error.is_transient() => Err(error.into()),
        read => Ok(read.ok()),
    }
}

/// Reads one object whole, such as a model file.
///
/// # Errors
/// If it is not there, or the store fails.
pub fn read_object(resources: &Resources, uri: &str) -> Result<Vec<u8>, Error> {
    let (store, key) = Store::open_parent(uri)?;
    Ok(resources.wait(store.get(&key))?.to_vec())
}

/// Writes one object whole, such as a schema or a page.
///
/// # Errors
/// If the store fails.
pub fn write_object(resources: &Resources, uri: &str, content: impl Into<Vec<u8>>) -> Result<(), Error> {
    let (store, key) = Store::open_parent(uri)?;
    Ok(resources.wait(store.put(&key, content.into().into()))?)
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
