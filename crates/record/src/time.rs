//! Time, normalized once: milliseconds since 1970-01-01 00:00 UTC, whatever a column holds.
//!
//! Arrow dates and timestamps name their unit; a timestamp's zone changes how it is shown, not which moment it is, and a
//! timestamp without a zone is taken as UTC. Integer columns name no unit. The schema's `time_unit` does, or it is
//! inferred from the values' magnitude:
//!
//! | magnitude | unit | as a date |
//! |---|---|---|
//! | below 10^5 | days | until 2243 |
//! | 10^5 to 10^8 | ambiguous, refused | |
//! | 10^8 to 10^11 | seconds | 1973 to 5138 |
//! | 10^11 to 10^14 | milliseconds | 1973 to 5138 |
//! | 10^14 to 10^17 | microseconds | 1973 to 5138 |
//! | from 10^17 | nanoseconds | from 1973 |
//!
//! All integers that one reader sees, in every batch and file, must agree on the unit; a value that disagrees is an
//! error. So the inferred unit depends neither on batch boundaries nor on the order of files.

use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(i64);

impl Time {
    /// The length of a day, in milliseconds.
    pub const MS_PER_DAY: i64 = 86_400_000;

    /// Creates a time from milliseconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Returns the milliseconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// Returns the day in UTC, counted from 1970-01-01.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(Self::MS_PER_DAY)
    }
}

/// The unit of an integer time since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Days.
    #[serde(rename = "d")]
    Days,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl TimeUnit {
    /// Converts a value in this unit, rounded down; `None` if milliseconds in 64 bits cannot hold it.
    #[must_use]
    pub const fn time(self, value: i64) -> Option<Time> {
        let ms = match self {
            Self::Days => value.checked_mul(Time::MS_PER_DAY),
            Self::Seconds => value.checked_mul(1_000),
            Self::Milliseconds => Some(value),
            Self::Microseconds => Some(value.div_euclid(1_000)),
            Self::Nanoseconds => Some(value.div_euclid(1_000_000)),
        };
        match ms {
            Some(ms) => Some(Time(ms)),
            None => None,
        }
    }

    /// Infers the unit of an integer from its magnitude; `None` if it is ambiguous. See the module's table.
    const fn infer(value: i64) -> Option<Self> {
        match value.unsigned_abs() {
            0..100_000 => Some(Self::Days),
            100_000..100_000_000 => None,
            100_000_000..100_000_000_000 => Some(Self::Seconds),
            100_000_000_000..100_000_000_000_000 => Some(Self::Milliseconds),
            100_000_000_000_000..100_000_000_000_000_000 => Some(Self::Microseconds),
            _ => Some(Self::Nanoseconds),
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Days => "days",
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        }
    }
}

/// The unit of a data set's integer times where the schema gives none: inferred from the first value that is read.
///
/// Clones share one decision. Give the bindings of all files of a data set clones of one `InferredTimeUnit`, and files
/// that disagree are an error; see [`crate::Binding::with_time_unit`].
#[derive(Debug, Clone, Default)]
pub struct InferredTimeUnit(Arc<OnceLock<TimeUnit>>);

/// The column that a file's times are read from.
#[derive(Debug, Clone)]
pub(crate) struct TimeColumn {
    pub(crate) name: String,
    pub(crate) index: usize,
    /// The schema's `time_unit`.
    given: Option<TimeUnit>,
    inferred: InferredTimeUnit,
}

/// A row of a batch and what is wrong with its time.
type Problem = (usize, String);

impl TimeColumn {
    pub(crate) fn new(name: String, index: usize, given: Option<TimeUnit>) -> Self {
        Self { name, index, given, inferred: InferredTimeUnit::default() }
    }

    pub(crate) fn share(&mut self, unit: &InferredTimeUnit) {
        self.inferred = unit.clone();
    }

    /// Whether a column of this type can be read as times.
    pub(crate) fn fits(data_type: &DataType) -> bool {
        data_type.is_integer() || matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
    }

    /// Reads a batch's times; `None` if the array's type is not one that [`TimeColumn::fits`].
    pub(crate) fn read(&self, array: &ArrayRef) -> Option<Result<Vec<Time>, Problem>> {
        if !Self::fits(array.data_type()) {
            return None;
        }
        if let Some(row) = (0..array.len()).find(|&row| array.is_null(row)).filter(|_| array.null_count() > 0) {
            return Some(Err((row, "the time is missing; every row needs one".to_owned())));
        }
        Some(match array.data_type() {
            DataType::Date32 => convert::<Date32Type>(array, TimeUnit::Days),
            DataType::Date64 => convert::<Date64Type>(array, TimeUnit::Milliseconds),
            DataType::Timestamp(arrow_schema::TimeUnit::Second, _) => {
                convert::<TimestampSecondType>(array, TimeUnit::Seconds)
            }
            DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, _) => {
                convert::<TimestampMillisecondType>(array, TimeUnit::Milliseconds)
            }
            DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, _) => {
                convert::<TimestampMicrosecondType>(array, TimeUnit::Microseconds)
            }
            DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, _) => {
                convert::<TimestampNanosecondType>(array, TimeUnit::Nanoseconds)
            }
            DataType::Int8 => self.integers::<Int8Type>(array),
            DataType::Int16 => self.integers::<Int16Type>(array),
            DataType::Int32 => self.integers::<Int32Type>(array),
            DataType::Int64 => self.integers::<Int64Type>(array),
            DataType::UInt8 => self.integers::<UInt8Type>(array),
            DataType::UInt16 => self.integers::<UInt16Type>(array),
            DataType::UInt32 => self.integers::<UInt32Type>(array),
            DataType::UInt64 => self.integers::<UInt64Type>(array),
            _ => return None,
        })
    }

    fn integers<T: ArrowPrimitiveType<Native: TryInto<i64>>>(&self, array: &ArrayRef) -> Result<Vec<Time>, Problem> {
        let values = array.as_primitive::<T>().values();
        let Some(&first) = values.first() else { return Ok(Vec::new()) };
        let unit = match self.given {
            Some(unit) => unit,
            None => self.infer(first.try_into().unwrap_or(i64::MAX)).map_err(|problem| (0, problem))?,
        };
        let read = |(row, &value): (usize, &T::Native)| {
            let value = value.try_into().map_err(|_| (row, out_of_range(&format!("{value:?}"), unit)))?;
            if self.given.is_none() && TimeUnit::infer(value) != Some(unit) {
                return Err((row, disagreement(value, unit)));
            }
            unit.time(value).ok_or_else(|| (row, out_of_range(&value.to_string(), unit)))
        };
        values.iter().enumerate().map(read).collect()
    }

    /// Returns the unit that this reader has settled on, which the first value decides.
    fn infer(&self, first: i64) -> Result<TimeUnit, String> {
        if let Some(&unit) = self.inferred.0.get() {
            return Ok(unit);
        }
        let Some(unit) = TimeUnit::infer(first) else {
            return Err(format!("the unit of the time {first} is ambiguous; {ADVICE}"));
        };
        // Another thread may have been faster; then its unit counts, and the values are checked against that one.
        Ok(*self.inferred.0.get_or_init(|| unit))
    }
}

const ADVICE: &str = "add `time_unit = \"s\"` (or \"d\", \"ms\", \"us\", \"ns\") to the schema";

fn disagreement(value: i64, unit: TimeUnit) -> String {
    let unit = unit.plural();
    format!("the time {value} does not look like {unit} since 1970, as the values before it do; {ADVICE}")
}

fn out_of_range(value: &str, unit: TimeUnit) -> String {
    format!("the time {value} in {} is out of range", unit.plural())
}

fn convert<T: ArrowPrimitiveType<Native: Into<i64>>>(array: &ArrayRef, unit: TimeUnit) -> Result<Vec<Time>, Problem> {
    let read = |(row, &value): (usize, &T::Native)| {
        let value = value.into();
        unit.time(value).ok_or_else(|| (row, out_of_range(&value.to_string(), unit)))
    };
    array.as_primitive::<T>().values().iter().enumerate().map(read).collect()
}
