//! The users, ads and circumstances of the market. Each depends only on the seed and its number.

use super::calendar::Moment;
use super::error::Error;
use super::random::{Field, Shuffle, Stream, Zipf, hash, normal};
use super::settings::Settings;

pub(super) const DEVICES: u64 = 3_000;
pub(super) const CARRIERS_PER_COUNTRY: u64 = 4;
/// At most 256: [`Interests`] holds their codes in bytes.
pub(super) const INTERESTS: u64 = 200;
pub(super) const PUBLISHERS: u64 = 4_000;
pub(super) const PLACEMENTS_PER_PUBLISHER: u64 = 4;

pub(super) const COUNTRIES: [&str; 60] = [
    "US", "IN", "BR", "JP", "ID", "DE", "MX", "GB", "FR", "TR", "VN", "KR", "PH", "IT", "ES", "TH", "EG", "PK", "PL",
    "NG", "CA", "AR", "CO", "BD", "SA", "AU", "MY", "NL", "UA", "ZA", "RO", "PE", "CL", "TW", "MA", "SE", "BE", "CZ",
    "KE", "GR", "PT", "HU", "AT", "CH", "IL", "AE", "DK", "FI", "NO", "SG", "HK", "IE", "NZ", "EC", "GH", "BG", "SK",
    "HR", "LT", "SI",
];
pub(super) const SYSTEMS: [&str; 2] = ["android", "ios"];
pub(super) const CATEGORIES: [&str; 24] = [
    "games_puzzle",
    "shopping",
    "games_strategy",
    "finance",
    "food_delivery",
    "games_casino",
    "travel",
    "dating",
    "streaming",
    "fitness",
    "education",
    "news",
    "telecom",
    "automotive",
    "beauty",
    "fashion",
    "insurance",
    "jobs",
    "music",
    "photo",
    "real_estate",
    "sports",
    "utilities",
    "weather",
];
pub(super) const FORMATS: [&str; 5] = ["banner", "native", "interstitial", "video", "rewarded_video"];
pub(super) const CONNECTIONS: [&str; 4] = ["wifi", "5g", "4g", "3g"];

pub(super) const AGE_MISSING: f64 = 0.20;
pub(super) const CARRIER_MISSING: f64 = 0.06;
pub(super) const INTERESTS_MISSING: f64 = 0.06;
pub(super) const INSTALL_MISSING: f64 = 0.04;
pub(super) const BID_MISSING: f64 = 0.02;
pub(super) const CONNECTION_MISSING: f64 = 0.03;

/// Exponents of popularity. Users: the busiest of half a million sees 0.05 % of all impressions.
pub(super) const USER_EXPONENT: f64 = 0.6;
pub(super) const AD_EXPONENT: f64 = 0.9;

/// The largest number of interests of a user.
const INTERESTS_MAX: usize = 5;

/// Days within which an ad's successor takes over its traffic.
const HANDOVER_DAYS: f64 = 2.0;

/// An ad runs for two weeks, or longer where the market lasts months, so that few ads suffice.
const LIFE_DAYS_MIN: f64 = 14.0;
const LIVES_MAX: f64 = 6.0;

/// A user and its attributes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct User {
    /// Rank by popularity.
    pub(super) index: u64,
    pub(super) id: i64,
    pub(super) age: Option<i32>,
    pub(super) country: i32,
    pub(super) device: i32,
    pub(super) system: i32,
    pub(super) carrier: Option<i32>,
    pub(super) interests: Option<Interests>,
    /// App sessions in the last seven days.
    pub(super) sessions: i32,
    pub(super) days_since_install: Option<i32>,
}

/// A few distinct interests, held without allocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Interests {
    codes: [u8; INTERESTS_MAX],
    count: usize,
}

impl Interests {
    pub(super) fn codes(&self) -> &[u8] {
        &self.codes[..self.count]
    }

    fn insert(&mut self, code: u8) {
        if !self.codes().contains(&code) {
            self.codes[self.count] = code;
            self.count += 1;
        }
    }
}

/// An ad and its attributes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ad {
    pub(super) index: i32,
    pub(super) campaign: i32,
    pub(super) advertiser: i32,
    pub(super) app: i32,
    pub(super) category: i32,
    pub(super) format: i32,
    /// US dollars for a click.
    pub(super) bid: Option<f64>,
}

/// The circumstances of an impression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Context {
    pub(super) moment: Moment,
    /// Days since the ad was first shown.
    pub(super) creative_age_days: i32,
    pub(super) publisher: i32,
    pub(super) placement: i32,
    pub(super) connection: Option<i32>,
    /// Slot on the page, from 1 (the top).
    pub(super) position: i8,
}

/// The market: its users and ads, and how often each appears.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) users: u64,
    pub(super) ads: u64,
    pub(super) campaigns: u64,
    pub(super) advertisers: u64,
    lives: u64,
    life_days: f64,
    user_order: Shuffle,
    user_ranks: Zipf,
    slot_ranks: Zipf,
    country_ranks: Zipf,
    device_ranks: Zipf,
    interest_ranks: Zipf,
    category_ranks: Zipf,
    publisher_ranks: Zipf,
}

impl World {
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        settings.check()?;
        let &Settings { users, ads, days, seed, .. } = settings;
        let life_days = LIFE_DAYS_MIN.max(f64::from(days) / LIVES_MAX);
        // The number of successive ads in one slot: the phase adds up to one life, the handover two days.
        let lives = ((f64::from(days) + HANDOVER_DAYS) / life_days).ceil() as u64 + 1;
        Ok(Self {
            seed,
            users,
            ads,
            campaigns: (ads / 4).max(1),
            advertisers: (ads / 20).max(1),
            lives,
            life_days,
            user_order: Shuffle::new(users, hash(seed, Field::UserOrder, 0)),
            user_ranks: Zipf::new(users, USER_EXPONENT),
            slot_ranks: Zipf::new((ads / lives).max(1), AD_EXPONENT),
            country_ranks: Zipf::new(COUNTRIES.len() as u64, 1.1),
            device_ranks: Zipf::new(DEVICES, 0.8),
            interest_ranks: Zipf::new(INTERESTS, 0.8),
            category_ranks: Zipf::new(CATEGORIES.len() as u64, 0.5),
            publisher_ranks: Zipf::new(PUBLISHERS, 0.9),
        })
    }

    /// Returns the user of a rank (below `users`).
    pub(super) fn user(&self, index: u64) -> User {
        let mut stream = Stream::new(self.seed, Field::User, index);
        let country = self.country_ranks.draw(&mut stream);
        let device = self.device_ranks.draw(&mut stream);
        let carrier = country * CARRIERS_PER_COUNTRY + stream.below(CARRIERS_PER_COUNTRY);
        let age = 16.0 + 58.0 * stream.unit().powf(1.6);
        // Busy users have more sessions; the tail is log-normal.
        let activity = 0.35 * (self.users as f64 / (index + 1) as f64).ln();
        let sessions = (0.8 + activity + 0.9 * normal(stream.bits())).exp();
        let days_since_install = (1_500f64.ln() * stream.unit()).exp() - 1.0;
        User {
            index,
            id: self.user_order.apply(index) as i64 + 1,
            age: stream.present(AGE_MISSING, age as i32),
            country: country as i32,
            device: device as i32,
            system: i32::from(hash(self.seed, Field::DeviceOs, device).is_multiple_of(3)),
            carrier: stream.present(CARRIER_MISSING, carrier as i32),
            interests: self.interests(&mut stream),
            sessions: sessions as i32,
            days_since_install: stream.present(INSTALL_MISSING, days_since_install as i32),
        }
    }

    /// Returns the ad of a number (below `ads`).
    pub(super) fn ad(&self, index: u64) -> Ad {
        let mut stream = Stream::new(self.seed, Field::Ad, index);
        let campaign = stream.below(self.campaigns);
        let format = stream.below(FORMATS.len() as u64);
        let bid_noise = normal(stream.bits());
        let mut stream_of_campaign = Stream::new(self.seed, Field::Campaign, campaign);
        let advertiser = stream_of_campaign.below(self.advertisers);
        let app = advertiser * 2 + stream_of_campaign.below(2);
        let bid_of_campaign = normal(stream_of_campaign.bits());
        let category = self.category_ranks.draw(&mut Stream::new(self.seed, Field::Advertiser, advertiser));
        let bid = (-0.5 + 0.6 * bid_of_campaign + 0.3 * bid_noise).exp();
        Ad {
            index: index as i32,
            campaign: campaign as i32,
            advertiser: advertiser as i32,
            app: app as i32,
            category: category as i32,
            format: format as i32,
            bid: stream.present(BID_MISSING, (bid * 1_000.0).round() / 1_000.0),
        }
    }

    /// Draws the user, the ad and the circumstances of an impression at a moment.
    pub(super) fn impression(&self, stream: &mut Stream, moment: Moment) -> (User, Ad, Context) {
        let user = self.user(self.user_ranks.draw(stream));
        let slot = self.slot_ranks.draw(stream);
        let (life, creative_age_days) = self.life(slot, moment.elapsed_days, stream.unit());
        let ad = self.ad((slot * self.lives + life) % self.ads);
        let publisher = self.publisher_ranks.draw(stream);
        let placement = publisher * PLACEMENTS_PER_PUBLISHER + stream.below(PLACEMENTS_PER_PUBLISHER);
        let connection = match stream.unit() {
            share if share < 0.55 => 0,
            share if share < 0.70 => 1,
            share if share < 0.95 => 2,
            _ => 3,
        };
        // Each slot is seen half as often as the one above.
        let position = 1 + stream.bits().trailing_zeros().min(7) as i8;
        let context = Context {
            moment,
            creative_age_days,
            publisher: publisher as i32,
            placement: placement as i32,
            connection: stream.present(CONNECTION_MISSING, connection),
            position,
        };
        (user, ad, context)
    }

    /// Returns which of a slot's successive ads is shown, and for how many days it has been. `handover` in [0, 1) is drawn for each impression, so that an ad's traffic rises while its predecessor's falls.
    fn life(&self, slot: u64, elapsed_days: f64, handover: f64) -> (u64, i32) {
        let phase_days = Stream::new(self.seed, Field::AdPhase, slot).unit() * self.life_days;
        let progress_days = elapsed_days + phase_days;
        let life = ((progress_days + handover * HANDOVER_DAYS) / self.life_days).floor();
        let first_shown_days = life * self.life_days - HANDOVER_DAYS;
        (life as u64, (progress_days - first_shown_days) as i32)
    }

    fn interests(&self, stream: &mut Stream) -> Option<Interests> {
        let mut interests = Interests::default();
        // Few draws repeat one: about one user in six has no interest, and the others have three on average.
        for _ in 0..stream.below(INTERESTS_MAX as u64 + 1) {
            interests.insert(self.interest_ranks.draw(stream) as u8);
        }
        stream.present(INTERESTS_MISSING, interests)
    }
}
