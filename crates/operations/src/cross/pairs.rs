//! A table of pairs: the features of side `pair`, of the pairs that it lists.

use std::collections::HashMap;
use std::ops::Range;

use crate::data::Data;
use clickcast_dataset::ScanEvent;
use clickcast_model::cross::{Cross, Listed, ListedSides, Origin, Scratch, Side};
use clickcast_record::{Batch, Need, Schema};

use super::entities::{AdTable, Distinct, Entities, keys};
use super::number::{Number, Scored};
use super::sides::Sides;
use crate::Error;

/// The most pairs that a table may list.
const PAIRS_MAX: usize = 4_000_000;
/// The most bytes that they may take, beside the ads and everything else in a gibibyte.
const PAIRS_BYTES_MAX: usize = 256 << 20;
/// Bytes of a listed pair: its keys, its place, and its hash among those that came before. And those of each feature.
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

/// Where a table of pairs is read from.
pub(super) struct PairSource<'a> {
    pub(super) sides: &'a Sides,
    /// The features of pairs.
    pub(super) schema: &'a Schema,
    pub(super) data: &'a Data,
}

/// Reads the pairs of a table, without those of other ads.
pub(super) fn read_pairs(cross: &Cross<'_>, source: &PairSource<'_>, ads: &AdTable) -> Result<PairTable, Error> {
    let PairSource { sides, schema, data } = source;
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
            ScanEvent::Begin(index) => file = data.inputs[index].name(),
            ScanEvent::Rows(read) => {
                let ((users, ads), entities) = read.map_err(|error: Error| Error::about(format!("`{file}`"), error))?;
                distinct.add(&file, &entities)?;
                let entries = users.into_iter().zip(ads).zip(rows as u32..);
                found.extend(entries.filter_map(|((user, ad), entry)| Some((user, *ad_places.get(&ad)?, entry))));
                rows += entities.side.rows();
                if rows > rows_max {
                    let problem = "pairs don't fit the memory set aside; list those alone that have values";
                    return Err(Error::invalid(format!("`{file}`: more than {rows_max} {problem}")));
                }
                parts.push(entities.side);
            }
            ScanEvent::End(_) => {}
        }
        Ok(())
    })?;
    if rows == 0 {
        return Err(Error::invalid(format!("`{}` lists no pairs", data.uri())));
    }
    found.sort_unstable();
    let mut of_user: HashMap<u64, Range<usize>> = HashMap::new();
    for (place, (user, ..)) in found.iter().enumerate() {
        of_user.entry(*user).or_insert(place..place).end = place + 1;
    }
    let pairs = found.into_iter().map(|(_, ad, entry)| (ad, entry)).collect();
    Ok(PairTable { entries: Side::joined(parts)?, of_user, pairs })
}

impl PairTable {
    /// Returns the listed pairs of some users, by rising user and ad, scored as rows are.
    pub(super) fn known<T: Number>(
        &self,
        cross: &Cross<'_>,
        users: &Entities,
        range: Range<usize>,
        ads: &AdTable,
        scratch: &mut Scratch,
    ) -> Result<Vec<Scored<T>>, Error> {
        let mut listed = Vec::new();
        for user in range {
            let own = self.of_user.get(&users.keys[user]).cloned().unwrap_or_default();
            listed.extend(self.pairs[own].iter().map(|&(ad, entry)| Listed { user: user as u32, ad, entry }));
        }
        let mut scores = Vec::new();
        let sides = ListedSides { users: &users.side, ads: &ads.prepared, table: &self.entries };
        cross.score_listed(sides, &listed, scratch, &mut scores)?;
        Ok(listed
            .iter()
            .zip(scores)
            .map(|(pair, score)| Scored { user: pair.user, ad: pair.ad, score: T::of(score) })
            .collect())
    }
}
