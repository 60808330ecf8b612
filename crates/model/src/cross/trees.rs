//! Tree ensembles over pairs.

use std::ops::Range;

use super::{Origin, Scratch};
use crate::Error;
use crate::forest::Forest;
use crate::trees::{CrossLeft, CrossPlan, CrossRight, CrossScratch, PlanError, TreeColumn};

/// Ads and users of a block, of which [`CrossPlan`] is fastest.
pub(super) const ADS_STEP: usize = 1024;
pub(super) const USERS_STEP: usize = 256;
/// Bytes of a prepared ad for each tree: about 10 KB for 500 trees of 63 leaves.
const AD_BYTES_PER_TREE: usize = 24;

/// An ensemble, and where each of its features is found.
#[derive(Debug)]
pub(super) struct TreePairs<'a> {
    forest: &'a Forest,
    plan: CrossPlan,
    origins: Vec<Origin>,
    /// One number for each constant feature.
    constants: Vec<f64>,
}

impl<'a> TreePairs<'a> {
    /// `constants` has a column of one row for each constant feature.
    pub(super) fn new(forest: &'a Forest, origins: &[Origin], constants: &[Vec<f64>]) -> Result<Self, Error> {
        let left: Vec<bool> = origins.iter().map(|&origin| origin != Origin::Ad).collect();
        let constants = constants.iter().filter_map(|column| column.first().copied()).collect();
        let plan = CrossPlan::new(forest.ensemble(), &left).map_err(unfit)?;
        Ok(Self { forest, plan, origins: origins.to_vec(), constants })
    }

    /// Bytes of a prepared ad.
    pub(super) fn ad_bytes(&self) -> usize {
        AD_BYTES_PER_TREE * self.forest.ensemble().trees().len()
    }

    /// Some users; the constants go with them.
    pub(super) fn users(&self, numbers: &[Vec<f64>], range: Range<usize>) -> Result<CrossLeft, Error> {
        let columns = self.columns(Origin::User, numbers, &range);
        let mut side = CrossLeft::default();
        self.plan.left(&columns, range.len(), &mut CrossScratch::default(), &mut side).map_err(unfit)?;
        Ok(side)
    }

    /// All ads, in blocks of [`ADS_STEP`].
    pub(super) fn ads(&self, numbers: &[Vec<f64>], rows: usize) -> Result<Vec<CrossRight>, Error> {
        let mut scratch = CrossScratch::default();
        let blocks = (0..rows).step_by(ADS_STEP).map(|first| {
            let range = first..(first + ADS_STEP).min(rows);
            let columns = self.columns(Origin::Ad, numbers, &range);
            let mut side = CrossRight::default();
            self.plan.right(&columns, range.len(), &mut scratch, &mut side).map_err(unfit)?;
            Ok(side)
        });
        blocks.collect()
    }

    /// Probabilities of all users with the ads of some blocks.
    pub(super) fn score(
        &self,
        users: &CrossLeft,
        blocks: &[CrossRight],
        scratch: &mut Scratch,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let stride: usize = blocks.iter().map(CrossRight::rows).sum();
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
