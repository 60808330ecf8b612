//! A way to score pairs, and what it takes: users and ads in the form that it prepared.

use std::fmt::Debug;
use std::ops::Range;

use super::columns::Columns;
use crate::Error;
use crate::trees::{CrossLeft, CrossRight, CrossScratch};

/// What gives a feature its value in a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The user.
    User,
    /// The ad.
    Ad,
    /// All pairs share one value.
    Constant,
    /// A table gives each pair its own value; pairs that it does not list have none.
    Pair,
}

/// How factor models add up; trees are always exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// Inner products of sums in f32: within 1e-6 of a row's probability.
    Fast,
    /// Bit-equal to [`Model::score`](crate::Model::score) of the pair written out as a row.
    AsRows,
}

/// Scores pairs of prepared users and ads.
pub(crate) trait Pairs: Debug + Send + Sync {
    /// Returns the bytes that an ad takes while it is prepared and then kept.
    fn ad_bytes(&self) -> usize;

    /// Returns the number of ads of which ranges to score are multiples.
    fn ads_step(&self) -> usize;

    /// Returns how many users are best prepared together.
    fn users_step(&self) -> usize;

    /// Prepares all ads.
    fn ads(&self, columns: Columns, rows: usize) -> Result<Prepared, Error>;

    /// Prepares some users.
    fn users(&self, columns: &Columns, range: Range<usize>) -> Result<Prepared, Error>;

    /// Computes the probabilities of all users with a range of the ads, as [`Cross::score_f64`](super::Cross::score_f64).
    fn score(
        &self,
        users: &Users,
        ads: &Ads,
        range: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [f64],
    ) -> Result<(), Error>;

    /// Computes what orders pairs as their probabilities do, as [`Cross::rank_f32`](super::Cross::rank_f32).
    fn rank(
        &self,
        users: &Users,
        ads: &Ads,
        range: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(), Error> {
        let mut wide = std::mem::take(&mut scratch.wide);
        wide.resize(users.rows * range.len(), 0.0);
        let scored = self.score(users, ads, range, scratch, &mut wide);
        out.iter_mut().zip(&wide).for_each(|(out, &value)| *out = value as f32);
        scratch.wide = wide;
        scored
    }

    /// Turns ranks into probabilities.
    fn probabilities(&self, _ranks: &mut [f32]) {}
}

/// All ads, prepared for scoring. Threads share them.
#[derive(Debug)]
pub struct Ads {
    pub(super) rows: usize,
    pub(super) step: usize,
    pub(super) form: Prepared,
    /// The columns as they were, where listed pairs need them.
    pub(super) columns: Option<Columns>,
}

/// A block of users, prepared for scoring.
#[derive(Debug)]
pub struct Users {
    pub(super) rows: usize,
    pub(super) form: Prepared,
}

/// Entities of one side in the form that a way of scoring takes.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// Offsets and vectors, laid out for the kernel.
    Laid(Vec<f32>),
    /// Columns as they are.
    Columns(Columns),
    /// Users for the trees.
    TreeUsers(CrossLeft),
    /// Ads for the trees, in blocks.
    TreeAds(Vec<CrossRight>),
}

/// Working memory of scoring, reused from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) rows: crate::Scratch,
    pub(super) trees: CrossScratch,
    pub(super) log_odds: Vec<f64>,
    pub(super) wide: Vec<f64>,
}

impl Ads {
    /// Returns the number of ads.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn check(&self, range: &Range<usize>) {
        let whole_end = range.end == self.rows || range.end < self.rows && range.end.is_multiple_of(self.step);
        assert!(range.start.is_multiple_of(self.step) && whole_end, "{range:?} of {} ads", self.rows);
    }
}
