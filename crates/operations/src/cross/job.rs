//! All pairs, or the best of each user: users are streamed, and scored block by block.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use clickcast_dataset::{
    Coded, Input, PairColumn, PairEncoder, PairGroup, PairWriter, PredictionWriter, RepeatedColumn, ScanEvent, picked,
};
use clickcast_model::cross::{Cross, Origin, Scratch};
use clickcast_record::{Batch, Need, Precision};
use clickcast_storage::Store;
use rayon::prelude::*;

use super::entities::{AdTable, Distinct, Entities};
use super::number::{Number, Scored, Tile};
use super::pairs::PairTable;
use super::sides::Sides;
use super::top::{Choice, Top};
use crate::data::Data;
use crate::observer::Progress;
use crate::{Error, Resources};

/// Pairs scored together, unless a step of users has more: their scores stay in the second-level cache.
const TILE_PAIRS: usize = 64 * 1024;
/// Users prepared together at most; one of a large tree ensemble takes about 45 KB.
const TILE_USERS_MAX: usize = 1024;
/// Row groups, or blocks of users, made for each thread before they are written in order; as many wait meanwhile.
const BLOCKS_PER_THREAD: usize = 2;

/// A file to write.
pub(super) struct Output {
    pub(super) input: Input,
    pub(super) key: String,
    pub(super) metadata: BTreeMap<String, String>,
}

/// Everything that scoring needs.
pub(super) struct Job<'a> {
    pub(super) resources: &'a Resources,
    pub(super) cross: &'a Cross<'a>,
    pub(super) sides: &'a Sides,
    pub(super) ads: &'a AdTable,
    pub(super) pairs: Option<&'a PairTable>,
    pub(super) out: &'a Store,
    pub(super) precision: Precision,
    pub(super) progress: &'a Progress<'a>,
}

/// A file of all pairs.
struct AllPairs {
    writer: PairWriter,
    /// The ads' ids as whole blocks of users have them.
    ads: Option<Vec<Arc<RepeatedColumn>>>,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    /// Pairs scored.
    pub(super) pairs: u64,
    /// Rows written.
    pub(super) written: u64,
}

/// Pairs of users and ads by their rows.
pub(super) struct Picked<'a> {
    /// The columns of the users' ids.
    pub(super) user_ids: &'a [ArrayRef],
    pub(super) user_rows: UInt32Array,
    pub(super) ad_rows: UInt32Array,
    pub(super) scores: Vec<f64>,
}

/// All pairs of a range of users, and how their row group is encoded.
struct GroupPlan<'a> {
    users: &'a Entities,
    encoder: &'a PairEncoder,
    /// The ads' ids as whole blocks of users have them.
    repeated: Option<&'a [Arc<RepeatedColumn>]>,
}

/// Multiplies users by ads.
pub(super) fn pairs_of(users: u64, ads: u64) -> Result<u64, Error> {
    users.checked_mul(ads).ok_or_else(|| {
        Error::invalid(format!("{users} users by {ads} ads are more pairs than can be counted; give fewer users"))
    })
}

impl Job<'_> {
    /// Reads the users of some files, each user once. `each` gets the number of the file with every batch, and `None` when
    /// the file ends. Returns how many users there were.
    pub(super) fn each_user_batch(
        &self,
        inputs: &[Input],
        mut each: impl FnMut(usize, Option<&Entities>) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let need = Need { carried: self.sides.ids_of(Origin::User), ..Need::default() };
        let encode = |batch: Batch| Entities::new(self.cross, Origin::User, batch);
        let (mut file, mut users, mut distinct) = (0, 0, Distinct::default());
        Data::of(self.resources, inputs.to_vec()).scan(&self.sides.users, &need, encode, |step| {
            match step {
                ScanEvent::Begin(index) => file = index,
                ScanEvent::Rows(entities) => {
                    let name = || inputs[file].name();
                    let entities = entities.map_err(|error| Error::about(format!("`{}`", name()), error))?;
                    distinct.add(&name(), &entities)?;
                    users += entities.side.rows() as u64;
                    each(file, Some(&entities))?;
                }
                ScanEvent::End(_) => each(file, None)?,
            }
            Ok::<(), Error>(())
        })?;
        Ok(users)
    }

    /// Writes a file for each users file.
    pub(super) fn per_user<T: Number>(&self, outputs: &[Output], choice: Option<Choice>) -> Result<Done, Error> {
        let inputs: Vec<Input> = outputs.iter().map(|output| output.input.clone()).collect();
        let ads = self.ads.prepared.rows() as u64;
        let (mut all, mut chosen, mut written) = (None, None, 0);
        let users = self.each_user_batch(&inputs, |file, users| {
            match (users, choice) {
                (Some(users), None) => {
                    let pairs = match all.take() {
                        Some(pairs) => pairs,
                        None => self.begin::<T>(&outputs[file], users)?,
                    };
                    written += self.write_all::<T>(users, all.insert(pairs))?;
                }
                (Some(users), Some(choice)) => {
                    let writer = match chosen.take() {
                        Some(writer) => writer,
                        None => self.begin_chosen(&outputs[file])?,
                    };
                    written += self.write_chosen::<T>(users, choice, chosen.insert(writer))?;
                }
                (None, _) => match (all.take(), chosen.take()) {
                    (Some(file), _) => drop(file.writer.finish()?),
                    (_, Some(writer)) => drop(writer.finish()?),
                    // A file without users has predictions without rows.
                    (None, None) => drop(self.begin_chosen(&outputs[file])?.finish()?),
                },
            }
            Ok(())
        })?;
        Ok(Done { pairs: pairs_of(users, ads)?, written })
    }

    fn begin<T: Number>(&self, output: &Output, users: &Entities) -> Result<AllPairs, Error> {
        let (mut user_ids, mut ad_ids) = (users.ids.iter().map(|(_, array)| array), self.ads.ids.iter());
        let types = self.sides.ids.iter().filter_map(|(name, origin)| {
            let array = if *origin == Origin::User { user_ids.next() } else { ad_ids.next() };
            array.map(|array| (name.clone(), array.data_type().clone()))
        });
        let (types, ctr) = (types.collect::<Vec<_>>(), T::column(Vec::new()).data_type().clone());
        let handle = self.resources.handle();
        let writer = PairWriter::create(self.out, &output.key, handle, &types, ctr, output.metadata.clone())?;
        Ok(AllPairs { writer, ads: None })
    }

    pub(super) fn begin_chosen(&self, output: &Output) -> Result<PredictionWriter, Error> {
        let handle = self.resources.handle();
        Ok(PredictionWriter::create(self.out, &output.key, handle, self.precision, output.metadata.clone())?)
    }

    /// Users whose pairs make a row group.
    fn block_users(&self) -> usize {
        (PairWriter::GROUP_ROWS / self.ads.prepared.rows()).max(1)
    }

    /// Users that are prepared and scored together.
    fn tile_users(&self) -> usize {
        let users = (TILE_PAIRS / self.ads.prepared.rows()).clamp(1, TILE_USERS_MAX);
        users.next_multiple_of(self.cross.users_step())
    }

    /// Runs `make` on blocks of users side by side, and `take` on what it made, in order.
    fn in_blocks<R: Send>(
        &self,
        users: &Entities,
        make: impl Fn(Range<usize>, &mut Scratch) -> Result<R, Error> + Sync,
        mut take: impl FnMut(R) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (rows, ads, block_users) = (users.side.rows(), self.ads.prepared.rows(), self.block_users());
        let starts: Vec<usize> = (0..rows).step_by(block_users).collect();
        let block = |scratch: &mut Scratch, &first: &usize| {
            let range = first..(first + block_users).min(rows);
            let pairs = range.len() * ads;
            let made = make(range, scratch);
            self.progress.advance(pairs as u64)?;
            made
        };
        let score = |wave: &[usize]| -> Vec<Result<R, Error>> {
            self.resources.pool().install(|| wave.par_iter().map_init(Scratch::default, block).collect())
        };
        let mut ready = Vec::new();
        // While one wave is written the next one is scored.
        for wave in starts.chunks(self.resources.threads() * BLOCKS_PER_THREAD) {
            ready = std::thread::scope(|scope| {
                let next = scope.spawn(|| score(wave));
                ready.into_iter().try_for_each(|made: Result<R, Error>| take(made?))?;
                Ok::<_, Error>(next.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })?;
        }
        ready.into_iter().try_for_each(|made| take(made?))
    }

    fn write_all<T: Number>(&self, users: &Entities, file: &mut AllPairs) -> Result<u64, Error> {
        let (rows, ads) = (users.side.rows(), self.ads.prepared.rows());
        let encoder = file.writer.encoder();
        if file.ads.is_none() && rows >= self.block_users() {
            let ids = self.sides.ids.iter().enumerate().filter(|(_, (_, origin))| *origin == Origin::Ad);
            let columns = ids.zip(&self.ads.ids).map(|((index, _), array)| {
                let places = std::iter::repeat_n(0..ads as i32, self.block_users()).flatten().collect();
                encoder.repeated(index, Coded { values: array.clone(), places: Some(places) })
            });
            file.ads = Some(columns.collect::<Result<_, _>>()?);
        }
        let repeated = file.ads.as_deref();
        let make = |range: Range<usize>, scratch: &mut Scratch| {
            let repeated = repeated.filter(|_| range.len() == self.block_users());
            self.group::<T>(&GroupPlan { users, encoder: &encoder, repeated }, range, scratch)
        };
        let writer = &mut file.writer;
        self.in_blocks(users, make, |group| Ok(writer.append(group)?))?;
        Ok((rows * ads) as u64)
    }

    /// All pairs of some users as a row group.
    fn group<T: Number>(
        &self,
        plan: &GroupPlan<'_>,
        range: Range<usize>,
        scratch: &mut Scratch,
    ) -> Result<PairGroup, Error> {
        let GroupPlan { users, encoder, repeated } = plan;
        let ads = self.ads.prepared.rows();
        let mut scores = vec![T::default(); range.len() * ads];
        let tile_users = self.tile_users();
        for (first, scores) in range.clone().step_by(tile_users).zip(scores.chunks_mut(tile_users * ads)) {
            let tile = first..(first + tile_users).min(range.end);
            let block = self.cross.users(&users.side, tile)?;
            let tile = Tile { cross: self.cross, users: &block, ads: &self.ads.prepared, range: 0..ads };
            T::score(&tile, scratch, scores)?;
        }
        for pair in self.known::<T>(users, range.clone(), scratch)? {
            scores[(pair.user as usize - range.start) * ads + pair.ad as usize] = pair.score;
        }
        let (mut user_ids, mut ad_ids) = (users.ids.iter(), self.ads.ids.iter().enumerate());
        let ids = self.sides.ids.iter().filter_map(|(_, origin)| match origin {
            Origin::User => user_ids.next().map(|(_, array)| {
                let places = (0..range.len() as i32).flat_map(|user| std::iter::repeat_n(user, ads)).collect();
                PairColumn::Coded(Coded { values: array.slice(range.start, range.len()), places: Some(places) })
            }),
            _ => ad_ids.next().map(|(index, array)| match repeated {
                Some(columns) => PairColumn::Repeated(columns[index].clone()),
                None => {
                    let places = std::iter::repeat_n(0..ads as i32, range.len()).flatten().collect();
                    PairColumn::Coded(Coded { values: array.clone(), places: Some(places) })
                }
            }),
        });
        Ok(encoder.encode(ids.collect(), T::column(scores))?)
    }

    fn write_chosen<T: Number>(
        &self,
        users: &Entities,
        choice: Choice,
        writer: &mut PredictionWriter,
    ) -> Result<u64, Error> {
        let mut written = 0;
        let make = |range: Range<usize>, scratch: &mut Scratch| self.best::<T>(users, range, choice, scratch);
        self.in_blocks(users, make, |kept| {
            written += kept.len() as u64;
            let user_ids: Vec<ArrayRef> = users.ids.iter().map(|(_, array)| array.clone()).collect();
            let picked = Picked {
                user_ids: &user_ids,
                user_rows: kept.iter().map(|pair| pair.user).collect::<Vec<_>>().into(),
                ad_rows: kept.iter().map(|pair| pair.ad).collect::<Vec<_>>().into(),
                scores: kept.iter().map(|pair| pair.score.into()).collect(),
            };
            self.write_picked(writer, &picked)
        })?;
        Ok(written)
    }

    /// Writes pairs.
    pub(super) fn write_picked(&self, writer: &mut PredictionWriter, pairs: &Picked<'_>) -> Result<(), Error> {
        let (mut user_ids, mut ad_ids) = (pairs.user_ids.iter(), self.ads.ids.iter());
        let ids = self.sides.ids.iter().filter_map(|(name, origin)| {
            let (array, rows) = match origin {
                Origin::User => (user_ids.next(), &pairs.user_rows),
                _ => (ad_ids.next(), &pairs.ad_rows),
            };
            array.map(|array| Ok((name.clone(), picked(name, array, rows)?)))
        });
        writer.write(&ids.collect::<Result<Vec<_>, Error>>()?, &pairs.scores)?;
        Ok(())
    }

    /// The pairs of some users that the table lists.
    pub(super) fn known<T: Number>(
        &self,
        users: &Entities,
        range: Range<usize>,
        scratch: &mut Scratch,
    ) -> Result<Vec<Scored<T>>, Error> {
        match self.pairs {
            Some(pairs) => pairs.known(self.cross, users, range, self.ads, scratch),
            None => Ok(Vec::new()),
        }
    }

    /// The pairs to keep of some users, user by user.
    fn best<T: Number>(
        &self,
        users: &Entities,
        range: Range<usize>,
        choice: Choice,
        scratch: &mut Scratch,
    ) -> Result<Vec<Scored<T>>, Error> {
        let ads = self.ads.prepared.rows();
        let tile_users = self.tile_users();
        let mut ranks = vec![T::default(); tile_users.min(range.len()) * ads];
        let mut kept = Vec::new();
        let known = self.known::<T>(users, range.clone(), scratch)?;
        let mut known = known.as_slice();
        for first in range.clone().step_by(tile_users) {
            let tile = first..(first + tile_users).min(range.end);
            let block = self.cross.users(&users.side, tile.clone())?;
            let ranks = &mut ranks[..tile.len() * ads];
            let rank_tile = Tile { cross: self.cross, users: &block, ads: &self.ads.prepared, range: 0..ads };
            T::rank(&rank_tile, scratch, ranks)?;
            for (user, ranks) in tile.zip(ranks.chunks_exact(ads)) {
                let mut top = Top::new(choice);
                let own;
                (own, known) = known.split_at(known.partition_point(|pair| pair.user as usize <= user));
                top.offer_all_but(ranks, own, |rank| T::probability(self.cross, rank));
                kept.extend(top.sorted().into_iter().map(|(score, ad)| Scored {
                    user: user as u32,
                    ad: ad as u32,
                    score,
                }));
            }
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_pairs_than_can_be_counted_are_refused() {
        assert_eq!(pairs_of(1 << 40, 1 << 20).ok(), Some(1 << 60));
        let sentence = pairs_of(1 << 60, 10_000).err().map(|failure| failure.to_string()).unwrap_or_default();
        assert!(sentence.contains("by 10000 ads are more pairs than can be counted"), "{sentence}");
    }
}
