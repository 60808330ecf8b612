//! Tree ensembles over pairs.

use std::ops::Range;

use super::columns::{Columns, unprepared};
use super::pairs::{Ads, Origin, Pairs, Prepared, Scratch, Users};
use crate::Error;
use crate::calibration::Calibration;
use crate::trees::{CrossLeft, CrossPlan, CrossRight, CrossScratch, Ensemble, PlanError, TreeColumn};

/// Ads and users of a block, for which [`CrossPlan`] is fastest.
const ADS_STEP: usize = 1024;
const USERS_STEP: usize = 256;
/// Bytes of a prepared ad for each tree: about 10 KB for 500 trees of 63 leaves.
const AD_BYTES_PER_TREE: usize = 24;

/// An ensemble, and where each of its features is found.
#[derive(Debug)]
pub(crate) struct TreePairs<'a> {
    ensemble: &'a Ensemble,
    calibration: &'a Calibration,
    plan: CrossPlan,
    origins: Vec<Origin>,
    /// One number for each constant feature.
    constants: Vec<f64>,
}

impl<'a> TreePairs<'a> {
    /// `constants` has a column of one row for each constant feature.
    pub(crate) fn new(
        ensemble: &'a Ensemble,
        calibration: &'a Calibration,
        origins: &[Origin],
        constants: &[Vec<f64>],
    ) -> Result<Self, Error> {
        let left: Vec<bool> = origins.iter().map(|&origin| origin != Origin::Ad).collect();
        let constants = constants.iter().filter_map(|column| column.first().copied()).collect();
        let plan = CrossPlan::new(ensemble, &left).map_err(invalid)?;
        Ok(Self { ensemble, calibration, plan, origins: origins.to_vec(), constants })
    }

    /// Returns one column a feature; those of the other side are missing.
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

impl Pairs for TreePairs<'_> {
    fn ad_bytes(&self) -> usize {
        let features = self.origins.iter().filter(|&&origin| origin == Origin::Ad).count();
        8 * features + AD_BYTES_PER_TREE * self.ensemble.trees().len()
    }

    fn ads_step(&self) -> usize {
        ADS_STEP
    }

    fn users_step(&self) -> usize {
        USERS_STEP
    }

    fn ads(&self, columns: Columns, rows: usize) -> Result<Prepared, Error> {
        let Columns::Numbers(numbers) = &columns else { return Err(unprepared()) };
        let mut scratch = CrossScratch::default();
        let blocks = (0..rows).step_by(ADS_STEP).map(|first| {
            let range = first..(first + ADS_STEP).min(rows);
            let columns = self.columns(Origin::Ad, numbers, &range);
            let mut side = CrossRight::default();
            self.plan.right(&columns, range.len(), &mut scratch, &mut side).map_err(invalid)?;
            Ok(side)
        });
        Ok(Prepared::TreeAds(blocks.collect::<Result<_, Error>>()?))
    }

    /// Prepares users; the constants go with them.
    fn users(&self, columns: &Columns, range: Range<usize>) -> Result<Prepared, Error> {
        let Columns::Numbers(numbers) = columns else { return Err(unprepared()) };
        let columns = self.columns(Origin::User, numbers, &range);
        let mut side = CrossLeft::default();
        self.plan.left(&columns, range.len(), &mut CrossScratch::default(), &mut side).map_err(invalid)?;
        Ok(Prepared::TreeUsers(side))
    }

    fn score(
        &self,
        users: &Users,
        ads: &Ads,
        range: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let (Prepared::TreeUsers(users), Prepared::TreeAds(blocks)) = (&users.form, &ads.form) else {
            return Err(unprepared());
        };
        let blocks = &blocks[range.start / ADS_STEP..range.end.div_ceil(ADS_STEP)];
        let stride: usize = blocks.iter().map(CrossRight::rows).sum();
        let Scratch { trees, log_odds, .. } = scratch;
        let mut first = 0;
        for block in blocks {
            let rows = block.rows();
            log_odds.resize(users.rows() * rows, 0.0);
            self.plan.score(users, block, trees, log_odds).map_err(invalid)?;
            self.ensemble.to_log_odds(log_odds);
            self.calibration.apply(log_odds);
            for (user, probabilities) in log_odds.chunks_exact(rows).enumerate() {
                out[user * stride + first..][..rows].copy_from_slice(probabilities);
            }
            first += rows;
        }
        Ok(())
    }
}

fn invalid(error: PlanError) -> Error {
    Error::invalid(error.to_string())
}
