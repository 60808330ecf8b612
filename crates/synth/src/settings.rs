//! The settings of a market, and their ranges.

use std::ops::Range;

use jiff::civil::{Date, date};

use super::error::Error;

/// Row numbers must be exact as float64, because rows are assigned to days in float64.
const ROWS_MAX: u64 = 1 << 53;

/// Products of two user numbers must fit into 64 bits.
const USERS_MAX: u64 = u32::MAX as u64;

/// The names of all ads are in memory, about 13 bytes each.
const ADS_MAX: u64 = 10_000_000;

/// Ten years, many times the period of the drift.
const DAYS_MAX: u32 = 3_660;

/// The market to generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Number of impressions, at most 2^53.
    pub rows: u64,
    /// Number of users, from 1 to 2^32 - 1.
    pub users: u64,
    /// Number of ads, from 1 to 10 million.
    pub ads: u64,
    /// Number of days that the impressions are spread over, from 1 to 3,660.
    pub days: u32,
    /// Seed of the market: users, ads, tastes and clicks follow from it.
    pub seed: u64,
    /// The first impressions are at midnight (UTC) of this day.
    pub first_day: Date,
}

impl Settings {
    /// Returns the defaults: a week from a Monday, 20 rows a user, and ads in proportion to the square root of the rows.
    pub fn for_rows(rows: u64) -> Self {
        Self {
            rows,
            users: (rows / 20).clamp(1_000, 5_000_000),
            ads: rows.isqrt().clamp(100, 50_000),
            days: 7,
            seed: 1,
            first_day: date(2026, 1, 5),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let outside = |name: &str, value: u64, range: Range<u64>| {
            let (least, most) = (range.start, range.end - 1);
            Error::setting(format!("`{name}` is {value}; give a number from {least} to {most}, or leave it out"))
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
