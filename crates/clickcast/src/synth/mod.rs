//! Impressions of an invented mobile-advertising market, whose true click probability is known.
//!
//! A row is a function of the settings and its number alone: users, ads and their tastes come from hashes of (seed,
//! field, id), so blocks can be made in any order and by any number of threads, and are always the same. The truth does
//! not depend on the number of rows if users, ads and days are given.
//!
//! The market: users and ads of Zipf popularity; ads that follow each other (each takes its predecessor's traffic over
//! within two days); a daily cycle of traffic and of clicks; weights of categories and publishers that drift day by
//! day; and pairs (user × ad, publisher × ad) that carry half of what can be known.
//!
//! Bytes are the same on every run of a machine type; another mathematics library may round the last bit otherwise.

mod calendar;
mod columns;
mod effects;
mod random;
#[cfg(test)]
mod tests;
mod truth;
mod world;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int8Array, RecordBatch};
use arrow_schema::SchemaRef;
use jiff::civil::{Date, date};

use calendar::Calendar;
use columns::Texts;
pub(crate) use columns::features_toml;
use effects::Effects;
use random::{Field, Stream};
pub(crate) use truth::Truth;
use world::{Ad, User, World};

/// Rows of a block; the last one may have fewer.
pub(crate) const BLOCK_ROWS: u64 = 65_536;

/// Row numbers must be exact as float64, in which days are shared out.
const ROWS_MAX: u64 = 1 << 53;

/// Products of two user numbers must fit 64 bits.
const USERS_MAX: u64 = u32::MAX as u64;

/// The names of all ads are held in memory, about 13 bytes each.
const ADS_MAX: u64 = 10_000_000;

/// Ten years; the drift has then long come full circle.
const DAYS_MAX: u32 = 3_660;

/// Settings, or data, that cannot be used; a sentence that says what to do. Trying again does not help.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Invalid(pub(crate) String);

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// What to invent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) rows: u64,
    pub(crate) users: u64,
    pub(crate) ads: u64,
    pub(crate) days: u32,
    pub(crate) seed: u64,
    /// Rows start at this day's midnight, UTC.
    pub(crate) first_day: Date,
}

impl Settings {
    /// A week from a Monday, 20 rows a user, and ads in proportion to the root of the rows.
    pub(crate) fn for_rows(rows: u64) -> Self {
        Self {
            rows,
            users: (rows / 20).clamp(1_000, 5_000_000),
            ads: rows.isqrt().clamp(100, 50_000),
            days: 7,
            seed: 1,
            first_day: date(2026, 1, 5),
        }
    }

    fn check(&self) -> Result<(), Invalid> {
        let outside = |name: &str, value: u64, range: Range<u64>| {
            let (least, most) = (range.start, range.end - 1);
            Invalid(format!("`{name}` is {value}; give a number from {least} to {most}, or leave it out"))
        };
        let days = u64::from(self.days);
        for (name, value, range) in [
            ("rows", self.rows, 0..ROWS_MAX + 1),
            ("users", self.users, 1..USERS_MAX + 1),
            ("ads", self.ads, 1..ADS_MAX + 1),
            ("days", days, 1..u64::from(DAYS_MAX) + 1),
        ] {
            if !range.contains(&value) {
                return Err(outside(name, value, range));
            }
        }
        Ok(())
    }
}

/// Makes the impressions, and the tables of users and ads they come from.
pub(crate) struct Generator {
    settings: Settings,
    calendar: Calendar,
    world: World,
    effects: Effects,
    texts: Texts,
    schema: SchemaRef,
}

impl Generator {
    /// Sets the market up, in some 50 ms.
    ///
    /// # Errors
    /// [`Invalid`] if a setting is out of its range.
    pub(crate) fn new(settings: Settings) -> Result<Self, Invalid> {
        let world = World::new(&settings)?;
        let calendar = Calendar::new(settings.rows, settings.days, settings.first_day);
        let effects = Effects::fit(&world, &calendar, settings.days);
        let texts = Texts::new(&world);
        Ok(Self { settings, calendar, world, effects, texts, schema: columns::impressions_schema() })
    }

    /// What was asked for.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The schema of every block.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The number of blocks.
    pub(crate) fn blocks(&self) -> u64 {
        self.settings.rows.div_ceil(BLOCK_ROWS)
    }

    /// Rows `index * BLOCK_ROWS ..` in order of time; no rows beyond the last block.
    pub(crate) fn block(&self, index: u64) -> RecordBatch {
        let first = index.saturating_mul(BLOCK_ROWS).min(self.settings.rows);
        let end = first.saturating_add(BLOCK_ROWS).min(self.settings.rows);
        let capacity = (end - first) as usize;
        let (mut users, mut ads, mut contexts) =
            (Vec::with_capacity(capacity), Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        let (mut clicks, mut probabilities) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        for row in first..end {
            let mut stream = Stream::new(self.settings.seed, Field::Row, row);
            let moment = self.calendar.moment(row, stream.unit());
            let (user, ad, context) = self.world.impression(&mut stream, moment);
            let probability = self.effects.click_probability(&user, &ad, &context);
            clicks.push(i8::from(stream.chance(probability)));
            probabilities.push(probability);
            users.push(user);
            ads.push(ad);
            contexts.push(context);
        }
        let mut arrays = columns::key_columns(first, &contexts);
        arrays.extend(columns::user_columns(&users, &self.texts));
        arrays.extend(columns::ad_columns(&ads, &self.texts));
        arrays.extend(columns::context_columns(&contexts, &self.texts));
        arrays.push(Arc::new(Int8Array::from(clicks)));
        arrays.push(Arc::new(Float64Array::from(probabilities)));
        batch(self.schema(), arrays)
    }

    /// Users of these ranks (0: the most frequent; those beyond `settings().users` do not exist): `user_id` and what is
    /// known of each, the columns of side `user`.
    pub(crate) fn users(&self, ranks: Range<u64>) -> RecordBatch {
        let users: Vec<User> =
            (ranks.start..ranks.end.min(self.world.users)).map(|index| self.world.user(index)).collect();
        batch(columns::users_schema(), columns::user_columns(&users, &self.texts))
    }

    /// Ads of these numbers (those beyond `settings().ads` do not exist): `ad_id` and the columns of side `ad`.
    pub(crate) fn ads(&self, numbers: Range<u64>) -> RecordBatch {
        let ads: Vec<Ad> = (numbers.start..numbers.end.min(self.world.ads)).map(|index| self.world.ad(index)).collect();
        batch(columns::ads_schema(), columns::ad_columns(&ads, &self.texts))
    }
}

fn batch(schema: SchemaRef, arrays: Vec<ArrayRef>) -> RecordBatch {
    // A failure would be a mistake in the tables of `columns`, which every test would meet.
    RecordBatch::try_new(schema, arrays).expect("the arrays follow the schema")
}
