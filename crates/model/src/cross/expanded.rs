//! Pairs written out as rows: for any family, and for factor models to the bit.

use std::ops::Range;

use super::columns::{Columns, unprepared};
use super::pairs::{Ads, Origin, Pairs, Prepared, Scratch, Users};
use crate::Error;
use crate::calibration::Calibration;
use crate::family_model::FamilyModel;

/// Pairs written out at a time, so that their columns stay in the cache.
pub(super) const ROWS_MAX: usize = 2048;
/// Ads that a range is a multiple of: wide steps make good tiles.
const ADS_STEP: usize = 64;

/// A model, and where each of its features' columns are found.
#[derive(Debug)]
pub(super) struct Expanded<'a> {
    family: &'a dyn FamilyModel,
    calibration: &'a Calibration,
    /// Each feature's side: 0 for users, 1 for ads, 2 for constants.
    sides: Vec<usize>,
    is_of_user: Vec<bool>,
    constants: Columns,
}

impl<'a> Expanded<'a> {
    /// `constants` has one row.
    pub(super) fn new(
        family: &'a dyn FamilyModel,
        calibration: &'a Calibration,
        origins: Vec<Origin>,
        constants: Columns,
    ) -> Self {
        let side = |origin: &Origin| match origin {
            Origin::User => 0,
            Origin::Ad => 1,
            Origin::Constant | Origin::Pair => 2,
        };
        let sides: Vec<usize> = origins.iter().map(side).collect();
        let is_of_user = sides.iter().map(|&side| side == 0).collect();
        Self { family, calibration, sides, is_of_user, constants }
    }
}

impl Pairs for Expanded<'_> {
    fn ad_bytes(&self) -> usize {
        8 * self.sides.iter().filter(|&&side| side == 1).count()
    }

    fn ads_step(&self) -> usize {
        ADS_STEP
    }

    fn users_step(&self) -> usize {
        1
    }

    fn ads(&self, columns: Columns, _: usize) -> Result<Prepared, Error> {
        Ok(Prepared::Columns(columns))
    }

    fn users(&self, columns: &Columns, range: Range<usize>) -> Result<Prepared, Error> {
        Ok(Prepared::Columns(columns.slice(range)))
    }

    fn score(
        &self,
        users: &Users,
        ads: &Ads,
        range: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let (Prepared::Columns(own), Prepared::Columns(ads)) = (&users.form, &ads.form) else {
            return Err(unprepared());
        };
        let stride = range.len();
        let Scratch { rows: scratch, log_odds, .. } = scratch;
        for first in range.clone().step_by(ROWS_MAX) {
            let rows = ROWS_MAX.min(range.end - first);
            let mut expanded: Option<Columns> = None;
            for user in 0..users.rows {
                let of_user = own.repeated(user, rows);
                let columns = match &mut expanded {
                    // The other sides' columns stay from user to user.
                    Some(columns) => {
                        columns.replace(of_user, &self.is_of_user);
                        &*columns
                    }
                    None => {
                        let parts = [of_user, ads.slice(first..first + rows), self.constants.repeated(0, rows)];
                        expanded.insert(Columns::merged(parts, &self.sides)?)
                    }
                };
                self.family.log_odds_of(columns, rows, scratch, log_odds)?;
                self.calibration.apply(log_odds);
                out[user * stride + first - range.start..][..rows].copy_from_slice(log_odds);
            }
        }
        Ok(())
    }
}
