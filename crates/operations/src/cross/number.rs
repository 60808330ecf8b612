//! Probabilities in either precision.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Float64Array};
use clickcast_model::Error;
use clickcast_model::cross::{Ads, Cross, Scratch, Users};

/// Some users, and the ads that they are scored with.
pub(super) struct Tile<'a> {
    pub(super) cross: &'a Cross<'a>,
    pub(super) users: &'a Users,
    pub(super) ads: &'a Ads,
    /// The places of the tile's ads among all ads.
    pub(super) range: Range<usize>,
}

/// A pair whose probability is known: the user's place in its batch, the ad's place, and the probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scored<T> {
    pub(super) user: u32,
    pub(super) ad: u32,
    pub(super) score: T,
}

/// The type of a probability.
pub(super) trait Number: Copy + PartialOrd + Default + Send + Sync + Into<f64> + 'static {
    /// Computes the probabilities of a tile's pairs, `[users, ads]`; see [`Cross::score_f32`].
    fn score(tile: &Tile<'_>, scratch: &mut Scratch, out: &mut [Self]) -> Result<(), Error>;

    /// Ranks a tile's pairs, `[users, ads]`; see [`Cross::rank_f32`]. By default the ranks are the probabilities.
    fn rank(tile: &Tile<'_>, scratch: &mut Scratch, out: &mut [Self]) -> Result<(), Error> {
        Self::score(tile, scratch, out)
    }

    /// Returns the probability of a rank.
    fn probability(_: &Cross<'_>, rank: Self) -> Self {
        rank
    }

    /// Converts a probability to this precision.
    fn of(probability: f64) -> Self;

    /// Makes a column of numbers.
    fn column(values: Vec<Self>) -> ArrayRef;
}

impl Number for f32 {
    fn score(tile: &Tile<'_>, scratch: &mut Scratch, out: &mut [Self]) -> Result<(), Error> {
        tile.cross.score_f32(tile.users, tile.ads, tile.range.clone(), scratch, out)
    }

    fn rank(tile: &Tile<'_>, scratch: &mut Scratch, out: &mut [Self]) -> Result<(), Error> {
        tile.cross.rank_f32(tile.users, tile.ads, tile.range.clone(), scratch, out)
    }

    fn probability(cross: &Cross<'_>, rank: Self) -> Self {
        cross.probability_f32(rank)
    }

    fn of(probability: f64) -> Self {
        probability as f32
    }

    fn column(values: Vec<Self>) -> ArrayRef {
        Arc::new(Float32Array::from(values))
    }
}

impl Number for f64 {
    fn score(tile: &Tile<'_>, scratch: &mut Scratch, out: &mut [Self]) -> Result<(), Error> {
        tile.cross.score_f64(tile.users, tile.ads, tile.range.clone(), scratch, out)
    }

    fn of(probability: f64) -> Self {
        probability
    }

    fn column(values: Vec<Self>) -> ArrayRef {
        Arc::new(Float64Array::from(values))
    }
}
