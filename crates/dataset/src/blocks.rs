//! Random and sequential reading of an object by blocks, with read-ahead.

use std::collections::{HashMap, VecDeque};
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use clickcast_storage::Store;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// One request's worth: large against a request's latency at 100 MB/s (10 ms).
const BLOCK_BYTES: u64 = 1 << 20;
/// Blocks kept for one file: a Parquet reader is within one block of each column, and reads the next
/// ahead; 64 columns and their successors make 128 MiB. More columns than that only fetch twice.
const BLOCKS_MAX: usize = 128;

/// An object read by blocks. Cheap to clone; clones share their blocks.
#[derive(Clone)]
pub(crate) struct Blocks {
    store: Store,
    key: Arc<str>,
    size: u64,
    handle: Handle,
    cache: Arc<Mutex<Cache>>,
}

#[derive(Default)]
struct Cache {
    ready: HashMap<u64, Bytes>,
    coming: HashMap<u64, JoinHandle<std::result::Result<Bytes, clickcast_storage::Error>>>,
    /// Blocks in `ready`, the one fetched longest ago first.
    order: VecDeque<u64>,
}

impl Blocks {
    pub(crate) fn new(store: Store, key: &str, size: u64, handle: Handle) -> Self {
        Self { store, key: key.into(), size, handle, cache: Arc::default() }
    }

    fn range(&self, block: u64) -> Range<u64> {
        block * BLOCK_BYTES..self.size.min((block + 1) * BLOCK_BYTES)
    }

    fn fetch(&self, block: u64) -> JoinHandle<std::result::Result<Bytes, clickcast_storage::Error>> {
        let (store, key, range) = (self.store.clone(), self.key.clone(), self.range(block));
        self.handle.spawn(async move { store.get_range(&key, range).await })
    }

    /// The block, waited for, while its successor is on the way.
    fn block(&self, block: u64) -> std::result::Result<Bytes, clickcast_storage::Error> {
        let lock = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let coming = {
            let mut cache = lock();
            if let Some(bytes) = cache.ready.get(&block) {
                return Ok(bytes.clone());
            }
            let next = block + 1;
            let known = cache.ready.contains_key(&next) || cache.coming.contains_key(&next);
            if next * BLOCK_BYTES < self.size && !known && cache.coming.len() < BLOCKS_MAX {
                let fetched = self.fetch(next);
                cache.coming.insert(next, fetched);
            }
            cache.coming.remove(&block)
        };
        let fetching = coming.unwrap_or_else(|| self.fetch(block));
        let bytes = match self.handle.block_on(fetching) {
            Ok(fetched) => fetched?,
            // The task died with its runtime: ask once more, in person.
            Err(_) => self.handle.block_on(self.store.get_range(&self.key, self.range(block)))?,
        };
        let mut cache = lock();
        if cache.ready.insert(block, bytes.clone()).is_none() {
            cache.order.push_back(block);
        }
        if cache.order.len() > BLOCKS_MAX
            && let Some(oldest) = cache.order.pop_front()
        {
            cache.ready.remove(&oldest);
        }
        Ok(bytes)
    }
}

impl Length for Blocks {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Blocks {
    type T = BlockReader;

    fn get_read(&self, start: u64) -> Result<BlockReader> {
        Ok(BlockReader { blocks: self.clone(), position: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        let mut reader = BlockReader { blocks: self.clone(), position: start };
        reader.read_exact(&mut bytes).map_err(|error| match error.into_inner() {
            Some(inner) => ParquetError::External(inner),
            None => ParquetError::EOF(format!("{length} bytes from {start} are beyond the file's end")),
        })?;
        Ok(bytes.into())
    }
}

/// Reads on from a position.
pub(crate) struct BlockReader {
    blocks: Blocks,
    position: u64,
}

impl BlockReader {
    pub(crate) fn new(blocks: Blocks) -> Self {
        Self { blocks, position: 0 }
    }
}

impl Read for BlockReader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.position >= self.blocks.size || out.is_empty() {
            return Ok(0);
        }
        let bytes = self.blocks.block(self.position / BLOCK_BYTES).map_err(std::io::Error::other)?;
        let from = (self.position % BLOCK_BYTES) as usize;
        let available = bytes.get(from..).unwrap_or_default();
        let count = available.len().min(out.len());
        out[..count].copy_from_slice(&available[..count]);
        self.position += count as u64;
        Ok(count)
    }
}
