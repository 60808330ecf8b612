//! A remote object read by blocks, with read-ahead, in bounded memory.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use clickcast_storage::{Error, Object, Store};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// How an object is read.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The bytes of one request.
    pub(crate) block_bytes: u64,
    /// The most blocks that are kept or requested.
    pub(crate) blocks_max: usize,
    /// The number of blocks to request ahead of the one that is needed.
    pub(crate) ahead: u64,
    /// The ranges in which to read ahead.
    pub(crate) wanted: Vec<Range<u64>>,
}

impl Plan {
    /// At 100 MB/s, such a block takes as long as a request's latency (10 ms).
    const BLOCK_BYTES_MAX: u64 = 1 << 20;
    /// For smaller blocks, requests cost more than bytes.
    const BLOCK_BYTES_MIN: u64 = 64 << 10;
    /// The memory for one row group's columns, so that a few row groups at once stay far below a gigabyte.
    const GROUP_BYTES: u64 = 64 << 20;

    /// Reads the end of a file, once.
    pub(crate) fn footer() -> Self {
        Self { block_bytes: Self::BLOCK_BYTES_MAX / 4, blocks_max: 16, ahead: 0, wanted: Vec::new() }
    }

    /// Reads from the beginning to the end: four concurrent requests hide a latency of 40 ms.
    pub(crate) fn sequential(size: u64) -> Self {
        Self { block_bytes: Self::BLOCK_BYTES_MAX, blocks_max: 6, ahead: 4, wanted: std::iter::once(0..size).collect() }
    }

    /// Reads several ranges in parallel, with a block in use and the next one for each.
    pub(crate) fn side_by_side(wanted: Vec<Range<u64>>) -> Self {
        let stretches = wanted.len().max(1) as u64;
        let share = Self::GROUP_BYTES / (2 * stretches);
        // A power of two, so that a page seldom straddles more blocks than it must.
        let block_bytes = share.clamp(Self::BLOCK_BYTES_MIN, Self::BLOCK_BYTES_MAX);
        let block_bytes = if block_bytes.is_power_of_two() { block_bytes } else { block_bytes.next_power_of_two() / 2 };
        let blocks_max = (Self::GROUP_BYTES / block_bytes).max(2 * stretches + 2) as usize;
        Self { block_bytes, blocks_max, ahead: 1, wanted }
    }
}

/// An object read by blocks.
pub(crate) struct Blocks {
    store: Store,
    object: Object,
    plan: Plan,
    handle: Handle,
    cache: Mutex<Cache>,
}

type Fetched = Result<Bytes, Error>;

#[derive(Default)]
struct Cache {
    /// Each block with the time of its last use.
    ready: HashMap<u64, (Bytes, u64)>,
    coming: HashMap<u64, JoinHandle<Fetched>>,
    uses: u64,
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.coming.values().for_each(JoinHandle::abort);
    }
}

impl Blocks {
    /// Requests the first block of each wanted range.
    pub(crate) fn new(store: &Store, object: &Object, handle: &Handle, plan: Plan) -> Arc<Self> {
        let (store, object, handle) = (store.clone(), object.clone(), handle.clone());
        let blocks = Self { store, object, plan, handle, cache: Mutex::default() };
        {
            let mut cache = blocks.cache.lock();
            for range in &blocks.plan.wanted {
                blocks.ask(&mut cache, range.start / blocks.plan.block_bytes);
            }
        }
        Arc::new(blocks)
    }

    /// Reads from `position` to the end of its block at most, and returns the number of bytes, which is 0 at the end.
    pub(crate) fn read_at(&self, position: u64, out: &mut [u8]) -> Result<usize, Error> {
        if position >= self.object.size || out.is_empty() {
            return Ok(0);
        }
        let bytes = self.block(position / self.plan.block_bytes)?;
        let available = bytes.get((position % self.plan.block_bytes) as usize..).unwrap_or_default();
        let count = available.len().min(out.len());
        out[..count].copy_from_slice(&available[..count]);
        Ok(count)
    }

    /// Waits for a block, and requests its successors.
    fn block(&self, block: u64) -> Fetched {
        let lock = || self.cache.lock();
        let coming = {
            let mut cache = lock();
            cache.uses += 1;
            let now = cache.uses;
            let ready = match cache.ready.get_mut(&block) {
                Some((bytes, used)) => {
                    *used = now;
                    Ok(bytes.clone())
                }
                None => Err(cache.coming.remove(&block).unwrap_or_else(|| self.fetch(block))),
            };
            for next in block + 1..=block + self.plan.ahead {
                self.ask(&mut cache, next);
            }
            match ready {
                Ok(bytes) => return Ok(bytes),
                Err(coming) => coming,
            }
        };
        let bytes = match self.handle.block_on(coming) {
            Ok(fetched) => fetched?,
            // The task ended with its runtime: repeat the request here.
            Err(_) => self.handle.block_on(self.store.get_range(&self.object, self.range(block)))?,
        };
        let mut cache = lock();
        let now = cache.uses;
        cache.ready.insert(block, (bytes.clone(), now));
        while cache.ready.len() > 1 && cache.ready.len() + cache.coming.len() > self.plan.blocks_max {
            let Some(oldest) = cache.ready.iter().min_by_key(|(_, (_, used))| *used).map(|(&block, _)| block) else {
                break;
            };
            cache.ready.remove(&oldest);
        }
        Ok(bytes)
    }

    /// Requests a block ahead of its use, unless it is known or unwanted, or there are too many requests.
    fn ask(&self, cache: &mut Cache, block: u64) {
        let range = block * self.plan.block_bytes..(block + 1) * self.plan.block_bytes;
        let wanted = self.plan.wanted.iter().any(|wanted| wanted.start < range.end && range.start < wanted.end);
        let known = cache.ready.contains_key(&block) || cache.coming.contains_key(&block);
        if wanted && !known && range.start < self.object.size && cache.coming.len() < self.plan.blocks_max {
            cache.coming.insert(block, self.fetch(block));
        }
    }

    fn range(&self, block: u64) -> Range<u64> {
        block * self.plan.block_bytes..self.object.size.min((block + 1) * self.plan.block_bytes)
    }

    fn fetch(&self, block: u64) -> JoinHandle<Fetched> {
        let (store, object, range) = (self.store.clone(), self.object.clone(), self.range(block));
        self.handle.spawn(async move { store.get_range(&object, range).await })
    }
}
