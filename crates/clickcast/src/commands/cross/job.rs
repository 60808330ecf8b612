//! All pairs, or the best of each user: users are streamed, and scored block by block.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use clickcast_dataset::{
    Coded, Input, PairColumn, PairEncoder, PairGroup, PairWriter, PredictionWriter, RepeatedColumn, Step, picked,
};
use clickcast_model::cross::{Cross, Origin, Scratch};
use clickcast_operations::data::Data;
use clickcast_record::{Batch, Need, Precision};
use clickcast_storage::Store;
use rayon::prelude::*;

use super::entities::{AdTable, Distinct, Entities};
use super::pairs::{Known, PairTable};
use super::sides::Sides;
use super::top::{Choice, Number, Top};
use crate::commands::Context;
use crate::failure::Failure;
use crate::progress::Progress;

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

/// What is to be done.
pub(super) struct Job<'a> {
    pub(super) context: &'a Context,
    pub(super) cross: &'a Cross<'a>,
    pub(super) sides: &'a Sides,
    pub(super) ads: &'a AdTable,
    pub(super) pairs: Option<&'a PairTable>,
    pub(super) out: &'a Store,
    pub(super) precision: Precision,
    /// None to keep all pairs.
    pub(super) choice: Option<Choice>,
    pub(super) progress: &'a Progress,
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

/// A kept pair: a user of a batch, an ad, and the probability.
type Kept<T> = (u32, u32, T);

/// How many pairs there are.
pub(super) fn pairs_of(users: u64, ads: u64) -> Result<u64, Failure> {
    users.checked_mul(ads).ok_or_else(|| {
        Failure::input(format!("{users} users by {ads} ads are more pairs than can be counted; give fewer users"))
    })
}

impl Job<'_> {
    /// Reads the users of some files, each user once; `each` gets the number of the file with every batch, and
    /// none when the file ends. How many there were.
    pub(super) fn each_user_batch(
        &self,
        inputs: &[Input],
        mut each: impl FnMut(usize, Option<&Entities>) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let need = Need { carried: self.sides.ids_of(Origin::User), ..Need::default() };
        let encode = |batch: Batch| Entities::new(self.cross, Origin::User, batch);
        let (mut file, mut users, mut distinct) = (0, 0, Distinct::default());
        Data::of(&self.context.resources, inputs.to_vec()).scan(&self.sides.users, &need, encode, |step| {
            match step {
                Step::Begin(index) => file = index,
                Step::Rows(entities) => {
                    let name = || inputs[file].name();
                    let entities = entities.map_err(|failure: Failure| failure.about(&name()))?;
                    distinct.add(&name(), &entities)?;
                    users += entities.side.rows() as u64;
                    each(file, Some(&entities))?;
                }
                Step::End(_) => each(file, None)?,
            }
            Ok::<(), Failure>(())
        })?;
        Ok(users)
    }

    /// Writes a file for each users file.
    pub(super) fn per_user<T: Number>(&self, outputs: &[Output]) -> Result<Done, Failure> {
        let inputs: Vec<Input> = outputs.iter().map(|output| output.input.clone()).collect();
        let ads = self.ads.prepared.rows() as u64;
        let (mut all, mut chosen, mut written) = (None, None, 0);
        let users = self.each_user_batch(&inputs, |file, users| {
            match (users, self.choice) {
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

    fn begin<T: Number>(&self, output: &Output, users: &Entities) -> Result<AllPairs, Failure> {
        let (mut user_ids, mut ad_ids) = (users.ids.iter().map(|(_, array)| array), self.ads.ids.iter());
        let types = self.sides.ids.iter().filter_map(|(name, origin)| {
            let array = if *origin == Origin::User { user_ids.next() } else { ad_ids.next() };
            array.map(|array| (name.clone(), array.data_type().clone()))
        });
        let (types, ctr) = (types.collect::<Vec<_>>(), T::column(Vec::new()).data_type().clone());
        let handle = self.context.runtime.handle();
        let writer = PairWriter::create(self.out, &output.key, handle, &types, ctr, output.metadata.clone())?;
        Ok(AllPairs { writer, ads: None })
    }

    pub(super) fn begin_chosen(&self, output: &Output) -> Result<PredictionWriter, Failure> {
        let handle = self.context.runtime.handle();
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
        make: impl Fn(Range<usize>, &mut Scratch) -> Result<R, Failure> + Sync,
        mut take: impl FnMut(R) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (rows, ads, block_users) = (users.side.rows(), self.ads.prepared.rows(), self.block_users());
        let starts: Vec<usize> = (0..rows).step_by(block_users).collect();
        let block = |scratch: &mut Scratch, &first: &usize| {
            let range = first..(first + block_users).min(rows);
            let pairs = range.len() * ads;
            let made = make(range, scratch);
            self.progress.add(pairs as u64);
            made
        };
        let score = |wave: &[usize]| -> Vec<Result<R, Failure>> {
            self.context.resources.pool().install(|| wave.par_iter().map_init(Scratch::default, block).collect())
        };
        let mut ready = Vec::new();
        // While one wave is written the next one is scored.
        for wave in starts.chunks(self.context.resources.threads() * BLOCKS_PER_THREAD) {
            ready = std::thread::scope(|scope| {
                let next = scope.spawn(|| score(wave));
                ready.into_iter().try_for_each(|made: Result<R, Failure>| take(made?))?;
                Ok::<_, Failure>(next.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })?;
        }
        ready.into_iter().try_for_each(|made| take(made?))
    }

    fn write_all<T: Number>(&self, users: &Entities, file: &mut AllPairs) -> Result<u64, Failure> {
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
            self.group::<T>(users, range, repeated, &encoder, scratch)
        };
        let writer = &mut file.writer;
        self.in_blocks(users, make, |group| Ok(writer.append(group)?))?;
        Ok((rows * ads) as u64)
    }

    /// All pairs of some users as a row group.
    fn group<T: Number>(
        &self,
        users: &Entities,
        range: Range<usize>,
        repeated: Option<&[Arc<RepeatedColumn>]>,
        encoder: &PairEncoder,
        scratch: &mut Scratch,
    ) -> Result<PairGroup, Failure> {
        let ads = self.ads.prepared.rows();
        let mut scores = vec![T::default(); range.len() * ads];
        let tile_users = self.tile_users();
        for (first, scores) in range.clone().step_by(tile_users).zip(scores.chunks_mut(tile_users * ads)) {
            let tile = first..(first + tile_users).min(range.end);
            let block = self.cross.users(&users.side, tile).map_err(Failure::input)?;
            T::score(self.cross, &block, &self.ads.prepared, 0..ads, scratch, scores).map_err(Failure::input)?;
        }
        for (user, ad, score) in self.known::<T>(users, range.clone(), scratch)? {
            scores[(user as usize - range.start) * ads + ad as usize] = score;
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
    ) -> Result<u64, Failure> {
        let mut written = 0;
        let make = |range: Range<usize>, scratch: &mut Scratch| self.best::<T>(users, range, choice, scratch);
        self.in_blocks(users, make, |kept| {
            written += kept.len() as u64;
            let user_rows: UInt32Array = kept.iter().map(|kept| kept.0).collect::<Vec<_>>().into();
            let ad_rows: UInt32Array = kept.iter().map(|kept| kept.1).collect::<Vec<_>>().into();
            let scores: Vec<f64> = kept.iter().map(|kept| kept.2.into()).collect();
            let user_ids: Vec<ArrayRef> = users.ids.iter().map(|(_, array)| array.clone()).collect();
            self.write_picked(writer, (&user_ids, &user_rows), &ad_rows, &scores)
        })?;
        Ok(written)
    }

    /// Writes pairs of users and ads by their rows.
    pub(super) fn write_picked(
        &self,
        writer: &mut PredictionWriter,
        users: (&[ArrayRef], &UInt32Array),
        ad_rows: &UInt32Array,
        scores: &[f64],
    ) -> Result<(), Failure> {
        let (mut user_ids, mut ad_ids) = (users.0.iter(), self.ads.ids.iter());
        let ids = self.sides.ids.iter().filter_map(|(name, origin)| {
            let (array, rows) = match origin {
                Origin::User => (user_ids.next(), users.1),
                _ => (ad_ids.next(), ad_rows),
            };
            array.map(|array| Ok((name.clone(), picked(name, array, rows)?)))
        });
        writer.write(&ids.collect::<Result<Vec<_>, Failure>>()?, scores)?;
        Ok(())
    }

    /// The pairs of some users that the table lists.
    pub(super) fn known<T: Number>(
        &self,
        users: &Entities,
        range: Range<usize>,
        scratch: &mut Scratch,
    ) -> Result<Vec<Known<T>>, Failure> {
        self.pairs.map_or_else(|| Ok(Vec::new()), |pairs| pairs.known(self.cross, users, range, self.ads, scratch))
    }

    /// The pairs to keep of some users, user by user.
    fn best<T: Number>(
        &self,
        users: &Entities,
        range: Range<usize>,
        choice: Choice,
        scratch: &mut Scratch,
    ) -> Result<Vec<Kept<T>>, Failure> {
        let ads = self.ads.prepared.rows();
        let tile_users = self.tile_users();
        let mut ranks = vec![T::default(); tile_users.min(range.len()) * ads];
        let mut kept = Vec::new();
        let known = self.known::<T>(users, range.clone(), scratch)?;
        let mut known = known.as_slice();
        for first in range.clone().step_by(tile_users) {
            let tile = first..(first + tile_users).min(range.end);
            let block = self.cross.users(&users.side, tile.clone()).map_err(Failure::input)?;
            let ranks = &mut ranks[..tile.len() * ads];
            T::rank(self.cross, &block, &self.ads.prepared, 0..ads, scratch, ranks).map_err(Failure::input)?;
            for (user, ranks) in tile.zip(ranks.chunks_exact(ads)) {
                let mut top = Top::new(choice);
                let own;
                (own, known) = known.split_at(known.partition_point(|pair| pair.0 as usize <= user));
                top.offer_all_but(ranks, own, |rank| T::probability(self.cross, rank));
                kept.extend(top.sorted().into_iter().map(|(score, ad)| (user as u32, ad as u32, score)));
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
