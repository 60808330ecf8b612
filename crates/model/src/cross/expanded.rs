//! Factor models to the bit: pairs written out as rows of slots, and scored as rows are.

use std::ops::Range;

use super::{Origin, Scratch};
use crate::calibration::Calibration;
use crate::encode::Slots;
use crate::factors::Factors;

/// Pairs written out at a time, so that their slots stay in the cache.
const ROWS_MAX: usize = 2048;

/// A factor model, and where each of its fields' slots are found.
#[derive(Debug)]
pub(super) struct Expanded<'a> {
    factors: &'a Factors,
    calibration: &'a Calibration,
    origins: Vec<Origin>,
    constants: Vec<Slots>,
}

impl<'a> Expanded<'a> {
    pub(super) fn new(
        factors: &'a Factors,
        calibration: &'a Calibration,
        origins: &[Origin],
        constants: Vec<Slots>,
    ) -> Self {
        Self { factors, calibration, origins: origins.to_vec(), constants }
    }

    /// Probabilities of all users with a range of the ads.
    pub(super) fn score(
        &self,
        users: &[Slots],
        user_rows: usize,
        ads: &[Slots],
        range: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [f64],
    ) {
        let stride = range.len();
        let Scratch { encoded, logits, .. } = scratch;
        for first in range.clone().step_by(ROWS_MAX) {
            let rows = ROWS_MAX.min(range.end - first);
            encoded.rows = rows;
            encoded.columns.clear();
            encoded.columns.extend(self.columns(users, ads, |column, origin| match origin {
                Origin::Ad => column.slice(first..first + rows),
                // A user's column is filled in below.
                Origin::User => Slots::One(Vec::new()),
                Origin::Constant | Origin::Pair => column.repeated(0, rows),
            }));
            for user in 0..user_rows {
                let own = self.origins.iter().zip(&mut encoded.columns);
                let own = own.filter(|(origin, _)| **origin == Origin::User).map(|(_, column)| column);
                for (column, from) in own.zip(users) {
                    *column = from.repeated(user, rows);
                }
                self.factors.logits(encoded, logits);
                let out = &mut out[user * stride + first - range.start..][..rows];
                for (out, &logit) in out.iter_mut().zip(&*logits) {
                    *out = self.calibration.probability(logit);
                }
            }
        }
    }

    /// One column a field, made of the column that its origin has for it.
    fn columns<'b>(
        &'b self,
        users: &'b [Slots],
        ads: &'b [Slots],
        make: impl Fn(&Slots, Origin) -> Slots + 'b,
    ) -> impl Iterator<Item = Slots> + 'b {
        let (mut users, mut ads, mut constants) = (users.iter(), ads.iter(), self.constants.iter());
        self.origins.iter().filter_map(move |&origin| {
            let column = match origin {
                Origin::User => users.next(),
                Origin::Ad => ads.next(),
                Origin::Constant | Origin::Pair => constants.next(),
            };
            column.map(|column| make(column, origin))
        })
    }
}
