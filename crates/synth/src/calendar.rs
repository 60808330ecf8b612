//! When impressions happen: rows are in order of time, busier in the evening and a little quieter at weekends.

use jiff::civil::{Date, date};

const DAY_MS: f64 = 86_400_000.0;

/// Traffic of a weekend day relative to a working day.
const WEEKEND_TRAFFIC: f64 = 0.9;

/// Relative traffic of each hour (UTC): a night valley, a lunch bump, an evening peak.
const HOURLY_TRAFFIC: [f64; 24] = [
    0.55, 0.40, 0.30, 0.25, 0.25, 0.35, 0.55, 0.80, 0.95, 1.00, 1.05, 1.15, 1.25, 1.20, 1.10, 1.05, 1.10, 1.20, 1.35,
    1.50, 1.60, 1.50, 1.20, 0.85,
];

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    /// Day since the first one, 0-based.
    pub(super) day: u32,
    /// Days since the start of the first one, with fraction.
    pub(super) elapsed_days: f64,
    /// Hour of the day, UTC.
    pub(super) hour: u8,
    pub(super) weekend: bool,
    /// Milliseconds since 1970, UTC.
    pub(super) timestamp_ms: i64,
}

/// Assigns rows to days and times.
pub(super) struct Calendar {
    /// Row at which each day starts, and the number of rows at the end.
    day_starts: Vec<u64>,
    /// Share of a day's traffic before each hour, and 1 at the end.
    traffic_before: [f64; 25],
    /// Days from 1970 to the first day.
    epoch_days: i64,
}

impl Calendar {
    pub(super) fn new(rows: u64, days: u32, first_day: Date) -> Self {
        let epoch_days = first_day.duration_since(date(1970, 1, 1)).as_hours() / 24;
        let mut traffic_before = [0.0; 25];
        for (hour, traffic) in HOURLY_TRAFFIC.iter().enumerate() {
            traffic_before[hour + 1] = traffic_before[hour] + traffic;
        }
        let traffic_of_day = traffic_before[24];
        traffic_before.iter_mut().for_each(|traffic| *traffic /= traffic_of_day);

        let weight = |day: u32| {
            if is_weekend(epoch_days + i64::from(day)) { WEEKEND_TRAFFIC } else { 1.0 }
        };
        let weight_of_all: f64 = (0..days).map(weight).sum();
        let mut weight_before = 0.0;
        let mut day_starts = vec![0];
        for day in 0..days {
            weight_before += weight(day);
            day_starts.push((rows as f64 * (weight_before / weight_of_all)).round().min(rows as f64) as u64);
        }
        if let Some(end) = day_starts.last_mut() {
            *end = rows;
        }
        Self { day_starts, traffic_before, epoch_days }
    }

    /// Returns the moment of `row`; `jitter` in [0, 1) places it between its neighbours.
    pub(super) fn moment(&self, row: u64, jitter: f64) -> Moment {
        let day = self.day_starts.partition_point(|&start| start <= row).clamp(1, self.day_starts.len() - 1) - 1;
        let (start, end) = (self.day_starts[day], self.day_starts[day + 1]);
        self.at(day as u32, ((row - start) as f64 + jitter) / (end - start) as f64)
    }

    /// Returns the moment of `day` before which `share` (in [0, 1)) of its traffic has happened.
    pub(super) fn at(&self, day: u32, share: f64) -> Moment {
        let hour = self.traffic_before.partition_point(|&before| before <= share).clamp(1, 24) - 1;
        let (before, after) = (self.traffic_before[hour], self.traffic_before[hour + 1]);
        let fraction = (hour as f64 + (share - before) / (after - before)) / 24.0;
        let elapsed_days = f64::from(day) + fraction;
        let epoch_day = self.epoch_days + i64::from(day);
        // Rounding must not move the last impressions of a day or an hour into the next.
        let hour_ms = DAY_MS / 24.0;
        let since_midnight_ms =
            (fraction * DAY_MS).floor().clamp(hour as f64 * hour_ms, (hour + 1) as f64 * hour_ms - 1.0);
        Moment {
            day,
            elapsed_days,
            hour: hour as u8,
            weekend: is_weekend(epoch_day),
            timestamp_ms: epoch_day * DAY_MS as i64 + since_midnight_ms as i64,
        }
    }
}

/// Whether a day, counted from 1970-01-01 (a Thursday), is a Saturday or a Sunday.
fn is_weekend(epoch_day: i64) -> bool {
    (epoch_day + 3).rem_euclid(7) >= 5
}
