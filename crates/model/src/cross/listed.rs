//! Pairs that a table lists: written out as rows, and scored as rows are.

use super::{Ads, Columns, Cross, Origin, Scratch, Side, unprepared};
use crate::Error;
use crate::model::Predictor;

/// Pairs written out at a time, so that their values stay in the cache.
const ROWS_MAX: usize = 2048;

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

impl Cross<'_> {
    /// Predicts the click probability of some pairs whose pair features a table has, calibrated, in f64.
    ///
    /// # Shapes
    /// `out`: one a pair, overwritten.
    /// # Errors
    /// [`Error::Unfit`] for sides of another model.
    /// # Panics
    /// Where a row is beyond its side.
    pub fn score_listed(
        &self,
        (users, ads, table): (&Side, &Ads, &Side),
        pairs: &[Listed],
        scratch: &mut Scratch,
        out: &mut Vec<f64>,
    ) -> Result<(), Error> {
        out.clear();
        let ads = ads.columns.as_ref().ok_or_else(unprepared)?;
        let sides = [&users.columns, ads, &self.constants, &table.columns];
        for pairs in pairs.chunks(ROWS_MAX) {
            match self.model.predictor() {
                Predictor::Factors { factors, .. } => {
                    let slots = sides.map(|side| if let Columns::Slots(slots) = side { slots.as_slice() } else { &[] });
                    let Scratch { encoded, logits, .. } = scratch;
                    encoded.rows = pairs.len();
                    encoded.columns = self.gathered(slots, pairs, |column, rows| column.gathered(rows))?;
                    factors.logits(encoded, logits);
                    let calibration = &self.model.artifact().manifest().calibration;
                    out.extend(logits.iter().map(|&logit| calibration.probability(logit)));
                }
                Predictor::Trees(forest) => {
                    let numbers = sides.map(|side| if let Columns::Numbers(own) = side { own.as_slice() } else { &[] });
                    let columns =
                        self.gathered(numbers, pairs, |column, rows| rows.iter().map(|&row| column[row]).collect())?;
                    forest.score_numbers(&columns, pairs.len(), &mut scratch.rows, &mut scratch.wide)?;
                    out.extend_from_slice(&scratch.wide);
                }
            }
        }
        Ok(())
    }

    /// One column a feature, of the pairs' rows; the sides are users, ads, constants and table.
    fn gathered<C>(
        &self,
        sides: [&[C]; 4],
        pairs: &[Listed],
        gather: impl Fn(&C, &[usize]) -> C,
    ) -> Result<Vec<C>, Error> {
        let rows: [Vec<usize>; 4] = [
            pairs.iter().map(|pair| pair.user as usize).collect(),
            pairs.iter().map(|pair| pair.ad as usize).collect(),
            vec![0; pairs.len()],
            pairs.iter().map(|pair| pair.entry as usize).collect(),
        ];
        let mut sides = sides.map(<[C]>::iter);
        let column = |origin: &Origin| {
            let side = match origin {
                Origin::User => 0,
                Origin::Ad => 1,
                Origin::Constant => 2,
                Origin::Pair => 3,
            };
            let column = sides[side].next().ok_or_else(unprepared)?;
            Ok(gather(column, &rows[side]))
        };
        self.origins.iter().map(column).collect()
    }
}
