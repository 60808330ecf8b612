//! A table of pairs: what features of side `pair` are for those it lists.

use std::collections::HashMap;
use std::ops::Range;

use clickcast_dataset::Step;
use clickcast_model::cross::{Cross, Listed, ListedSides, Origin, Scratch, Side};
use clickcast_operations::data::Data;
use clickcast_record::{Batch, Need, Schema};

use super::entities::{AdTable, Distinct, Entities, keys};
use super::sides::Sides;
use super::top::Number;
use crate::failure::Failure;

/// Pairs that a table lists at most.
const PAIRS_MAX: usize = 4_000_000;
/// Bytes of them at most, beside the ads and everything else in a gibibyte.
const PAIRS_BYTES_MAX: usize = 256 << 20;
/// Bytes of a listed pair: its keys, its place and its hash among those that came before; and of each of its features.
const PAIR_BYTES: usize = 64;
const FEATURE_BYTES: usize = 8;

/// The pairs of a table.
pub(super) struct PairTable {
    entries: Side,
    /// Where the pairs of each user are, by the hash of its ids.
    of_user: HashMap<u64, Range<usize>>,
    /// Ads and entries, of each user by rising ad.
    pairs: Vec<(u32, u32)>,
}

/// A listed pair of a batch of users: the user, the ad and the probability.
pub(super) type Known<T> = (u32, u32, T);

/// Reads the pairs of a table; those of other ads are left out.
pub(super) fn read_pairs(
    cross: &Cross<'_>,
    (sides, schema): (&Sides, &Schema),
    data: &Data,
    ads: &AdTable,
) -> Result<PairTable, Failure> {
    let user_ids = sides.ids_of(Origin::User);
    let carried = [user_ids.as_slice(), &sides.ids_of(Origin::Ad)].concat();
    let need = Need { carried, ..Need::default() };
    let rows_max = PAIRS_MAX.min(PAIRS_BYTES_MAX / (PAIR_BYTES + FEATURE_BYTES * schema.features().len()));
    let ad_places: HashMap<u64, u32> = ads.keys.iter().copied().zip(0..).collect();
    let (mut distinct, mut parts, mut found) = (Distinct::default(), Vec::new(), Vec::new());
    let (mut file, mut rows) = (String::new(), 0);
    let encode = |batch: Batch| {
        let (users, ads) = batch.carried.split_at(user_ids.len());
        let keys = (keys(users, batch.rows, batch.first_row)?, keys(ads, batch.rows, batch.first_row)?);
        Ok((keys, Entities::new(cross, Origin::Pair, batch)?))
    };
    data.scan(schema, &need, encode, |step| {
        match step {
            Step::Begin(index) => file = data.inputs[index].name(),
            Step::Rows(read) => {
                let ((users, ads), entities) = read.map_err(|failure: Failure| failure.about(&file))?;
                distinct.add(&file, &entities)?;
                let entries = users.into_iter().zip(ads).zip(rows as u32..);
                found.extend(entries.filter_map(|((user, ad), entry)| Some((user, *ad_places.get(&ad)?, entry))));
                rows += entities.side.rows();
                if rows > rows_max {
                    let problem = "pairs don't fit the memory set aside; list those alone that have values";
                    return Err(Failure::input(format!("`{file}`: more than {rows_max} {problem}")));
                }
                parts.push(entities.side);
            }
            Step::End(_) => {}
        }
        Ok(())
    })?;
    if rows == 0 {
        return Err(Failure::input(format!("`{}` lists no pairs", data.uri())));
    }
    found.sort_unstable();
    let mut of_user: HashMap<u64, Range<usize>> = HashMap::new();
    for (place, (user, ..)) in found.iter().enumerate() {
        of_user.entry(*user).or_insert(place..place).end = place + 1;
    }
    let pairs = found.into_iter().map(|(_, ad, entry)| (ad, entry)).collect();
    Ok(PairTable { entries: Side::joined(parts).map_err(Failure::input)?, of_user, pairs })
}

impl PairTable {
    /// The listed pairs of some users, by rising user and ad, scored as rows are.
    pub(super) fn known<T: Number>(
        &self,
        cross: &Cross<'_>,
        users: &Entities,
        range: Range<usize>,
        ads: &AdTable,
        scratch: &mut Scratch,
    ) -> Result<Vec<Known<T>>, Failure> {
        let mut listed = Vec::new();
        for user in range {
            let own = self.of_user.get(&users.keys[user]).cloned().unwrap_or_default();
            listed.extend(self.pairs[own].iter().map(|&(ad, entry)| Listed { user: user as u32, ad, entry }));
        }
        let mut scores = Vec::new();
        let sides = ListedSides { users: &users.side, ads: &ads.prepared, table: &self.entries };
        cross.score_listed(sides, &listed, scratch, &mut scores).map_err(Failure::input)?;
        Ok(listed.iter().zip(scores).map(|(pair, score)| (pair.user, pair.ad, T::of(score))).collect())
    }
}
