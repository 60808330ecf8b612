//! Scores every user with every ad: what depends on one side alone is done once for each user and each ad.
//!
//! [`Cross`] says which side each feature comes from. The ads are prepared once ([`Cross::ads`]); users are
//! prepared block by block ([`Cross::users`]); a pair then costs an inner product, or a walk of the trees.

mod expanded;
mod listed;
mod products;
mod trees;

use std::ops::Range;

use clickcast_record::{Batch, Categorical, Column, Feature, Kind, Multi, Numeric, Schema};

use crate::encode::{Encoded, Slots};
use crate::forest::ForestScratch;
use crate::model::Predictor;
use crate::trees::{CrossLeft, CrossRight, CrossScratch};
use crate::{Error, Model};
use expanded::Expanded;
pub use listed::Listed;
use products::Products;
use trees::TreePairs;

/// A factor model's ranges of ads begin at panels of the kernel; wider steps make good tiles.
const FACTORS_ADS_STEP: usize = 64;

/// What gives a feature its value in a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The user.
    User,
    /// The ad.
    Ad,
    /// All pairs have the same one.
    Constant,
    /// Each pair has its own, by a table; those that it does not list have none.
    Pair,
}

/// How factor models add up; trees are always exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// Inner products of sums in f32: within 1e-6 of a row's probability.
    Fast,
    /// As [`Model::score`] does for the pair written out as a row, to the bit.
    AsRows,
}

/// A model's plan for pairs. Threads share it; each has a [`Scratch`] of its own.
#[derive(Debug)]
pub struct Cross<'a> {
    model: &'a Model,
    origins: Vec<Origin>,
    constants: Columns,
    engine: Engine<'a>,
}

#[derive(Debug)]
enum Engine<'a> {
    Products(Products<'a>),
    Expanded(Expanded<'a>),
    Trees(TreePairs<'a>),
}

/// Rows of one side as the model takes them: one column for each feature of that side.
#[derive(Debug)]
pub struct Side {
    rows: usize,
    columns: Columns,
}

#[derive(Debug, Clone)]
enum Columns {
    Slots(Vec<Slots>),
    Numbers(Vec<Vec<f64>>),
}

/// All ads, prepared for scoring. Threads share them.
#[derive(Debug)]
pub struct Ads {
    rows: usize,
    step: usize,
    form: Prepared,
    /// As they were encoded, where listed pairs need them.
    columns: Option<Columns>,
}

/// A block of users, prepared for scoring.
#[derive(Debug)]
pub struct Users {
    rows: usize,
    form: Prepared,
}

#[derive(Debug)]
enum Prepared {
    /// Offsets and vectors, laid out for the kernel.
    Laid(Vec<f32>),
    Slots(Vec<Slots>),
    User(CrossLeft),
    /// In blocks of [`trees::ADS_STEP`].
    Ads(Vec<CrossRight>),
}

/// Working memory of scoring, reused from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    encoded: Encoded,
    logits: Vec<f64>,
    trees: CrossScratch,
    raw: Vec<f64>,
    wide: Vec<f64>,
    rows: ForestScratch,
}

impl<'a> Cross<'a> {
    /// A plan for a model whose features come from where `origins` says; `constants` is one row of the
    /// constant features, in the model's order.
    ///
    /// # Errors
    /// [`Error::Unfit`] where there is not one origin a feature, or the constants are not of these features.
    pub fn new(
        model: &'a Model,
        origins: Vec<Origin>,
        constants: Option<&Batch>,
        arithmetic: Arithmetic,
    ) -> Result<Self, Error> {
        let features = model.schema().features().len();
        if origins.len() != features {
            return Err(Error::Unfit(format!("{} origins for {features} features", origins.len())));
        }
        let expected = origins.iter().filter(|&&origin| origin == Origin::Constant).count();
        fits(constants.map_or(0, |batch| batch.features.len()), expected)?;
        let own = match constants {
            Some(batch) => encode(model, &origins, Origin::Constant, batch)?,
            None => encode_nothing(model),
        };
        // To the engines what no table lists is a constant that is missing.
        let listed = origins.clone();
        let origins: Vec<Origin> =
            origins.into_iter().map(|origin| if origin == Origin::Pair { Origin::Constant } else { origin }).collect();
        let all = encode(model, &origins, Origin::Constant, &with_missing(model, &listed, constants))?;
        let engine = match (model.predictor(), all.columns) {
            (Predictor::Factors { factors, .. }, Columns::Slots(slots)) => {
                let calibration = &model.artifact().manifest().calibration;
                let products = match arithmetic {
                    Arithmetic::Fast => Products::new(factors, calibration, &origins, &slots),
                    Arithmetic::AsRows => None,
                };
                match products {
                    Some(products) => Engine::Products(products),
                    None => Engine::Expanded(Expanded::new(factors, calibration, &origins, slots)),
                }
            }
            (Predictor::Trees(forest), Columns::Numbers(numbers)) => {
                Engine::Trees(TreePairs::new(forest, &origins, &numbers)?)
            }
            _ => return Err(unprepared()),
        };
        Ok(Self { model, origins: listed, constants: own.columns, engine })
    }

    /// The features of one origin as a schema, to read them by; none where there are none.
    ///
    /// # Errors
    /// [`Error::Unfit`], which a model's own features never cause.
    pub fn schema_of(model: &Model, origins: &[Origin], origin: Origin) -> Result<Option<Schema>, Error> {
        let features = model.schema().features().iter().zip(origins);
        // A table has the values themselves, however rows derive them.
        let column = |feature: &Feature| Feature::new(&feature.name, feature.kind, feature.side);
        let features: Vec<_> =
            features.filter(|(_, own)| **own == origin).map(|(feature, _)| column(feature)).collect();
        if features.is_empty() {
            return Ok(None);
        }
        Schema::new(features).map(Some).map_err(|error| Error::Unfit(error.to_string()))
    }

    /// Encodes a batch that was read by [`Cross::schema_of`] that origin.
    ///
    /// # Errors
    /// [`Error::Unfit`] where the batch has other features.
    pub fn encode(&self, origin: Origin, batch: &Batch) -> Result<Side, Error> {
        encode(self.model, &self.origins, origin, batch)
    }

    /// Bytes that an ad takes while it is prepared and then kept, by which a caller bounds their number.
    #[must_use]
    pub fn ad_bytes(&self) -> usize {
        let features = self.origins.iter().filter(|&&origin| origin == Origin::Ad).count();
        let kept = if self.lists_pairs() { 8 * features } else { 0 };
        kept + match &self.engine {
            Engine::Products(products) => 4 * (1 + products.width() + features),
            Engine::Expanded(_) => 8 * features,
            Engine::Trees(trees) => 8 * features + trees.ad_bytes(),
        }
    }

    /// A range of ads to score begins and ends at multiples of this, or ends with the ads.
    #[must_use]
    pub fn ads_step(&self) -> usize {
        match &self.engine {
            Engine::Products(_) | Engine::Expanded(_) => FACTORS_ADS_STEP,
            Engine::Trees(_) => trees::ADS_STEP,
        }
    }

    /// So many users are best prepared together, where that is up to the caller.
    #[must_use]
    pub fn users_step(&self) -> usize {
        match &self.engine {
            Engine::Products(_) => clickcast_kernel::cross::GROUP,
            Engine::Expanded(_) => 1,
            Engine::Trees(_) => trees::USERS_STEP,
        }
    }

    /// Prepares all ads, in order.
    ///
    /// # Errors
    /// [`Error::Unfit`] for sides of another model.
    pub fn ads(&self, sides: Vec<Side>) -> Result<Ads, Error> {
        let side = Side::joined(sides)?;
        let rows = side.rows;
        let columns = self.lists_pairs().then(|| side.columns.clone());
        let form = match (&self.engine, side.columns) {
            (Engine::Products(products), Columns::Slots(slots)) => Prepared::Laid(products.ads(&slots, rows)),
            (Engine::Expanded(_), Columns::Slots(slots)) => Prepared::Slots(slots),
            (Engine::Trees(trees), Columns::Numbers(numbers)) => Prepared::Ads(trees.ads(&numbers, rows)?),
            _ => return Err(unprepared()),
        };
        Ok(Ads { rows, step: self.ads_step(), form, columns })
    }

    fn lists_pairs(&self) -> bool {
        self.origins.contains(&Origin::Pair)
    }

    /// Prepares some users of a batch.
    ///
    /// # Errors
    /// [`Error::Unfit`] for a side of another model.
    /// # Panics
    /// Where the range is beyond the side.
    pub fn users(&self, side: &Side, range: Range<usize>) -> Result<Users, Error> {
        let rows = range.len();
        let form = match (&self.engine, &side.columns) {
            (Engine::Products(products), Columns::Slots(slots)) => Prepared::Laid(products.users(slots, range)),
            (Engine::Expanded(_), Columns::Slots(slots)) => {
                Prepared::Slots(slots.iter().map(|column| column.slice(range.clone())).collect())
            }
            (Engine::Trees(trees), Columns::Numbers(numbers)) => Prepared::User(trees.users(numbers, range)?),
            _ => return Err(unprepared()),
        };
        Ok(Users { rows, form })
    }

    /// Predicts the click probability of each user with each ad of a range, calibrated.
    ///
    /// # Shapes
    /// `out`: `[users, range]`, row-major, overwritten.
    /// # Errors
    /// [`Error::Unfit`] for users or ads of another model.
    /// # Panics
    /// Where the range is beyond the ads or not by [`Cross::ads_step`], or `out` is too short.
    pub fn score_f32(
        &self,
        users: &Users,
        ads: &Ads,
        range: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(), Error> {
        self.rank_f32(users, ads, range, scratch, out)?;
        if let Engine::Products(products) = &self.engine {
            products.probabilities(out);
        }
        Ok(())
    }

    /// What orders pairs as their probabilities do, and comes sooner: [`Cross::probability_f32`] never falls where it rises.
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
        if let (Engine::Products(products), Prepared::Laid(groups), Prepared::Laid(panels)) =
            (&self.engine, &users.form, &ads.form)
        {
            products.rank(groups, users.rows, panels, range, out);
            return Ok(());
        }
        let mut wide = std::mem::take(&mut scratch.wide);
        wide.resize(users.rows * range.len(), 0.0);
        let scored = self.score_f64(users, ads, range, scratch, &mut wide);
        out.iter_mut().zip(&wide).for_each(|(out, &value)| *out = value as f32);
        scratch.wide = wide;
        scored
    }

    /// The probability of a pair of this rank, as [`Cross::score_f32`] gives it.
    #[must_use]
    pub fn probability_f32(&self, rank: f32) -> f32 {
        let Engine::Products(products) = &self.engine else { return rank };
        let mut value = [rank];
        products.probabilities(&mut value);
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
        match (&self.engine, &users.form, &ads.form) {
            (Engine::Products(_), Prepared::Laid(_), Prepared::Laid(_)) => {
                let mut narrow = vec![0.0; users.rows * range.len()];
                self.score_f32(users, ads, range, scratch, &mut narrow)?;
                out.iter_mut().zip(&narrow).for_each(|(out, &value)| *out = f64::from(value));
                Ok(())
            }
            (Engine::Expanded(expanded), Prepared::Slots(user_slots), Prepared::Slots(ad_slots)) => {
                expanded.score(user_slots, users.rows, ad_slots, range, scratch, out);
                Ok(())
            }
            (Engine::Trees(trees), Prepared::User(block), Prepared::Ads(blocks)) => {
                trees.score(block, &blocks[range.start / ads.step..range.end.div_ceil(ads.step)], scratch, out)
            }
            _ => Err(unprepared()),
        }
    }
}

impl Side {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// One side of several, one after another.
    ///
    /// # Errors
    /// [`Error::Unfit`] where there are none, or they are of different models.
    pub fn joined(sides: Vec<Self>) -> Result<Self, Error> {
        let mut sides = sides.into_iter();
        let mut whole = sides.next().ok_or_else(|| Error::Unfit("there are no ads".to_owned()))?;
        for side in sides {
            whole.rows += side.rows;
            match (&mut whole.columns, side.columns) {
                (Columns::Slots(whole), Columns::Slots(more)) => {
                    whole.iter_mut().zip(more).for_each(|(whole, more)| whole.append(more));
                }
                (Columns::Numbers(whole), Columns::Numbers(more)) => {
                    whole.iter_mut().zip(more).for_each(|(whole, more)| whole.extend(more));
                }
                _ => return Err(unprepared()),
            }
        }
        Ok(whole)
    }
}

impl Ads {
    /// Number of ads.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn check(&self, range: &Range<usize>) {
        let whole_end = range.end == self.rows || range.end < self.rows && range.end.is_multiple_of(self.step);
        assert!(range.start.is_multiple_of(self.step) && whole_end, "{range:?} of {} ads", self.rows);
    }
}

fn unprepared() -> Error {
    Error::Unfit("users or ads were prepared for another model".to_owned())
}

fn fits(given: usize, expected: usize) -> Result<(), Error> {
    if given == expected {
        return Ok(());
    }
    Err(Error::Unfit(format!("{given} constants are given for {expected} constant features")))
}

fn encode_nothing(model: &Model) -> Side {
    let columns = match model.predictor() {
        Predictor::Factors { .. } => Columns::Slots(Vec::new()),
        Predictor::Trees(_) => Columns::Numbers(Vec::new()),
    };
    Side { rows: 0, columns }
}

fn encode(model: &Model, origins: &[Origin], origin: Origin, batch: &Batch) -> Result<Side, Error> {
    let own = origins.iter().enumerate().filter(|(_, own)| **own == origin).map(|(feature, _)| feature);
    let own: Vec<usize> = own.collect();
    if own.len() != batch.features.len() {
        let found = batch.features.len();
        return Err(Error::Unfit(format!("the data has {found} features and the model {} of that side", own.len())));
    }
    let features = own.iter().zip(&batch.features);
    let columns = match model.predictor() {
        Predictor::Factors { encoder, .. } => {
            let encoded = features.map(|(&field, column)| {
                let mut slots = Slots::One(Vec::new());
                encoder.encode_column(field, column, &mut slots).map(|()| slots)
            });
            Columns::Slots(encoded.collect::<Result<_, _>>()?)
        }
        Predictor::Trees(forest) => {
            let numbers = features.map(|(&feature, column)| forest.numbers(feature, column));
            Columns::Numbers(numbers.collect::<Result<_, _>>()?)
        }
    };
    Ok(Side { rows: batch.rows, columns })
}

/// One row of the constants, with the pairs' features among them, which are missing.
fn with_missing(model: &Model, origins: &[Origin], constants: Option<&Batch>) -> Batch {
    let mut given = constants.map_or(&[][..], |batch| &batch.features).iter();
    let column = |(feature, origin): (&Feature, &Origin)| match origin {
        Origin::Constant => given.next().cloned(),
        Origin::Pair => Some(missing(feature.kind)),
        Origin::User | Origin::Ad => None,
    };
    let features = model.schema().features().iter().zip(origins).filter_map(column).collect();
    Batch { rows: 1, first_row: 0, features, labels: None, weights: None, times: None, carried: Vec::new() }
}

/// A column of one row that has no value.
fn missing(kind: Kind) -> Column {
    let none =
        |rows: usize| Categorical::Integers { values: vec![0; rows].into(), nulls: Some(vec![false; rows].into()) };
    match kind {
        Kind::Numeric => Column::Numeric(Numeric::F32(vec![f32::NAN].into())),
        Kind::Categorical => Column::Categorical(none(1)),
        Kind::Multi => Column::Multi(Multi { offsets: vec![0, 0], values: none(0) }),
    }
}
