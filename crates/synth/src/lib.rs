//! Synthetic impressions of a mobile-advertising market whose true click probability is known.
//!
//! A row depends only on the settings and its number: users, ads and their tastes come from hashes of (seed, field,
//! id), so blocks can be made in any order and by any number of threads, and are always the same. If users, ads and
//! days are given, the true probabilities do not depend on the number of rows.
//!
//! The market has users and ads of Zipf popularity; ads that replace each other (each takes over its predecessor's
//! traffic within two days); a daily cycle of traffic and of clicks; weights of categories and publishers that drift
//! from day to day; and pairs (user × ad, publisher × ad) that carry half of what can be learned.
//!
//! The bytes are the same on every run on one type of machine; another math library may round the last bit differently.
//!
//! ```
//! use clickcast_synth::{Generator, Settings, Truth};
//!
//! let generator = Generator::new(Settings { days: 2, ..Settings::for_rows(1_000) })?;
//! let impressions = generator.block(0);
//! let mut truth = Truth::new();
//! truth.add(&impressions)?;
//! assert_eq!(truth.optimum().map(|optimum| optimum.rows), Some(1_000));
//! # Ok::<(), clickcast_synth::Error>(())
//! ```

mod calendar;
mod columns;
mod effects;
mod error;
mod random;
mod settings;
#[cfg(test)]
mod tests;
mod truth;
mod world;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int8Array, RecordBatch};
use arrow_schema::SchemaRef;

use calendar::Calendar;
use columns::Texts;
pub use columns::features_toml;
use effects::Effects;
pub use error::{Error, Kind};
use random::{Field, Stream};
pub use settings::Settings;
pub use truth::{Optimum, Truth};
use world::{Ad, User, World};

/// Rows of a block; the last one may have fewer.
pub const BLOCK_ROWS: u64 = 65_536;

/// Makes the impressions, and the tables of the users and ads in them.
pub struct Generator {
    settings: Settings,
    calendar: Calendar,
    world: World,
    effects: Effects,
    texts: Texts,
    schema: SchemaRef,
}

impl Generator {
    /// Sets up the market, which takes about 50 ms.
    ///
    /// # Errors
    /// [`Kind::Settings`] if a setting is out of its range.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let world = World::new(&settings)?;
        let calendar = Calendar::new(settings.rows, settings.days, settings.first_day);
        let effects = Effects::fit(&world, &calendar, settings.days);
        let texts = Texts::new(&world);
        Ok(Self { settings, calendar, world, effects, texts, schema: columns::impressions_schema() })
    }

    /// Returns the settings that the market was made from.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the Arrow schema of every block.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Returns the number of blocks.
    pub fn blocks(&self) -> u64 {
        self.settings.rows.div_ceil(BLOCK_ROWS)
    }

    /// Returns the rows from `index * BLOCK_ROWS` on, in order of time; a block beyond the last one has no rows.
    pub fn block(&self, index: u64) -> RecordBatch {
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

    /// Returns the users of these ranks (0 is the most active one): their `user_id` and the other columns of side `user`.
    /// Ranks beyond `settings().users` are left out.
    pub fn users(&self, ranks: Range<u64>) -> RecordBatch {
        let users: Vec<User> =
            (ranks.start..ranks.end.min(self.world.users)).map(|index| self.world.user(index)).collect();
        batch(columns::users_schema(), columns::user_columns(&users, &self.texts))
    }

    /// Returns the ads of these numbers: their `ad_id` and the other columns of side `ad`. Numbers beyond
    /// `settings().ads` are left out.
    pub fn ads(&self, numbers: Range<u64>) -> RecordBatch {
        let ads: Vec<Ad> = (numbers.start..numbers.end.min(self.world.ads)).map(|index| self.world.ad(index)).collect();
        batch(columns::ads_schema(), columns::ad_columns(&ads, &self.texts))
    }
}

fn batch(schema: SchemaRef, arrays: Vec<ArrayRef>) -> RecordBatch {
    // This fails only if the tables in `columns` are wrong, and then every test fails.
    RecordBatch::try_new(schema, arrays).expect("the arrays follow the schema")
}
