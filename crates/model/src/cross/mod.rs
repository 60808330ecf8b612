//! Scores every user with every ad: what depends on one side alone is done once for each user and each ad.
//!
//! [`Cross`] says which side each feature comes from. The ads are prepared once ([`Cross::ads`]); users are prepared block by
//! block ([`Cross::users`]). A pair then costs an inner product or a walk of the trees; models of other families score it as a
//! row.

mod columns;
mod expanded;
mod listed;
mod pairs;
mod products;
mod trees;

use std::ops::Range;

use clickcast_record::{Batch, Categorical, Column, Feature, Kind, Multi, Numeric, Schema};

use crate::values::batch_of;
use crate::{Error, Model};
pub(crate) use columns::{Columns, unprepared};
use expanded::Expanded;
pub use listed::{Listed, ListedSides};
pub(crate) use pairs::Pairs;
pub use pairs::{Ads, Arithmetic, Origin, Scratch, Users};
pub(crate) use products::Products;
pub(crate) use trees::TreePairs;

/// A model's plan for pairs. Threads share it; each has a [`Scratch`] of its own.
#[derive(Debug)]
pub struct Cross<'a> {
    model: &'a Model,
    origins: Vec<Origin>,
    constants: Columns,
    pairs: Box<dyn Pairs + 'a>,
}

/// Rows of one side as the model takes them: one column for each feature of that side.
#[derive(Debug)]
pub struct Side {
    rows: usize,
    columns: Columns,
}

impl<'a> Cross<'a> {
    /// Plans how to score pairs with a model whose features come from where `origins` says; `constants` is one row of the
    /// constant features, in the model's order.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) if there is not one origin a feature, or the constants are not of these features.
    pub fn new(
        model: &'a Model,
        origins: Vec<Origin>,
        constants: Option<&Batch>,
        arithmetic: Arithmetic,
    ) -> Result<Self, Error> {
        let features = model.schema().features().len();
        if origins.len() != features {
            return Err(Error::invalid(format!("{} origins for {features} features", origins.len())));
        }
        let expected = origins.iter().filter(|&&origin| origin == Origin::Constant).count();
        fits(constants.map_or(0, |batch| batch.features.len()), expected)?;
        let own = match constants {
            Some(batch) => encode(model, &origins, Origin::Constant, batch)?.columns,
            None => model.family().prepare(&[], &[])?,
        };
        // Where no table lists a pair, the pair's features are missing in every row: constants, too.
        let listed = origins.clone();
        let origins: Vec<Origin> =
            origins.into_iter().map(|origin| if origin == Origin::Pair { Origin::Constant } else { origin }).collect();
        let all = encode(model, &origins, Origin::Constant, &with_missing(model, &listed, constants))?.columns;
        let calibration = &model.artifact().manifest().calibration;
        let pairs = match model.family().pairs(calibration, &origins, &all, arithmetic)? {
            Some(pairs) => pairs,
            None => Box::new(Expanded::new(model.family(), calibration, origins, all)),
        };
        Ok(Self { model, origins: listed, constants: own, pairs })
    }

    /// Returns the features of one origin as a schema, to read them by, or `None` if there are none.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind), which a model's own features never cause.
    pub fn schema_of(model: &Model, origins: &[Origin], origin: Origin) -> Result<Option<Schema>, Error> {
        let features = model.schema().features().iter().zip(origins);
        // A table has the values themselves, however rows derive them.
        let column = |feature: &Feature| Feature::new(&feature.name, feature.kind, feature.side);
        let features: Vec<_> =
            features.filter(|(_, own)| **own == origin).map(|(feature, _)| column(feature)).collect();
        if features.is_empty() {
            return Ok(None);
        }
        Schema::new(features).map(Some).map_err(|error| Error::invalid(error.to_string()))
    }

    /// Encodes a batch that was read by [`Cross::schema_of`] that origin.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) if the batch has other features.
    pub fn encode(&self, origin: Origin, batch: &Batch) -> Result<Side, Error> {
        encode(self.model, &self.origins, origin, batch)
    }

    /// Returns the bytes that an ad takes while it is prepared and then kept, by which a caller bounds their number.
    #[must_use]
    pub fn ad_bytes(&self) -> usize {
        let features = self.origins.iter().filter(|&&origin| origin == Origin::Ad).count();
        let kept = if self.lists_pairs() { 8 * features } else { 0 };
        kept + self.pairs.ad_bytes()
    }

    /// Returns a number of ads: a range to score begins and ends at multiples of it, or ends with the ads.
    #[must_use]
    pub fn ads_step(&self) -> usize {
        self.pairs.ads_step()
    }

    /// Returns how many users are best prepared together, if the caller may choose.
    #[must_use]
    pub fn users_step(&self) -> usize {
        self.pairs.users_step()
    }

    /// Prepares all ads, in order.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) for sides of another model.
    pub fn ads(&self, sides: Vec<Side>) -> Result<Ads, Error> {
        let side = Side::joined(sides)?;
        let columns = self.lists_pairs().then(|| side.columns.clone());
        let form = self.pairs.ads(side.columns, side.rows)?;
        Ok(Ads { rows: side.rows, step: self.ads_step(), form, columns })
    }

    fn lists_pairs(&self) -> bool {
        self.origins.contains(&Origin::Pair)
    }

    /// Prepares some users of a batch.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) for a side of another model.
    /// # Panics
    /// If the range is beyond the side.
    pub fn users(&self, side: &Side, range: Range<usize>) -> Result<Users, Error> {
        let rows = range.len();
        Ok(Users { rows, form: self.pairs.users(&side.columns, range)? })
    }

    /// Predicts the click probability of each user with each ad of a range, calibrated.
    ///
    /// # Shapes
    /// `out`: `[users, range]`, row-major, overwritten.
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) for users or ads of another model.
    /// # Panics
    /// If the range is beyond the ads or not by [`Cross::ads_step`], or `out` is too short.
    pub fn score_f32(
        &self,
        users: &Users,
        ads: &Ads,
        range: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(), Error> {
        self.rank_f32(users, ads, range, scratch, out)?;
        self.pairs.probabilities(out);
        Ok(())
    }

    /// Computes what orders pairs as their probabilities do, and costs less: [`Cross::probability_f32`] never falls where it
    /// rises.
    ///
    /// # Shapes
    /// As [`Cross::score_f32`].
    /// # Errors
    /// As [`Cross::score_f32`].
    /// # Panics
    /// As [`Cross::score_f32`].
    pub fn rank_f32(
        &self,
        users: &Users,
        ads: &Ads,
        range: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(), Error> {
        ads.check(&range);
        self.pairs.rank(users, ads, range, scratch, out)
    }

    /// Returns the probability of a pair of this rank, as [`Cross::score_f32`] gives it.
    #[must_use]
    pub fn probability_f32(&self, rank: f32) -> f32 {
        let mut value = [rank];
        self.pairs.probabilities(&mut value);
        value[0]
    }

    /// As [`Cross::score_f32`], with the probabilities in f64.
    ///
    /// # Errors
    /// As [`Cross::score_f32`].
    /// # Panics
    /// As [`Cross::score_f32`].
    pub fn score_f64(
        &self,
        users: &Users,
        ads: &Ads,
        range: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [f64],
    ) -> Result<(), Error> {
        ads.check(&range);
        self.pairs.score(users, ads, range, scratch, out)
    }
}

impl Side {
    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Joins sides, one after another.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) if there are none, or they are of different models.
    pub fn joined(sides: Vec<Self>) -> Result<Self, Error> {
        let mut sides = sides.into_iter();
        let mut whole = sides.next().ok_or_else(|| Error::invalid("there are no ads"))?;
        for side in sides {
            whole.rows += side.rows;
            whole.columns.append(side.columns)?;
        }
        Ok(whole)
    }
}

fn fits(given: usize, expected: usize) -> Result<(), Error> {
    if given == expected {
        return Ok(());
    }
    Err(Error::invalid(format!("{given} constants are given for {expected} constant features")))
}

fn encode(model: &Model, origins: &[Origin], origin: Origin, batch: &Batch) -> Result<Side, Error> {
    let own = origins.iter().enumerate().filter(|(_, own)| **own == origin).map(|(feature, _)| feature);
    let own: Vec<usize> = own.collect();
    if own.len() != batch.features.len() {
        let found = batch.features.len();
        return Err(Error::invalid(format!("the data has {found} features and the model {} of that side", own.len())));
    }
    Ok(Side { rows: batch.rows, columns: model.family().prepare(&own, &batch.features)? })
}

/// Returns one row of the constants, with the pairs' features among them, which are missing.
fn with_missing(model: &Model, origins: &[Origin], constants: Option<&Batch>) -> Batch {
    let mut given = constants.map_or(&[][..], |batch| &batch.features).iter();
    let column = |(feature, origin): (&Feature, &Origin)| match origin {
        Origin::Constant => given.next().cloned(),
        Origin::Pair => Some(missing(feature.kind)),
        Origin::User | Origin::Ad => None,
    };
    batch_of(1, model.schema().features().iter().zip(origins).filter_map(column).collect())
}

/// Returns a column of one row that has no value.
fn missing(kind: Kind) -> Column {
    let none =
        |rows: usize| Categorical::Integers { values: vec![0; rows].into(), nulls: Some(vec![false; rows].into()) };
    match kind {
        Kind::Numeric => Column::Numeric(Numeric::F32(vec![f32::NAN].into())),
        Kind::Categorical => Column::Categorical(none(1)),
        Kind::Multi => Column::Multi(Multi { offsets: vec![0, 0], values: none(0) }),
    }
}

#[cfg(test)]
mod tests;
