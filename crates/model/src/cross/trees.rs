//! Tree ensembles over pairs.

use std::ops::Range;

use super::{Origin, Scratch};
use crate::Error;
use crate::forest::Forest;
use crate::trees::{Plan, PlanError, Scratch as PlanScratch, TreeColumn};

/// Ads of a block: long enough to be worth the walk through the trees, short enough for the cache.
pub(super) const ADS_STEP: usize = 1024;
/// Users that share a walk.
pub(super) const USERS_STEP: usize = 256;

/// Users ready for pairs.
pub(super) type UserBlock = PairSide;
/// Ads ready for pairs.
pub(super) type AdBlock = PairSide;

/// An ensemble, and where each of its features is found.
#[derive(Debug)]
pub(super) struct TreePairs<'a> {
    forest: &'a Forest,
    plan: PairPlan<'a>,
    origins: Vec<Origin>,
    /// One number for each constant feature.
    constants: Vec<f64>,
}

impl<'a> TreePairs<'a> {
    /// `constants` has a column of one row for each constant feature.
    pub(super) fn new(forest: &'a Forest, origins: &[Origin], constants: &[Vec<f64>]) -> Self {
        let left: Vec<bool> = origins.iter().map(|&origin| origin != Origin::Ad).collect();
        let constants = constants.iter().filter_map(|column| column.first().copied()).collect();
        Self { forest, plan: PairPlan::new(forest.plan(), left), origins: origins.to_vec(), constants }
    }

    /// Bytes of a prepared ad.
    pub(super) fn ad_bytes(&self) -> usize {
        8 * self.origins.len()
    }

    /// Some users; the constants go with them.
    pub(super) fn users(&self, numbers: &[Vec<f64>], range: Range<usize>) -> Result<UserBlock, Error> {
        let columns = self.columns(Origin::User, numbers, &range);
        self.plan.left(&columns, range.len()).map_err(unfit)
    }

    /// All ads, in blocks of [`ADS_STEP`].
    pub(super) fn ads(&self, numbers: &[Vec<f64>], rows: usize) -> Result<Vec<AdBlock>, Error> {
        let blocks = (0..rows).step_by(ADS_STEP).map(|first| {
            let range = first..(first + ADS_STEP).min(rows);
            let columns = self.columns(Origin::Ad, numbers, &range);
            self.plan.right(&columns, range.len()).map_err(unfit)
        });
        blocks.collect()
    }

    /// Probabilities of all users with the ads of some blocks.
    pub(super) fn score(
        &self,
        users: &UserBlock,
        blocks: &[AdBlock],
        scratch: &mut Scratch,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let stride: usize = blocks.iter().map(AdBlock::rows).sum();
        let Scratch { trees, raw, .. } = scratch;
        let mut first = 0;
        for block in blocks {
            let rows = block.rows();
            raw.resize(users.rows() * rows, 0.0);
            self.plan.score(users, block, trees, raw).map_err(unfit)?;
            for (user, raw) in raw.chunks_exact(rows).enumerate() {
                let out = &mut out[user * stride + first..][..rows];
                out.iter_mut().zip(raw).for_each(|(out, &raw)| *out = self.forest.ensemble().probability(raw));
            }
            first += rows;
        }
        Ok(())
    }

    /// One column a feature, of which those of the other side are missing.
    fn columns<'b>(&self, side: Origin, numbers: &'b [Vec<f64>], range: &Range<usize>) -> Vec<TreeColumn<'b>> {
        let (mut own, mut constants) = (numbers.iter(), self.constants.iter());
        let column = |origin: &Origin| match origin {
            Origin::Constant => constants.next().map(|&value| TreeColumn::Constant(value)),
            origin if *origin == side => own.next().map(|column| TreeColumn::F64(&column[range.clone()])),
            _ => None,
        };
        let columns = self.origins.iter().map(column);
        columns.map(|column| column.unwrap_or(TreeColumn::Constant(f64::NAN))).collect()
    }
}

fn unfit(error: PlanError) -> Error {
    Error::Unfit(error.to_string())
}

/// Scores pairs by the rows' plan: a user's ads at a time, the user's features constant.
#[derive(Debug)]
struct PairPlan<'a> {
    plan: &'a Plan,
    /// Which features are the left side's; the others are the right side's.
    left: Vec<bool>,
}

/// Some rows of one side: one column a feature, of which the other side's are not looked at.
#[derive(Debug)]
pub(super) struct PairSide {
    rows: usize,
    columns: Vec<Vec<f64>>,
}

impl PairSide {
    fn rows(&self) -> usize {
        self.rows
    }
}

impl<'a> PairPlan<'a> {
    fn new(plan: &'a Plan, left: Vec<bool>) -> Self {
        Self { plan, left }
    }

    fn left(&self, columns: &[TreeColumn<'_>], rows: usize) -> Result<PairSide, PlanError> {
        Ok(side(columns, rows))
    }

    fn right(&self, columns: &[TreeColumn<'_>], rows: usize) -> Result<PairSide, PlanError> {
        Ok(side(columns, rows))
    }

    /// Raw scores, row-major by the left side's rows; bit-equal to the rows' plan.
    fn score(
        &self,
        left: &PairSide,
        right: &PairSide,
        scratch: &mut PlanScratch,
        out: &mut [f64],
    ) -> Result<(), PlanError> {
        for (row, out) in out.chunks_exact_mut(right.rows).enumerate() {
            let sides = left.columns.iter().zip(&right.columns).zip(&self.left);
            let columns = sides.map(|((own, other), is_left)| match is_left {
                true => TreeColumn::Constant(own[row]),
                false => TreeColumn::F64(other),
            });
            self.plan.score(&columns.collect::<Vec<_>>(), right.rows, scratch, out)?;
        }
        Ok(())
    }
}

fn side(columns: &[TreeColumn<'_>], rows: usize) -> PairSide {
    let column = |column: &TreeColumn<'_>| match column {
        TreeColumn::F32(values) => values[..rows].iter().map(|&value| f64::from(value)).collect(),
        TreeColumn::F64(values) => values[..rows].to_vec(),
        TreeColumn::Coded { codes, values } => codes[..rows].iter().map(|&code| values[code as usize]).collect(),
        TreeColumn::Constant(value) => vec![*value; rows],
    };
    PairSide { rows, columns: columns.iter().map(column).collect() }
}
