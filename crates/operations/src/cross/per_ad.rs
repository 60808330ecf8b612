//! The best users of each ad: every ad keeps its own while the users come by.

use arrow_array::{ArrayRef, UInt32Array};
use clickcast_dataset::{Input, joined, picked};
use clickcast_model::cross::Scratch;
use rayon::prelude::*;

use super::entities::Entities;
use super::job::{Done, Job, Output, Picked, pairs_of};
use super::number::{Number, Tile};
use super::top::{Choice, Top};
use crate::Error;

/// The most pairs that are kept, of 32 bytes each while they are chosen.
pub(super) const KEPT_MAX: u64 = 8_000_000;
/// Pairs of a block of users, which bounds how often threads wait for each other.
const BLOCK_PAIRS: usize = 1 << 20;
/// Users of a block.
const BLOCK_USERS: std::ops::RangeInclusive<usize> = 256..=1024;
/// The most ads that a thread takes at a time, unless one step of the model's has more.
const TILE_ADS_MAX: usize = 256;
/// Rows written at a time.
const WRITE_ROWS: usize = 1 << 16;

/// The ids of users that some ad keeps, by rising number.
#[derive(Default)]
struct KeptUsers {
    numbers: Vec<u64>,
    ids: Vec<ArrayRef>,
}

impl Job<'_> {
    /// Writes a file for each ads file.
    pub(super) fn per_ad<T: Number>(&self, users: &[Input], outputs: &[Output], choice: Choice) -> Result<Done, Error> {
        let ads = self.ads.prepared.rows();
        let mut tops: Vec<Top<T>> = vec![Top::new(choice); ads];
        let mut kept = KeptUsers::default();
        let mut before = 0;
        let users = self.each_user_batch(users, |_, users| {
            if let Some(users) = users {
                self.offer(users, before, &mut tops)?;
                kept.keep(users, before, &tops)?;
                before += users.side.rows() as u64;
            }
            Ok(())
        })?;
        let mut written = 0;
        let mut tops = tops.into_iter();
        for (output, range) in outputs.iter().zip(&self.ads.files) {
            let tops: Vec<Top<T>> = tops.by_ref().take(range.len()).collect();
            written += self.write_tops(output, range.start, tops, &kept)?;
        }
        Ok(Done { pairs: pairs_of(users, ads as u64)?, written })
    }

    /// Offers every ad some users, whose numbers begin at `before`.
    fn offer<T: Number>(&self, users: &Entities, before: u64, tops: &mut [Top<T>]) -> Result<(), Error> {
        let (rows, ads) = (users.side.rows(), tops.len());
        let block_users = (BLOCK_PAIRS / ads).clamp(*BLOCK_USERS.start(), *BLOCK_USERS.end());
        let ads_step = self.cross.ads_step();
        let tile_ads = ads.div_ceil(self.resources.threads() * 4).min(TILE_ADS_MAX).next_multiple_of(ads_step);
        for first in (0..rows).step_by(block_users) {
            let range = first..(first + block_users).min(rows);
            let block = self.cross.users(&users.side, range.clone())?;
            let known = self.known::<T>(users, range.clone(), &mut Scratch::default())?;
            let probability = |rank| T::probability(self.cross, rank);
            let tile = |(scratch, ranks): &mut (Scratch, Vec<T>), (number, tops): (usize, &mut [Top<T>])| {
                let own = number * tile_ads..number * tile_ads + tops.len();
                ranks.resize(range.len() * tops.len(), T::default());
                let tile = Tile { cross: self.cross, users: &block, ads: &self.ads.prepared, range: own.clone() };
                T::rank(&tile, scratch, ranks)?;
                for (user, ranks) in range.clone().zip(ranks.chunks_exact(tops.len())) {
                    let number = before + user as u64;
                    let next = known.partition_point(|pair| (pair.user as usize, pair.ad as usize) < (user, own.start));
                    let mut known = known[next..].iter().take_while(|pair| pair.user as usize == user).peekable();
                    for (ad, (top, &rank)) in own.clone().zip(tops.iter_mut().zip(ranks)) {
                        match known.next_if(|pair| pair.ad as usize == ad) {
                            Some(pair) => {
                                top.offer_known(pair.score, number);
                            }
                            None => top.offer(rank, number, probability),
                        }
                    }
                }
                Ok::<_, Error>(())
            };
            let tiles = || tops.par_chunks_mut(tile_ads).enumerate().try_for_each_init(Default::default, tile);
            self.resources.pool().install(tiles)?;
            self.progress.advance((range.len() * ads) as u64)?;
        }
        Ok(())
    }

    /// Writes the ads of one file, in order, each with its users; returns the number of rows.
    fn write_tops<T: Number>(
        &self,
        output: &Output,
        first_ad: usize,
        tops: Vec<Top<T>>,
        kept: &KeptUsers,
    ) -> Result<u64, Error> {
        let mut rows: Vec<(u32, u32, f64)> = Vec::new();
        for (ad, top) in (first_ad as u32..).zip(tops) {
            for (score, number) in top.sorted() {
                // Every user that an ad keeps has its ids kept.
                if let Ok(place) = kept.numbers.binary_search(&number) {
                    rows.push((place as u32, ad, score.into()));
                }
            }
        }
        let mut writer = self.begin_chosen(output)?;
        for rows in rows.chunks(WRITE_ROWS) {
            let picked = Picked {
                user_ids: &kept.ids,
                user_rows: rows.iter().map(|row| row.0).collect::<Vec<_>>().into(),
                ad_rows: rows.iter().map(|row| row.1).collect::<Vec<_>>().into(),
                scores: rows.iter().map(|row| row.2).collect(),
            };
            self.write_picked(&mut writer, &picked)?;
        }
        writer.finish()?;
        Ok(rows.len() as u64)
    }
}

impl KeptUsers {
    /// Keeps the ids of the users that some ad keeps now, those of a new batch among them, and forgets the others.
    fn keep<T: Number>(&mut self, users: &Entities, before: u64, tops: &[Top<T>]) -> Result<(), Error> {
        let mut live: Vec<u64> = tops.iter().flat_map(Top::places).collect();
        live.sort_unstable();
        live.dedup();
        let (old, new) = live.split_at(live.partition_point(|&number| number < before));
        let old_rows = old.iter().filter_map(|number| self.numbers.binary_search(number).ok());
        let old_rows: UInt32Array = old_rows.map(|row| row as u32).collect::<Vec<_>>().into();
        let new_rows: UInt32Array = new.iter().map(|number| (number - before) as u32).collect::<Vec<_>>().into();
        let mut ids = Vec::with_capacity(users.ids.len());
        for (index, (name, array)) in users.ids.iter().enumerate() {
            let new = picked(name, array, &new_rows)?;
            ids.push(match self.ids.get(index) {
                Some(array) => joined(name, &[picked(name, array, &old_rows)?, new])?,
                None => new,
            });
        }
        (self.ids, self.numbers) = (ids, live);
        Ok(())
    }
}
