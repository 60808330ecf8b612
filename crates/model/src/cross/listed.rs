//! Pairs that a table lists: written out as rows, and scored as rows are.

use super::columns::{Columns, unprepared};
use super::expanded::ROWS_MAX;
use super::pairs::{Ads, Origin, Scratch};
use super::{Cross, Side};
use crate::Error;

/// A pair, by the rows of its user, its ad, and what the table says of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Row of the users' side.
    pub user: u32,
    /// Row of the ads.
    pub ad: u32,
    /// Row of the table's side.
    pub entry: u32,
}

/// The sides that listed pairs are made of.
#[derive(Debug, Clone, Copy)]
pub struct ListedSides<'a> {
    /// The users.
    pub users: &'a Side,
    /// The ads.
    pub ads: &'a Ads,
    /// The table of pairs.
    pub table: &'a Side,
}

impl Cross<'_> {
    /// Predicts the click probability of some pairs whose pair features a table has, calibrated, in f64.
    ///
    /// # Shapes
    /// `out`: one a pair, overwritten.
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) for sides of another model.
    /// # Panics
    /// If a row is beyond its side.
    pub fn score_listed(
        &self,
        sides: ListedSides<'_>,
        pairs: &[Listed],
        scratch: &mut Scratch,
        out: &mut Vec<f64>,
    ) -> Result<(), Error> {
        out.clear();
        let ads = sides.ads.columns.as_ref().ok_or_else(unprepared)?;
        let calibration = &self.model.artifact().manifest().calibration;
        let Scratch { rows: scratch, log_odds, .. } = scratch;
        let side = |origin: &Origin| match origin {
            Origin::User => 0,
            Origin::Ad => 1,
            Origin::Constant => 2,
            Origin::Pair => 3,
        };
        let side_of: Vec<usize> = self.origins.iter().map(side).collect();
        for pairs in pairs.chunks(ROWS_MAX) {
            let rows = |row: fn(&Listed) -> u32| pairs.iter().map(|pair| row(pair) as usize).collect::<Vec<_>>();
            let parts = [
                sides.users.columns.gathered(&rows(|pair| pair.user)),
                ads.gathered(&rows(|pair| pair.ad)),
                self.constants.repeated(0, pairs.len()),
                sides.table.columns.gathered(&rows(|pair| pair.entry)),
            ];
            let columns = Columns::merged(parts, &side_of)?;
            self.model.family().log_odds_of(&columns, pairs.len(), scratch, log_odds)?;
            calibration.apply(log_odds);
            out.extend_from_slice(log_odds);
        }
        Ok(())
    }
}
