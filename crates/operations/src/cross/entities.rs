//! Users and ads as they are read: encoded, with their ids, each of which may come once.

use std::collections::HashSet;
use std::ops::Range;

use crate::data::Data;
use arrow_array::{Array, ArrayRef};
use clickcast_dataset::{ScanEvent, joined, plain, text_of};
use clickcast_model::cross::{Ads, Cross, Origin, Side};
use clickcast_record::{Batch, Need, hash};

use super::sides::Sides;
use crate::Error;

/// The most ads: one user with all of them makes a row group.
const ADS_MAX: usize = 1_000_000;
/// The most bytes of prepared ads, so that everything else has room in a gibibyte.
const ADS_BYTES_MAX: usize = 384 << 20;
/// The most ids that are remembered: about 150 MB of hashes. Beyond them a repeated user goes unnoticed. Two ids with the
/// same hash, which would be taken for a repetition, are expected once in a million such runs.
const SEEN_MAX: usize = 8_000_000;

/// Some users or ads.
pub(super) struct Entities {
    pub(super) side: Side,
    /// The columns of ids that this side has, in the order of the output, without dictionaries.
    pub(super) ids: Vec<(String, ArrayRef)>,
    /// A hash of each row's ids.
    pub(super) keys: Vec<u64>,
    first_row: u64,
}

/// All ads.
pub(super) struct AdTable {
    pub(super) prepared: Ads,
    pub(super) ids: Vec<ArrayRef>,
    /// A hash of each ad's ids.
    pub(super) keys: Vec<u64>,
    /// Where the ads of each file are.
    pub(super) files: Vec<Range<usize>>,
}

impl Entities {
    pub(super) fn new(cross: &Cross<'_>, origin: Origin, batch: Batch) -> Result<Self, Error> {
        let side = cross.encode(origin, &batch)?;
        let keys = keys(&batch.carried, batch.rows, batch.first_row)?;
        let ids = batch.carried.iter().map(|(name, array)| (name.clone(), plain(array))).collect();
        Ok(Self { side, ids, keys, first_row: batch.first_row })
    }
}

/// Hashes each row's ids.
pub(super) fn keys(ids: &[(String, ArrayRef)], rows: usize, first_row: u64) -> Result<Vec<u64>, Error> {
    let mut keys = vec![0; rows];
    for (name, array) in ids {
        let texts = text_of(name, array)?;
        for (row, (key, text)) in keys.iter_mut().zip(&texts).enumerate() {
            let Some(text) = text else {
                let row = first_row + row as u64 + 1;
                return Err(Error::invalid(format!(
                    "column `{name}`, row {row}: the id is missing; every row needs one"
                )));
            };
            *key = hash::integer((*key ^ hash::text(text)) as i64);
        }
    }
    Ok(keys)
}

/// The ids that were seen so far.
#[derive(Default)]
pub(super) struct Distinct {
    seen: HashSet<u64>,
}

impl Distinct {
    /// Refuses ids that came before.
    pub(super) fn add(&mut self, file: &str, entities: &Entities) -> Result<(), Error> {
        for (row, &key) in entities.keys.iter().enumerate() {
            let again = if self.seen.len() < SEEN_MAX { !self.seen.insert(key) } else { self.seen.contains(&key) };
            if again {
                let ids = entities.ids.iter().map(|(name, array)| {
                    let text = text_of(name, &array.slice(row, 1))?;
                    Ok(format!("{name} `{}`", text.value(0)))
                });
                let ids = ids.collect::<Result<Vec<_>, Error>>()?.join(", ");
                let row = entities.first_row + row as u64 + 1;
                return Err(Error::invalid(format!("`{file}`, row {row}: {ids} came before; keep one row of each")));
            }
        }
        Ok(())
    }
}

/// Reads and prepares all ads.
pub(super) fn read_ads(cross: &Cross<'_>, sides: &Sides, data: &Data) -> Result<AdTable, Error> {
    let need = Need { carried: sides.ids_of(Origin::Ad), ..Need::default() };
    let rows_max = ADS_MAX.min(ADS_BYTES_MAX / cross.ad_bytes().max(1));
    let mut distinct = Distinct::default();
    let (mut parts, mut ids, mut files): (Vec<Side>, Vec<Vec<ArrayRef>>, Vec<Range<usize>>) = Default::default();
    ids.resize_with(need.carried.len(), Vec::new);
    let (mut file, mut rows, mut keys) = (String::new(), 0, Vec::new());
    let encode = |batch: Batch| Entities::new(cross, Origin::Ad, batch);
    data.scan(&sides.ads, &need, encode, |step| {
        match step {
            ScanEvent::Begin(index) => {
                file = data.inputs[index].name();
                files.push(rows..rows);
            }
            ScanEvent::Rows(entities) => {
                let entities = entities.map_err(|error| Error::about(format!("`{file}`"), error))?;
                distinct.add(&file, &entities)?;
                rows += entities.side.rows();
                if rows > rows_max {
                    let problem = "ads of this model don't fit the memory set aside; give fewer at a time";
                    return Err(Error::invalid(format!("`{file}`: more than {rows_max} {problem}")));
                }
                ids.iter_mut().zip(entities.ids).for_each(|(parts, (_, array))| parts.push(array));
                keys.extend(entities.keys);
                parts.push(entities.side);
            }
            ScanEvent::End(_) => {
                if let Some(range) = files.last_mut() {
                    range.end = rows;
                }
            }
        }
        Ok(())
    })?;
    if rows == 0 {
        return Err(Error::invalid(format!("`{}` has no ads", data.uri())));
    }
    let ids = need.carried.iter().zip(ids).map(|(name, parts)| joined(name, &parts)).collect::<Result<_, _>>()?;
    Ok(AdTable { prepared: cross.ads(parts)?, ids, keys, files })
}
