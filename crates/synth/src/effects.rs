//! The log-odds of a click, as a sum of parts of fixed strength.
//!
//! Each part's strength is set by a sample, so that every seed gives about the same click rate and the same difficulty.

use std::f64::consts::TAU;

use super::calendar::Calendar;
use super::random::{Field, RANK, Stream, hash, normal, vector};
use super::world::{Ad, Context, User, World};

/// Clicks per impression.
pub(super) const CLICK_RATE: f64 = 0.025;

/// Parts of the log-odds, each with its standard deviation over impressions. Together 1.25, which makes the best
/// possible AUC about `normal_cdf(1.25 / sqrt(2))` = 0.81; a model without pairs of features stays far below.
const PARTS: usize = 4;
const DEVIATIONS: [f64; PARTS] = [0.45, 0.55, 0.55, 0.85];

/// How fast drifting weights turn into others: the correlation of two days' weights is the cosine of the angle between.
const DRIFT_RADIANS_PER_DAY: f64 = 0.05;

/// Impressions drawn to set strengths and click rate, which makes the rate accurate to 1.5 %.
const SAMPLE: u64 = 1 << 14;

/// The log-odds of a click: `bias + Σ gain × part`.
pub(super) struct Effects {
    seed: u64,
    gains: [f64; PARTS],
    bias: f64,
}

impl Effects {
    /// Sets strengths and click rate by impressions spread evenly over all `days`.
    pub(super) fn fit(world: &World, calendar: &Calendar, days: u32) -> Self {
        let mut effects = Self { seed: world.seed, gains: [1.0; PARTS], bias: 0.0 };
        let sample: Vec<[f64; PARTS]> = (0..SAMPLE)
            .map(|index| {
                let mut stream = Stream::new(world.seed, Field::Fit, index);
                let moment = calendar.at(stream.below(u64::from(days)) as u32, stream.unit());
                let (user, ad, context) = world.impression(&mut stream, moment);
                effects.parts(&user, &ad, &context)
            })
            .collect();
        for (part, gain) in effects.gains.iter_mut().enumerate() {
            let deviation = standard_deviation(sample.iter().map(|parts| parts[part]));
            // With one user or one ad a part may be constant, and then carries no information.
            *gain = if deviation > 1e-9 { DEVIATIONS[part] / deviation } else { 0.0 };
        }
        let log_odds: Vec<f64> = sample.iter().map(|parts| effects.weigh(parts)).collect();
        effects.bias = bias_for(&log_odds, CLICK_RATE);
        effects
    }

    /// The true probability of a click.
    pub(super) fn click_probability(&self, user: &User, ad: &Ad, context: &Context) -> f64 {
        sigmoid(self.bias + self.weigh(&self.parts(user, ad, context)))
    }

    /// Returns the parts before their gains: user, ad, circumstances, pairs.
    fn parts(&self, user: &User, ad: &Ad, context: &Context) -> [f64; PARTS] {
        let drift = Drift::of(context.moment.day);
        [
            self.user_part(user),
            self.ad_part(ad, context, drift),
            self.context_part(context, drift),
            self.pair_part(user, ad, context, drift),
        ]
    }

    fn user_part(&self, user: &User) -> f64 {
        let age = user.age.map_or(-0.3, |age| 0.5 - ((f64::from(age) - 34.0) / 20.0).powi(2));
        let install = user.days_since_install.map_or(0.2, |days| 0.5 - 0.12 * f64::from(days).ln_1p());
        let carrier = user.carrier.map_or(0, |carrier| carrier as u64 + 1);
        let interests = self.pool_interests(user, |code| [self.weight(Field::InterestEffect, code); 1]);
        0.6 * age
            + install
            + 0.4 * (f64::from(user.sessions).ln_1p() - 1.5)
            + 0.6 * self.weight(Field::CountryEffect, user.country as u64)
            + 0.5 * self.weight(Field::DeviceEffect, user.device as u64)
            + 0.3 * self.weight(Field::OsEffect, user.system as u64)
            + 0.2 * self.weight(Field::CarrierEffect, carrier)
            + 0.6 * interests[0]
            + 0.5 * self.weight(Field::UserEffect, user.index)
    }

    fn ad_part(&self, ad: &Ad, context: &Context, drift: Drift) -> f64 {
        let bid = ad.bid.map_or(0.1, f64::ln);
        0.6 * self.drifting(Field::CategoryEffect, ad.category as u64, drift)
            + 0.5 * self.weight(Field::AdvertiserEffect, ad.advertiser as u64)
            + 0.4 * self.weight(Field::CampaignEffect, ad.campaign as u64)
            + 0.4 * self.weight(Field::AdEffect, ad.index as u64)
            + 0.7 * self.weight(Field::FormatEffect, ad.format as u64)
            + 0.3 * bid
            - 0.25 * f64::from(context.creative_age_days).ln_1p()
    }

    fn context_part(&self, context: &Context, drift: Drift) -> f64 {
        let connection = context.connection.map_or(0, |connection| connection as u64 + 1);
        let hour = f64::from(context.moment.hour);
        let weekend = if context.moment.weekend { 0.2 } else { 0.0 };
        0.7 * self.drifting(Field::PublisherEffect, context.publisher as u64, drift)
            + 0.4 * self.weight(Field::PlacementEffect, context.placement as u64)
            + 0.2 * self.weight(Field::ConnectionEffect, connection)
            + 0.4 * ((hour - 21.0) / 24.0 * TAU).cos()
            + weekend
            - 0.5 * f64::from(context.position).ln()
    }

    /// Users × ads and publishers × ads are inner products of latent vectors (one for each side and partner, as in
    /// FFM); two small tables of pairs come on top.
    fn pair_part(&self, user: &User, ad: &Ad, context: &Context, drift: Drift) -> f64 {
        let age = user.age.map_or(0, |age| age as u64 / 8);
        let interest = self.pool_interests(user, |code| self.factor(Field::InterestFactor, code));
        let country = self.factor(Field::CountryFactor, user.country as u64);
        let device = self.factor(Field::DeviceFactor, user.device as u64);
        let age = self.factor(Field::AgeFactor, age);
        let own = self.factor(Field::UserFactor, user.index);
        let category = self.drifting_factor(Field::CategoryFactor, ad.category as u64, drift);
        let campaign = self.factor(Field::CampaignFactor, ad.campaign as u64);
        let single = self.factor(Field::AdFactor, ad.index as u64);
        let publisher = self.factor(Field::PublisherFactor, context.publisher as u64);
        let category_there = self.factor(Field::CategoryFactor, (1 << 32) + ad.category as u64);
        let format_there = self.factor(Field::FormatFactor, ad.format as u64);
        let mut sum = 0.0;
        for axis in 0..RANK {
            let taste = interest[axis] + 0.7 * country[axis] + 0.4 * device[axis] + 0.8 * age[axis] + 0.4 * own[axis];
            let appeal = category[axis] + 0.5 * campaign[axis] + 0.3 * single[axis];
            sum += taste * appeal + 0.6 * publisher[axis] * (category_there[axis] + 0.7 * format_there[axis]);
        }
        let system_format = (user.system * 8 + ad.format) as u64;
        let daypart_category = u64::from(context.moment.hour / 6) * 64 + ad.category as u64;
        sum + 0.8 * self.weight(Field::OsFormatEffect, system_format)
            + 0.8 * self.weight(Field::DaypartCategoryEffect, daypart_category)
    }

    fn weigh(&self, parts: &[f64; PARTS]) -> f64 {
        parts.iter().zip(self.gains).map(|(part, gain)| part * gain).sum()
    }

    fn weight(&self, field: Field, id: u64) -> f64 {
        normal(hash(self.seed, field, id))
    }

    fn drifting(&self, field: Field, id: u64, drift: Drift) -> f64 {
        drift.turn(self.weight(field, id * 2), self.weight(field, id * 2 + 1))
    }

    fn factor(&self, field: Field, id: u64) -> [f64; RANK] {
        vector(hash(self.seed, field, id))
    }

    fn drifting_factor(&self, field: Field, id: u64, drift: Drift) -> [f64; RANK] {
        let (from, to) = (self.factor(field, id * 2), self.factor(field, id * 2 + 1));
        std::array::from_fn(|axis| drift.turn(from[axis], to[axis]))
    }

    /// The sum over a user's interests, divided by the root of their number so that all users vary alike.
    fn pool_interests<const N: usize>(&self, user: &User, of: impl Fn(u64) -> [f64; N]) -> [f64; N] {
        let codes = user.interests.as_ref().map_or(&[][..], |interests| interests.codes());
        let mut sum = [0.0; N];
        for &code in codes {
            for (total, value) in sum.iter_mut().zip(of(u64::from(code))) {
                *total += value;
            }
        }
        let scale = 1.0 / (codes.len().max(1) as f64).sqrt();
        sum.map(|total| total * scale)
    }
}

/// A day's position between two sets of weights.
#[derive(Clone, Copy)]
struct Drift {
    cosine: f64,
    sine: f64,
}

impl Drift {
    fn of(day: u32) -> Self {
        let (sine, cosine) = (f64::from(day) * DRIFT_RADIANS_PER_DAY).sin_cos();
        Self { cosine, sine }
    }

    /// Keeps the variance of two independent weights of equal variance.
    fn turn(self, from: f64, to: f64) -> f64 {
        self.cosine * from + self.sine * to
    }
}

fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

fn standard_deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// The bias that makes the mean probability `rate`, by bisection: the mean grows with the bias.
fn bias_for(log_odds: &[f64], rate: f64) -> f64 {
    let (mut low, mut high) = (-64.0, 64.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        let mean = log_odds.iter().map(|value| sigmoid(middle + value)).sum::<f64>() / log_odds.len() as f64;
        if mean < rate {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}
