//! The bytes of an input in any store, for the readers of Parquet and CSV.

use std::io::{BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use clickcast_storage::LocalFile;
use parking_lot::Mutex;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;

use crate::Error;
use crate::blocks::{Blocks, Plan};
use crate::discover::{Input, SMALL_BYTES};

/// An input's bytes, all of one version. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Source {
    bytes: Content,
    size: u64,
    failure: Failure,
}

#[derive(Clone)]
enum Content {
    Whole(Bytes),
    Local(Arc<LocalFile>),
    Remote(Arc<Blocks>),
}

/// Keeps the store's own error: the readers in between pass on its text at best.
#[derive(Clone, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<clickcast_storage::Error>>>);

impl Failure {
    /// Returns the store's error if there was one, otherwise the reader's.
    pub(crate) fn or(&self, otherwise: impl FnOnce() -> Error) -> Error {
        let failure = self.0.lock().take();
        failure.map_or_else(otherwise, Error::from)
    }
}

impl Source {
    pub(crate) fn open(input: &Input, handle: &Handle, plan: Plan) -> std::result::Result<Self, Error> {
        let (store, object) = (&input.store, &input.object);
        let bytes = match &input.whole {
            Some(bytes) => Content::Whole(bytes.clone()),
            None => match handle.block_on(store.open_local(object))? {
                Some(file) => Content::Local(Arc::new(file)),
                None if object.size <= SMALL_BYTES => {
                    Content::Whole(handle.block_on(store.get_range(object, 0..object.size))?)
                }
                None => Content::Remote(Blocks::new(store, object, handle, plan)),
            },
        };
        Ok(Self { bytes, size: object.size, failure: Failure::default() })
    }

    /// Returns the same bytes with another plan, for another reader.
    pub(crate) fn again(&self, input: &Input, handle: &Handle, plan: Plan) -> Self {
        let bytes = match &self.bytes {
            Content::Remote(_) => Content::Remote(Blocks::new(&input.store, &input.object, handle, plan)),
            at_hand => at_hand.clone(),
        };
        Self { bytes, size: self.size, failure: Failure::default() }
    }

    pub(crate) fn failure(&self) -> Failure {
        self.failure.clone()
    }

    /// Reads on from a position.
    pub(crate) fn reader(&self, position: u64) -> SourceReader {
        SourceReader { source: self.clone(), position }
    }

    fn read_at(&self, position: u64, out: &mut [u8]) -> std::io::Result<usize> {
        let read = match &self.bytes {
            Content::Whole(bytes) => {
                let rest = bytes.get(position as usize..).unwrap_or_default();
                let count = rest.len().min(out.len());
                out[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
            Content::Local(file) => file.read_at(position, out),
            Content::Remote(blocks) => blocks.read_at(position, out),
        };
        read.map_err(|error| {
            let told = std::io::Error::other(error.to_string());
            *self.failure.0.lock() = Some(error);
            told
        })
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Source {
    type T = BufReader<SourceReader>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::new(self.reader(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // Checked before memory is allocated: a damaged footer may name any length.
        if start.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} are beyond the file's end")));
        }
        let mut bytes = vec![0; length];
        self.reader(start).read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads on from a position.
pub(crate) struct SourceReader {
    source: Source,
    position: u64,
}

impl Read for SourceReader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read_at(self.position, out)?;
        self.position += count as u64;
        Ok(count)
    }
}
