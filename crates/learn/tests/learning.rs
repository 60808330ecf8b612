//! What learning promises, on data whose truth is known.
#![allow(clippy::unwrap_used)]

use clickcast_learn::{Error, FactorFamily, Settings, Source, train};
use clickcast_model::artifact::Training;
use clickcast_model::factors::WeightType;
use clickcast_model::metrics::{Accumulator, Metrics};
use clickcast_model::{Model, Scratch};
use clickcast_record::{Batch, Categorical, Column, Multi, Numeric, Schema, Time, random};

const FAMILIES: [FactorFamily; 3] = [FactorFamily::Lr, FactorFamily::Fm, FactorFamily::Ffm];

/// Returns a random number in 0..1 of a row and a column.
fn uniform(row: u64, column: u64) -> f64 {
    random::unit(random::mix((row << 8 | column).wrapping_mul(random::INCREMENT)))
}

/// Users, ads and hours; whether an impression is clicked depends on the world.
struct World {
    rows: std::ops::Range<u64>,
    rows_per_batch: u64,
    /// The click's log-odds for (row, user, ad, hour).
    truth: fn(u64, u64, u64, f64) -> f64,
    weight: Option<fn(u64) -> f32>,
    time: Option<fn(u64) -> i64>,
    sorted_by_label: bool,
}

impl World {
    fn new(rows: std::ops::Range<u64>, truth: fn(u64, u64, u64, f64) -> f64) -> Self {
        Self { rows, rows_per_batch: 4096, truth, weight: None, time: None, sorted_by_label: false }
    }

    fn user(row: u64) -> u64 {
        (uniform(row, 1) * 40.0) as u64
    }

    fn ad(row: u64) -> u64 {
        (uniform(row, 2) * 40.0) as u64
    }

    /// Missing in a tenth of the rows.
    fn hour(row: u64) -> f64 {
        if uniform(row, 3) < 0.1 { f64::NAN } else { 24.0 * uniform(row, 4) }
    }

    fn log_odds(&self, row: u64) -> f64 {
        (self.truth)(row, Self::user(row), Self::ad(row), Self::hour(row))
    }

    fn clicked(&self, row: u64) -> bool {
        uniform(row, 5) < 1.0 / (1.0 + (-self.log_odds(row)).exp())
    }

    fn batch(&self, rows: &[u64]) -> Batch {
        let all = || rows.iter().copied();
        let category = |of: fn(u64) -> u64| {
            let values = all().map(|row| of(row) as i64).collect();
            Column::Categorical(Categorical::Integers { values, nulls: None })
        };
        // A list of up to two tags: the ad's parity, and the user's where it is a multiple of three.
        let mut offsets = vec![0];
        let mut tags = Vec::new();
        for row in all() {
            tags.push((Self::ad(row) % 2) as i64);
            tags.extend((Self::user(row) % 3 == 0).then_some(7));
            offsets.push(tags.len());
        }
        let tags = Categorical::Integers { values: tags.into(), nulls: None };
        Batch {
            rows: rows.len(),
            first_row: rows[0],
            features: vec![
                category(Self::user),
                category(Self::ad),
                Column::Numeric(Numeric::F64(all().map(Self::hour).collect())),
                Column::Multi(Multi { offsets, values: tags }),
            ],
            labels: Some(all().map(|row| self.clicked(row)).collect()),
            weights: self.weight.map(|weight| all().map(weight).collect()),
            times: self.time.map(|time| all().map(time).map(Time::from_ms).collect()),
            carried: Vec::new(),
        }
    }

    fn batches(&self) -> impl Iterator<Item = Batch> {
        let mut rows: Vec<u64> = self.rows.clone().collect();
        if self.sorted_by_label {
            rows.sort_by_key(|&row| self.clicked(row));
        }
        let starts = (0..rows.len()).step_by(self.rows_per_batch as usize);
        starts.map(move |start| self.batch(&rows[start..rows.len().min(start + self.rows_per_batch as usize)]))
    }

    /// How a model does on this world's rows.
    fn evaluate(&self, model: &Model) -> Metrics {
        let mut measured = Accumulator::new(1 << 20);
        let (mut scratch, mut scores) = (Scratch::default(), Vec::new());
        for batch in self.batches() {
            model.score(&batch, &mut scratch, &mut scores).unwrap();
            for (&score, &label) in scores.iter().zip(batch.labels.as_ref().unwrap()) {
                measured.add(score, label, 1.0);
            }
        }
        measured.metrics().unwrap()
    }

    /// How the truth itself does.
    fn best(&self) -> Metrics {
        let mut measured = Accumulator::new(1 << 20);
        for batch in self.batches() {
            for (row, &label) in (batch.first_row..).zip(batch.labels.as_ref().unwrap()) {
                measured.add(1.0 / (1.0 + (-self.log_odds(row)).exp()), label, 1.0);
            }
        }
        measured.metrics().unwrap()
    }
}

impl Source<Error> for World {
    fn pass(&mut self, each: &mut dyn FnMut(Batch) -> Result<(), Error>) -> Result<(), Error> {
        self.batches().try_for_each(each)
    }
}

fn schema() -> Schema {
    let features = [("user", "categorical"), ("ad", "categorical"), ("hour", "numeric"), ("tags", "multi")];
    let text = features.map(|(name, kind)| format!("[[feature]]\nname = \"{name}\"\nkind = \"{kind}\"\n")).concat();
    Schema::from_toml(&format!("label = \"click\"\n{text}")).unwrap()
}

fn training(model: &Model) -> Training {
    model.artifact().manifest().training.clone().unwrap()
}

fn settings(family: FactorFamily) -> Settings {
    Settings { family, seed: 1, threads: 1, sample_negatives: 1.0, weights: WeightType::F32 }
}

fn learn(world: &mut World, settings: &Settings) -> Result<Model, Error> {
    train(world, None, &schema(), settings)
}

/// Clicks depend on the user, the ad, and the hour (a hump; missing is its own case).
fn additive(_row: u64, user: u64, ad: u64, hour: f64) -> f64 {
    let hump = if hour.is_nan() { 1.0 } else { (hour / 24.0 * std::f64::consts::TAU).sin() };
    (user % 5) as f64 * 0.5 - (ad % 4) as f64 * 0.5 + hump - 1.0
}

/// Clicks depend on whether the user's group and the ad's agree, and on neither alone.
fn interacting(_row: u64, user: u64, ad: u64, _hour: f64) -> f64 {
    if (user % 2) == (ad % 2) { 1.2 } else { -1.2 }
}

#[test]
fn every_family_comes_close_to_an_additive_truth() {
    for family in FAMILIES {
        let trained = learn(&mut World::new(0..20_000, additive), &settings(family)).unwrap();
        let test = World::new(50_000..70_000, additive);
        let (found, best) = (test.evaluate(&trained), test.best());
        assert!(found.logloss < best.logloss + 0.006, "{family:?}: {found:?}, best {best:?}");
        let calibration = found.calibration.unwrap();
        assert!((calibration - 1.0).abs() < 0.05, "{family:?}: {calibration}");
    }
}

#[test]
fn factorization_finds_interactions_that_linear_weights_cannot() {
    let test = World::new(50_000..70_000, interacting);
    for (family, least, most) in
        [(FactorFamily::Lr, 0.0, 0.53), (FactorFamily::Fm, 0.73, 1.0), (FactorFamily::Ffm, 0.73, 1.0)]
    {
        let trained = learn(&mut World::new(0..20_000, interacting), &settings(family)).unwrap();
        let auc = test.evaluate(&trained).auc.unwrap();
        assert!((least..most).contains(&auc), "{family:?}: {auc}; the truth has {:?}", test.best().auc);
    }
}

#[test]
fn the_same_data_and_seed_give_the_same_bytes_on_any_number_of_threads() {
    // Both sides of the number of rows below which settings are searched for.
    for (family, rows) in
        [(FactorFamily::Lr, 2_000), (FactorFamily::Fm, 2_000), (FactorFamily::Ffm, 2_000), (FactorFamily::Lr, 201_000)]
    {
        let bytes = |threads: usize, seed: u64| {
            let settings = Settings { threads, seed, ..settings(family) };
            let model = learn(&mut World::new(0..rows, additive), &settings).unwrap();
            let weights = model.artifact().payload("weights.safetensors").unwrap().clone();
            (model.artifact().id().to_owned(), weights)
        };
        let one = bytes(1, 1);
        assert!(one == bytes(1, 1), "{family:?}, {rows} rows: repeated");
        assert!(one == bytes(2, 1), "{family:?}, {rows} rows: two threads");
        assert!(one.1 != bytes(1, 2).1, "{family:?}, {rows} rows: another seed");
    }
}

#[test]
fn sampled_negatives_leave_the_click_rate_as_it_is() {
    fn rare(row: u64, user: u64, ad: u64, hour: f64) -> f64 {
        additive(row, user, ad, hour) - 2.5
    }
    let test = World::new(400_000..460_000, rare);
    for (family, rows) in [(FactorFamily::Lr, 40_000), (FactorFamily::Lr, 220_000), (FactorFamily::Fm, 220_000)] {
        let settings = Settings { sample_negatives: 0.2, ..settings(family) };
        let trained = learn(&mut World::new(0..rows, rare), &settings).unwrap();
        let (found, best) = (test.evaluate(&trained), test.best());
        let calibration = found.calibration.unwrap();
        assert!((calibration - 1.0).abs() < 0.08, "{family:?}, {rows} rows: {calibration}");
        assert!(found.logloss < best.logloss + 0.006, "{family:?}, {rows} rows: {found:?}, best {best:?}");
    }
}

#[test]
fn rows_without_weight_do_not_count() {
    // Rows of odd number are the opposite of the truth and weigh nothing.
    fn half_lies(row: u64, user: u64, ad: u64, hour: f64) -> f64 {
        if row % 2 == 1 { -additive(row, user, ad, hour) } else { additive(row, user, ad, hour) }
    }
    let mut world = World::new(0..20_000, half_lies);
    world.weight = Some(|row| if row % 2 == 1 { 0.0 } else { 2.5 });
    let trained = learn(&mut world, &settings(FactorFamily::Lr)).unwrap();
    let test = World::new(50_000..70_000, additive);
    assert!(test.evaluate(&trained).logloss < test.best().logloss + 0.01);
}

#[test]
fn rows_sorted_by_their_label_are_learned_as_well_as_others() {
    let test = World::new(500_000..520_000, additive);
    for (rows, family) in [(20_000, FactorFamily::Fm), (210_000, FactorFamily::Lr)] {
        let mut world = World::new(0..rows, additive);
        world.sorted_by_label = true;
        let trained = learn(&mut world, &settings(family)).unwrap();
        let (reached, best) = (test.evaluate(&trained).logloss, test.best().logloss);
        assert!(reached < best + 0.01, "{rows} rows: {reached}, best {best}");
        let notes = training(&trained).notes;
        assert!(notes.iter().any(|note| note.contains("sorted by their label")), "{notes:?}");
    }
}

#[test]
fn learning_stops_by_the_newest_rows_where_there_are_times() {
    // Nothing to find: each pass only learns noise, so the first that does not help is the last.
    let noise = |_: u64, _: u64, _: u64, _: f64| 0.0;
    for has_times in [false, true] {
        let mut world = World::new(0..20_000, noise);
        world.time = has_times.then_some(|row| row as i64);
        let trained = learn(&mut world, &settings(FactorFamily::Fm)).unwrap();
        let test = World::new(50_000..70_000, noise);
        let logloss = test.evaluate(&trained).logloss;
        assert!(logloss < std::f64::consts::LN_2 + 0.004, "times {has_times}: {logloss}");
        assert_eq!(training(&trained).times, has_times.then_some((Time::from_ms(0), Time::from_ms(19_999))));
        let held_out = training(&trained).held_out.unwrap().rows;
        assert_eq!(held_out < 6_000, has_times, "{held_out} rows held out");
    }
}

#[test]
fn a_last_day_with_a_level_of_its_own_does_not_become_the_level_of_the_next() {
    fn clicked_twice_as_often_at_last(row: u64, user: u64, ad: u64, hour: f64) -> f64 {
        let last = [18_000..20_000, 298_000..320_000].iter().any(|days| days.contains(&row));
        additive(row, user, ad, hour) - 1.5 + if last { 0.8 } else { 0.0 }
    }
    for (rows, what) in [(0..20_000, "few"), (100_000..320_000, "many")] {
        let last = (rows.end - rows.start) / 10;
        let mut world = World::new(rows, clicked_twice_as_often_at_last);
        world.time = Some(|row| row as i64);
        let trained = learn(&mut world, &settings(FactorFamily::Lr)).unwrap();
        let found = World::new(500_000..520_000, clicked_twice_as_often_at_last).evaluate(&trained);
        let ratio = found.calibration.unwrap();
        // Half of what the last day has of its own is learned, and twice the clicks are a log-odds of 0.8.
        assert!((0.9..1.4).contains(&ratio), "{what} rows ({last} on the last day): predicted over clicked is {ratio}");
    }
}

#[test]
fn the_newest_of_few_distinct_times_are_held_out_in_part() {
    const DAY: u64 = 20_000;
    type Case = (&'static str, fn(u64) -> i64, std::ops::Range<u64>);
    let table: [Case; 5] = [
        ("a short day, then a long one", |row| i64::from(row >= 1_000), 3_000..5_000),
        ("a long day, then a short one", |row| i64::from(row >= 19_000), 900..1_100),
        ("three days", |row| (row * 3 / DAY) as i64, 2_500..4_500),
        ("seven days", |row| (row * 7 / DAY) as i64, 4_000..6_000),
        ("one day: no newest rows, so all are held out in turn", |_| 5, DAY..DAY + 1),
    ];
    for (what, time, expected) in table {
        let mut world = World { time: Some(time), ..World::new(0..DAY, additive) };
        let model = learn(&mut world, &settings(FactorFamily::Lr)).unwrap();
        let held_out = training(&model).held_out.unwrap().rows;
        assert!(expected.contains(&held_out), "{what}: {held_out} rows held out");
    }
}

#[test]
fn rows_given_to_validate_by_are_the_ones_measured() {
    let mut valid = World::new(50_000..53_000, additive);
    let trained = train(
        &mut World::new(0..10_000, additive),
        Some(&mut valid as &mut dyn Source<Error>),
        &schema(),
        &settings(FactorFamily::Lr),
    );
    assert_eq!(training(&trained.unwrap()).held_out.unwrap().rows, 3_000);
    for (rows, weight, said) in [
        (0..0, None, "there are no rows to validate by"),
        (0..9, Some((|_| 0.0) as fn(u64) -> f32), "the rows to validate by weigh nothing"),
    ] {
        let mut valid = World { weight, ..World::new(rows, additive) };
        let valid = Some(&mut valid as &mut dyn Source<Error>);
        let error =
            train(&mut World::new(0..10_000, additive), valid, &schema(), &settings(FactorFamily::Lr)).unwrap_err();
        assert_eq!(error.to_string(), said);
    }
}

#[test]
fn what_cannot_be_learned_from_is_said() {
    let never = |_: u64, _: u64, _: u64, _: f64| -1e9;
    let always = |_: u64, _: u64, _: u64, _: f64| 1e9;
    for (rows, truth, weight, said) in [
        (0..0, additive as fn(u64, u64, u64, f64) -> f64, None, "there are no rows to learn from"),
        (0..9, never, None, "all 9 rows were not clicked"),
        (0..9, always, None, "all 9 rows were clicked"),
        (0..99, additive, Some((|_| 0.0) as fn(u64) -> f32), "the sample weights leave no weight"),
    ] {
        let mut world = World { weight, ..World::new(rows, truth) };
        let error = learn(&mut world, &settings(FactorFamily::Lr)).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    struct Unlabelled;
    impl Source<Error> for Unlabelled {
        fn pass(&mut self, each: &mut dyn FnMut(Batch) -> Result<(), Error>) -> Result<(), Error> {
            each(Batch { labels: None, ..World::new(0..9, additive).batch(&[0, 1, 2]) })
        }
    }
    let error = train(&mut Unlabelled, None, &schema(), &settings(FactorFamily::Lr)).unwrap_err();
    assert!(matches!(error, Error::NoLabels), "{error}");
}

#[test]
fn few_rows_and_huge_weights_are_learned_or_refused_but_never_panic() {
    for family in FAMILIES {
        for rows in [2, 3, 5, 17, 60] {
            // Of two rows one may be of one class only; that is said, and nothing else goes wrong.
            for weight in [None, Some((|_| f32::MAX) as fn(u64) -> f32), Some(|_| 1e-38)] {
                let mut world = World { weight, ..World::new(0..rows, additive) };
                match learn(&mut world, &settings(family)) {
                    Ok(trained) => assert!(world.evaluate(&trained).logloss.is_finite()),
                    Err(Error::OneClass { .. } | Error::NoWeight | Error::Diverged) => {}
                    Err(error) => panic!("{family:?}, {rows} rows: {error}"),
                }
            }
        }
    }
}
