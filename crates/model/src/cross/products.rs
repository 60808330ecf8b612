//! Factor models as matrix products: a pair's log-odds are a user's offset, an ad's offset, and an inner product.

use std::ops::Range;

use clickcast_kernel::cross::{GROUP, LANES, logistic, pair_logits};

use super::columns::{Columns, unprepared};
use super::pairs::{Ads, Origin, Pairs, Prepared, Scratch, Users};
use crate::Error;
use crate::calibration::{Calibration, Staircase};
use crate::encode::Slots;
use crate::factors::{FactorFamily, Factors};

/// A range of ads begins at panels of the kernel; wider steps make good tiles.
const ADS_STEP: usize = 64;
/// Users of a tile, whose rows of results stay in the first-level cache until they are probabilities.
const TILE_USERS: usize = 8;
/// Ads of a tile at most.
const TILE_ADS: usize = 512;
/// Bytes of a tile's ads at most: they stay in the second-level cache from user to user.
const TILE_BYTES: usize = 256 * 1024;
/// The steepest staircase that f32 sums may go through: an error of 1e-6 in the log-odds stays below half of
/// that in the probability.
const STEEPNESS_MAX: f64 = 0.5;

/// A factor model, its fields sorted by what gives them.
///
/// Constants are folded into both offsets: with `U`, `A`, `C` for the fields of each origin, a user's offset
/// holds the interplay within `U + C`, an ad's that within `A` and of `A` with `C`; the product is `U` with `A`.
#[derive(Debug)]
pub(crate) struct Products<'a> {
    factors: &'a Factors,
    users: Vec<usize>,
    ads: Vec<usize>,
    /// Fields and their vectors.
    constants: Vec<(usize, Vec<f32>)>,
    /// Log-odds of the intercept and the constants alone.
    base: f64,
    /// A calibration that is a straight line is folded into the offsets and vectors.
    slope: f64,
    shift: f64,
    staircase: Option<Staircase<'a>>,
}

impl<'a> Products<'a> {
    /// Returns `None` if f32 sums would not be near enough.
    pub(crate) fn new(
        factors: &'a Factors,
        calibration: &'a Calibration,
        origins: &[Origin],
        constants: &[Slots],
    ) -> Option<Self> {
        let (slope, shift, staircase) = match calibration {
            Calibration::Identity => (1.0, 0.0, None),
            Calibration::Platt { slope, intercept } => (*slope, *intercept, None),
            Calibration::Isotonic { .. } if steepness(calibration) > STEEPNESS_MAX => return None,
            Calibration::Isotonic { log_odds, probabilities } => {
                (1.0, 0.0, Some(Staircase::new(log_odds, probabilities)))
            }
        };
        let of = |wanted: Origin| {
            let fields = origins.iter().enumerate().filter(move |(_, origin)| **origin == wanted);
            fields.map(|(field, _)| field).collect::<Vec<_>>()
        };
        let mut room = vec![0.0; factors.room(constants)];
        let vectors = factors.vectors(constants, 0, &mut room);
        let constants = of(Origin::Constant).into_iter().zip(vectors.iter().map(|vector| vector.to_vec())).collect();
        let (users, ads) = (of(Origin::User), of(Origin::Ad));
        let mut products = Self { factors, users, ads, constants, base: 0.0, slope, shift, staircase };
        products.base = f64::from(factors.intercept()) + products.within(&products.constants());
        Some(products)
    }

    /// Returns the length of the vectors whose inner product is taken.
    fn width(&self) -> usize {
        let shape = self.factors.shape();
        match shape.family {
            FactorFamily::Lr => 0,
            FactorFamily::Fm => shape.k,
            FactorFamily::Ffm => self.users.len() * self.ads.len() * shape.k,
        }
    }

    /// Lays users out as the kernel takes them.
    fn laid_users(&self, columns: &[Slots], range: Range<usize>) -> Vec<f32> {
        let mut laid = Laid::new(range.len(), self.width(), GROUP);
        let constants = self.constants();
        self.each(&self.users, columns, range, |row, fields| {
            let offset = self.base + self.within(fields) + self.between(fields, &constants);
            let vector = self.vector(fields, &self.ads, false);
            laid.set(row, self.slope * offset + self.shift, vector.map(|value| self.slope * value));
        });
        laid.values
    }

    /// Lays all ads out as the kernel takes them.
    fn laid_ads(&self, columns: &[Slots], rows: usize) -> Vec<f32> {
        let mut laid = Laid::new(rows, self.width(), LANES);
        let constants = self.constants();
        self.each(&self.ads, columns, 0..rows, |row, fields| {
            let offset = self.within(fields) + self.between(fields, &constants);
            laid.set(row, self.slope * offset, self.vector(fields, &self.users, true));
        });
        laid.values
    }

    /// Computes the log-odds of all users with a range of the ads, or the probabilities where these cost next to nothing.
    fn multiply(&self, groups: &[f32], users: usize, panels: &[f32], ads: Range<usize>, out: &mut [f32]) {
        let (width, stride) = (self.width(), ads.len());
        let length = 1 + width;
        let tile_ads = (TILE_BYTES / (4 * length) / LANES * LANES).clamp(LANES, TILE_ADS);
        for first_ad in ads.clone().step_by(tile_ads) {
            let count = tile_ads.min(ads.end - first_ad);
            for first_user in (0..users).step_by(TILE_USERS) {
                let tile_users = TILE_USERS.min(users - first_user);
                let first = first_user * stride + first_ad - ads.start;
                let (groups, panels) = (&groups[first_user * length..], &panels[first_ad * length..]);
                pair_logits(groups, tile_users, panels, count, width, &mut out[first..], stride);
                if self.staircase.is_none() {
                    for user in 0..tile_users {
                        logistic(&mut out[first + user * stride..][..count]);
                    }
                }
            }
        }
    }

    fn constants(&self) -> Vec<(usize, &[f32])> {
        self.constants.iter().map(|(field, vector)| (*field, vector.as_slice())).collect()
    }

    /// Calls `each(number of the row in the range, fields with their vectors)`.
    fn each(
        &self,
        fields: &[usize],
        columns: &[Slots],
        range: Range<usize>,
        mut each: impl FnMut(usize, &[(usize, &[f32])]),
    ) {
        let mut room = vec![0.0; self.factors.room(columns)];
        for (number, row) in range.enumerate() {
            let vectors = self.factors.vectors(columns, row, &mut room);
            let fields: Vec<_> = fields.iter().copied().zip(vectors).collect();
            each(number, &fields);
        }
    }

    /// Linear weights of some fields, and their interplay: that of an FM by its equation 6 (Rendle, 2010).
    fn within(&self, fields: &[(usize, &[f32])]) -> f64 {
        let shape = self.factors.shape();
        let linear: f64 = fields.iter().map(|(field, vector)| f64::from(vector[shape.linear(*field)])).sum();
        let interplay: f64 = match shape.family {
            FactorFamily::Lr => 0.0,
            FactorFamily::Fm => {
                let (mut sums, mut squares) = (vec![0.0; shape.k], vec![0.0; shape.k]);
                for (_, vector) in fields {
                    for ((sum, square), &value) in sums.iter_mut().zip(&mut squares).zip(&vector[1..]) {
                        *sum += f64::from(value);
                        *square += f64::from(value) * f64::from(value);
                    }
                }
                sums.iter().zip(&squares).map(|(sum, square)| (sum * sum - square) / 2.0).sum()
            }
            FactorFamily::Ffm => {
                fields.iter().enumerate().map(|(index, one)| self.between(&[*one], &fields[index + 1..])).sum()
            }
        };
        linear + interplay
    }

    /// Returns the interplay of each of `fields` with each of `others`.
    fn between(&self, fields: &[(usize, &[f32])], others: &[(usize, &[f32])]) -> f64 {
        let mut total = 0.0;
        for &(field, vector) in fields {
            for &(other, other_vector) in others {
                let (left, right) = (self.facing(vector, other), self.facing(other_vector, field));
                total += left.iter().zip(right).map(|(&l, &r)| f64::from(l) * f64::from(r)).sum::<f64>();
            }
        }
        total
    }

    /// Returns the part of a vector that meets a field's.
    fn facing<'b>(&self, vector: &'b [f32], field: usize) -> &'b [f32] {
        let shape = self.factors.shape();
        match shape.family {
            FactorFamily::Lr => &[],
            FactorFamily::Fm => &vector[1..],
            FactorFamily::Ffm => &vector[field * shape.k..][..shape.k],
        }
    }

    /// Returns what the product is taken of: a sum for an FM; for an FFM a block for each user field and ad field, in
    /// the order of the user fields on both sides.
    fn vector(&self, fields: &[(usize, &[f32])], others: &[usize], others_first: bool) -> impl Iterator<Item = f64> {
        let shape = self.factors.shape();
        let mut vector = vec![0.0; self.width()];
        match shape.family {
            FactorFamily::Lr => {}
            FactorFamily::Fm => {
                for (_, own) in fields {
                    vector.iter_mut().zip(&own[1..]).for_each(|(sum, &value)| *sum += f64::from(value));
                }
            }
            FactorFamily::Ffm => {
                for (index, (_, own)) in fields.iter().enumerate() {
                    for (place, &other) in others.iter().enumerate() {
                        let (row, column, columns) =
                            if others_first { (place, index, fields.len()) } else { (index, place, others.len()) };
                        let block = &mut vector[(row * columns + column) * shape.k..][..shape.k];
                        block.iter_mut().zip(self.facing(own, other)).for_each(|(to, &from)| *to = f64::from(from));
                    }
                }
            }
        }
        vector.into_iter()
    }
}

impl Pairs for Products<'_> {
    fn ad_bytes(&self) -> usize {
        4 * (1 + self.width() + self.ads.len())
    }

    fn ads_step(&self) -> usize {
        ADS_STEP
    }

    fn users_step(&self) -> usize {
        GROUP
    }

    fn ads(&self, columns: Columns, rows: usize) -> Result<Prepared, Error> {
        let Columns::Slots(slots) = &columns else { return Err(unprepared()) };
        Ok(Prepared::Laid(self.laid_ads(slots, rows)))
    }

    fn users(&self, columns: &Columns, range: Range<usize>) -> Result<Prepared, Error> {
        let Columns::Slots(slots) = columns else { return Err(unprepared()) };
        Ok(Prepared::Laid(self.laid_users(slots, range)))
    }

    fn score(
        &self,
        users: &Users,
        ads: &Ads,
        range: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let mut narrow = vec![0.0; users.rows * range.len()];
        self.rank(users, ads, range, scratch, &mut narrow)?;
        self.probabilities(&mut narrow);
        out.iter_mut().zip(&narrow).for_each(|(out, &value)| *out = f64::from(value));
        Ok(())
    }

    fn rank(
        &self,
        users: &Users,
        ads: &Ads,
        range: Range<usize>,
        _: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(), Error> {
        let (Prepared::Laid(groups), Prepared::Laid(panels)) = (&users.form, &ads.form) else {
            return Err(unprepared());
        };
        self.multiply(groups, users.rows, panels, range, out);
        Ok(())
    }

    fn probabilities(&self, ranks: &mut [f32]) {
        if let Some(staircase) = &self.staircase {
            ranks.iter_mut().for_each(|value| *value = staircase.probability(f64::from(*value)) as f32);
        }
    }
}

/// Rows side by side, as the kernel takes them: `[rows / lanes, 1 + width, lanes]`.
struct Laid {
    values: Vec<f32>,
    width: usize,
    lanes: usize,
}

impl Laid {
    fn new(rows: usize, width: usize, lanes: usize) -> Self {
        Self { values: vec![0.0; rows.div_ceil(lanes) * (1 + width) * lanes], width, lanes }
    }

    fn set(&mut self, row: usize, offset: f64, vector: impl Iterator<Item = f64>) {
        let first = row / self.lanes * (1 + self.width) * self.lanes + row % self.lanes;
        let places = self.values[first..].iter_mut().step_by(self.lanes);
        for (to, from) in places.zip(std::iter::once(offset).chain(vector)) {
            *to = from as f32;
        }
    }
}

/// Returns the most that the probability rises for each unit of log-odds.
fn steepness(calibration: &Calibration) -> f64 {
    let Calibration::Isotonic { log_odds, probabilities } = calibration else { return 0.0 };
    let steps = log_odds.windows(2).zip(probabilities.windows(2));
    steps.map(|(x, y)| (y[1] - y[0]) / (x[1] - x[0])).fold(0.0, f64::max)
}
