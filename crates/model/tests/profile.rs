//! What a profile promises, on rows whose make is known.
#![allow(clippy::unwrap_used)]

use clickcast_model::profile::{Collector, Profile, bins};
use clickcast_record::hash::integer as mix;
use clickcast_record::{Batch, Categorical, Column, Feature, Kind, Numeric, Side, Time};

/// Ten thousand rows a day.
fn time(row: u64) -> Time {
    Time::from_ms(20_000 * Time::MS_PER_DAY + row as i64 * Time::MS_PER_DAY / 10_000)
}

fn features() -> Vec<Feature> {
    let feature = |name: &str, kind| Feature::new(name, kind, Side::Context);
    vec![
        feature("user", Kind::Categorical),
        feature("age", Kind::Numeric),
        feature("country", Kind::Categorical),
        feature("slot", Kind::Categorical),
    ]
}

fn draw(row: u64, column: u64) -> u64 {
    mix((row << 8 | column).cast_signed())
}

/// Rows whose user has one age and one country; `users` of them, evenly.
struct Rows {
    users: u64,
    /// The row whose age each row has.
    age_of: fn(u64) -> u64,
    /// How many of 100 rows are one user's, whose age is never the same.
    busy_percent: u64,
}

impl Rows {
    fn new(users: u64) -> Self {
        Self { users, age_of: |row| row, busy_percent: 0 }
    }

    fn batch(&self, rows: &[u64]) -> Batch {
        let integers = |of: &dyn Fn(u64) -> i64| {
            let values = rows.iter().map(|&row| of(row)).collect();
            Column::Categorical(Categorical::Integers { values, nulls: None })
        };
        let is_busy = |row: u64| draw(row, 6) % 100 < self.busy_percent;
        let user = |row: u64| if is_busy(row) { self.users } else { draw(row, 1) % self.users };
        let age = |row: u64| 16 + if is_busy(row) { draw(row, 7) } else { draw(user((self.age_of)(row)), 2) } % 60;
        let ages = rows.iter().map(|&row| age(row) as f64).collect();
        Batch {
            rows: rows.len(),
            first_row: 0,
            features: vec![
                integers(&|row| user(row) as i64),
                Column::Numeric(Numeric::F64(ages)),
                integers(&|row| (draw(user(row), 3) % 20) as i64),
                integers(&|row| (draw(row, 4) % 5) as i64),
            ],
            labels: Some(rows.iter().map(|&row| draw(row, 5).is_multiple_of(20)).collect()),
            weights: None,
            times: Some(rows.iter().map(|&row| time(row)).collect()),
            carried: Vec::new(),
        }
    }

    fn profile(&self, rows: &[u64], per_batch: usize) -> Profile {
        let mut collector = Collector::new(&features());
        rows.chunks(per_batch).for_each(|rows| collector.add(&self.batch(rows)));
        collector.profile()
    }
}

fn first(rows: u64) -> Vec<u64> {
    (0..rows).collect()
}

#[test]
fn a_profile_counts_what_is_there_whatever_the_batches() {
    let rows = Rows::new(1_000);
    let profile = rows.profile(&first(35_000), 4_096);
    assert_eq!(profile, rows.profile(&first(35_000), 777));
    assert_eq!(profile.rows, 35_000);
    let days: Vec<(i64, u64, u64)> = profile.days.iter().map(|day| (day.day, day.rows, day.sampled)).collect();
    assert_eq!(
        days,
        [(20_000, 10_000, 10_000), (20_001, 10_000, 10_000), (20_002, 10_000, 10_000), (20_003, 5_000, 5_000)]
    );
    let (_, slot) = profile.feature("slot").unwrap();
    assert_eq!(slot.cells(|day| day == 1).values().map(|cell| cell.0).sum::<f64>(), 10_000.0);
    assert_eq!(slot.values.distinct(), 5.0);
    let positives: f64 = slot.cells(|_| true).values().map(|cell| cell.1).sum();
    assert_eq!(Some(positives as u64), profile.positives);
}

#[test]
fn of_many_rows_an_even_sample_is_counted() {
    let profile = Rows::new(50_000).profile(&first(300_000), 30_000);
    assert_eq!(profile.rows, 300_000);
    for day in &profile.days {
        let share = day.sampled as f64 / day.rows as f64;
        assert!((share - 0.25).abs() < 0.02, "{share}: a quarter is below the bound of 131,072");
    }
    let (_, user) = profile.feature("user").unwrap();
    let distinct = user.values.distinct();
    assert!((distinct / 50_000.0 - 1.0).abs() < 0.06, "{distinct}");
    let known = (0..50_000).filter_map(|user| profile.features[0].values.knows(mix(user)));
    assert!(known.clone().count() > 3_000 && known.filter(|known| !known).count() < 60);
}

#[test]
fn a_wrong_join_breaks_what_one_feature_tells_of_another() {
    // Some users are hardly ever twice in an even sample of rows.
    for users in [200, 3_000, 60_000] {
        let right = Rows::new(users).profile(&first(150_000), 30_000);
        let wrong = Rows { age_of: |row| row + 1, ..Rows::new(users) }.profile(&first(150_000), 30_000);
        let of = |profile: &Profile, other: usize| f64::from(profile.features[0].determines[other].unwrap());
        assert!(of(&right, 1) > 0.99 && of(&right, 2) > 0.99, "{users}: {:?}", right.features[0].determines);
        assert!(of(&right, 3).abs() < 0.15, "{users}: {:?}", right.features[0].determines);
        assert!(of(&wrong, 1).abs() < 0.15, "{users}: {:?}", wrong.features[0].determines);
        assert_eq!(of(&wrong, 2), of(&right, 2));
    }
}

#[test]
fn a_busy_user_counts_for_no_more_than_its_rows() {
    let profile = Rows { busy_percent: 30, ..Rows::new(200) }.profile(&first(150_000), 30_000);
    let told = f64::from(profile.features[0].determines[1].unwrap());
    assert!((told - 0.7).abs() < 0.03, "{told}");
}

#[test]
fn rows_met_before_are_recognized() {
    let rows = Rows::new(20_000);
    let before = rows.profile(&first(100_000), 30_000);
    for (from, expected) in [(0, 1.0), (50_000, 0.5), (90_000, 0.1), (100_000, 0.0)] {
        let later = rows.profile(&(from..from + 100_000).collect::<Vec<_>>(), 30_000);
        let (share, rows) = later.seen_share(&before);
        assert!((share - expected).abs() < 0.03 && rows > 4_000, "from {from}: {share} of {rows}");
    }
    assert_eq!(before.repeated_share(), 0.0);
}

#[test]
fn repeated_clicks_are_counted() {
    let rows = Rows::new(20_000);
    let batch = rows.batch(&first(50_000));
    let clicked: Vec<u64> =
        first(50_000).into_iter().filter(|&row| batch.labels.as_ref().unwrap()[row as usize]).collect();
    let all = [first(50_000), clicked].concat();
    let profile = rows.profile(&all, 10_000);
    let repeated = profile.fingerprints.positives_repeated as f64 / profile.fingerprints.positives as f64;
    assert!((repeated - 0.5).abs() < 0.02, "{repeated}");
}

#[test]
fn missing_values_have_a_bin_of_their_own() {
    let column = Column::Numeric(Numeric::F32(vec![f32::NAN, 1.0].into()));
    let mut found = Vec::new();
    bins::column(&column, &mut found);
    assert_eq!((found[0], found[0] == found[1]), (bins::MISSING, false));
}

#[test]
fn a_profile_reads_back_as_it_was_written() {
    let profile = Rows::new(9_000).profile(&first(20_000), 4_096);
    let text = serde_json::to_string(&profile).unwrap();
    assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
    assert!(text.len() < 600_000, "{}", text.len());
}
