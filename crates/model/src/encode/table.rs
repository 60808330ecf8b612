//! From a value's hash to its place among the values seen in training.

use clickcast_kernel::factors::prefetch;

/// An open-addressing table at most half full.
#[derive(Debug, Clone)]
pub(super) struct Table {
    entries: Vec<Entry>,
    mask: usize,
}

/// The hash's high half tells values apart; its low half is where to look. With both, a value that
/// training never saw is taken for one that it saw about once in 2^31.
#[derive(Debug, Clone, Copy)]
struct Entry {
    high: u32,
    /// From 1; 0 is an empty entry.
    place: u32,
}

impl Table {
    /// Returns a table of hashes, whose places count from 1.
    pub(super) fn new(hashes: &[u64]) -> Self {
        let size = (hashes.len() * 2).next_power_of_two().max(2);
        let mut table = Self { entries: vec![Entry { high: 0, place: 0 }; size], mask: size - 1 };
        for (place, &hash) in (1..).zip(hashes) {
            let mut index = hash as usize & table.mask;
            while table.entries[index].place != 0 {
                index = (index + 1) & table.mask;
            }
            table.entries[index] = Entry { high: (hash >> 32) as u32, place };
        }
        table
    }

    /// Asks for the place of a hash ahead of its use; a table may be larger than caches.
    #[inline]
    pub(super) fn fetch(&self, hash: u64) {
        prefetch(std::slice::from_ref(&self.entries[hash as usize & self.mask]));
    }

    /// Returns the place of a hash, or 0 if training did not see it often enough.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> u32 {
        let mut index = hash as usize & self.mask;
        loop {
            let entry = self.entries[index];
            if entry.place == 0 || entry.high == (hash >> 32) as u32 {
                return entry.place;
            }
            index = (index + 1) & self.mask;
        }
    }
}
