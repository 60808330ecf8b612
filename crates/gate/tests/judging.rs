//! What the gate says of models and rows whose faults are known, and of input that can't be judged.
#![allow(clippy::unwrap_used)]

use clickcast_gate::model::measure::{Measuring, Observed, Scorer};
use clickcast_gate::model::{Backtested, Described, Evidence, judge, reading_schema};
use clickcast_learn::{Error, FactorFamily, Settings, Source};
use clickcast_model::factors::WeightType;
use clickcast_model::profile::Profile;
use clickcast_model::{Model, Scratch};
use clickcast_record::hash::integer as mix;
use clickcast_record::{Batch, Categorical, Column, Numeric, Schema, Time};
use clickcast_verdict::{Check, Judgement, Verdict};

const MS_PER_DAY: i64 = 86_400_000;
const FIRST_DAY: i64 = 20_000;
const ROWS_PER_DAY: u64 = 6_000;
/// A day after the last one that any test has rows of.
const NOW_MS: i64 = (FIRST_DAY + 12) * MS_PER_DAY;

fn draw(row: u64, column: u64) -> u64 {
    mix((row << 8 | column).cast_signed())
}

/// A market of 300 users and 40 ads, of whom each has a taste; one row in ten is clicked.
#[derive(Clone, Copy)]
struct Market {
    /// Without it a schema lacks the ad's price.
    priced: bool,
    clicked: fn(u64, bool) -> bool,
    price: fn(f64) -> f64,
    user_id: fn(u64) -> u64,
}

const HONEST: Market =
    Market { priced: true, clicked: |_, clicked| clicked, price: |price| price, user_id: |user| user };

impl Market {
    fn schema(self) -> Schema {
        let feature = |name: &str, kind: &str, side: &str| {
            format!("[[feature]]\nname = \"{name}\"\nkind = \"{kind}\"\nside = \"{side}\"\n")
        };
        let mut text = "label = \"click\"\ntime = \"ts\"\n".to_owned();
        text += &feature("user", "categorical", "user");
        text += &feature("ad", "categorical", "ad");
        if self.priced {
            text += &feature("price", "numeric", "ad");
        }
        Schema::from_toml(&text).unwrap()
    }

    /// Rows of some days, from the first one on.
    fn batch(self, days: std::ops::Range<u64>, labelled: bool) -> Batch {
        let rows: Vec<u64> = (days.start * ROWS_PER_DAY..days.end * ROWS_PER_DAY).collect();
        let user = |row: u64| draw(row, 1) % 300;
        let ad = |row: u64| draw(row, 2) % 40;
        let taste = |row: u64| (draw(ad(row), 4) % 100) as f64 / 40.0 + (draw(user(row), 3) % 100) as f64 / 60.0;
        let clicked = |row: u64| {
            let chance = 1.0 / (1.0 + (4.4 - taste(row)).exp());
            (self.clicked)(row, (draw(row, 5) >> 11) as f64 / (1u64 << 53) as f64 <= chance)
        };
        let integers = |of: &dyn Fn(u64) -> u64| {
            let values = rows.iter().map(|&row| of(row) as i64).collect();
            Column::Categorical(Categorical::Integers { values, nulls: None })
        };
        let mut features = vec![integers(&|row| (self.user_id)(user(row))), integers(&ad)];
        if self.priced {
            let price = |&row: &u64| (self.price)((1 + draw(ad(row), 4) % 100) as f64);
            features.push(Column::Numeric(Numeric::F64(rows.iter().map(price).collect::<Vec<_>>().into())));
        }
        let time = |&row: &u64| FIRST_DAY * MS_PER_DAY + row as i64 * MS_PER_DAY / ROWS_PER_DAY as i64;
        Batch {
            rows: rows.len(),
            first_row: 0,
            features,
            labels: labelled.then(|| rows.iter().map(|&row| clicked(row)).collect()),
            weights: None,
            times: Some(rows.iter().map(|row| Time::from_ms(time(row))).collect()),
            carried: Vec::new(),
        }
    }

    fn learn(self, days: std::ops::Range<u64>) -> Learned {
        let settings =
            Settings { family: FactorFamily::Lr, seed: 1, threads: 1, sample_negatives: 1.0, weights: WeightType::F32 };
        let mut source = Passes(self.batch(days, true));
        let model = clickcast_learn::train(&mut source, None, &self.schema(), &settings).unwrap();
        Learned { golden_difference: model.golden_difference().unwrap(), profile: model.profile().unwrap(), model }
    }
}

struct Passes(Batch);

impl Source<Error> for Passes {
    fn pass(&mut self, each: &mut dyn FnMut(Batch) -> Result<(), Error>) -> Result<(), Error> {
        each(self.0.clone())
    }
}

struct Learned {
    model: Model,
    profile: Option<Profile>,
    golden_difference: Option<f64>,
}

impl Learned {
    fn described(&self) -> Described<'_> {
        let (profile, golden_difference) = (self.profile.as_ref(), self.golden_difference);
        Described { manifest: self.model.artifact().manifest(), profile, golden_difference }
    }
}

fn observe(candidate: &Learned, champion: Option<&Learned>, batch: Batch) -> Observed {
    let champion = champion.map(|champion| &champion.model);
    let schema = reading_schema(&candidate.model, champion, |_| true).unwrap();
    let mut measuring = Measuring::new(&schema, candidate.profile.as_ref());
    let scorer = Scorer::new(&candidate.model, champion, &schema).unwrap();
    measuring.add(&scorer.score(batch, &mut Scratch::default()).unwrap());
    measuring.finish()
}

fn gate(candidate: &Learned, champion: Option<&Learned>, labelled: Batch, today: Option<Batch>) -> Judgement {
    let labelled = observe(candidate, champion, labelled);
    let today = today.map(|today| observe(candidate, champion, today));
    judge(&Evidence {
        candidate: candidate.described(),
        champion: champion.map(Learned::described),
        champion_unfit: None,
        labelled: &labelled,
        today: today.as_ref(),
        backtest: None,
        now_ms: NOW_MS,
    })
}

fn check<'a>(judgement: &'a Judgement, name: &str) -> &'a Check {
    judgement.checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no {name} in {judgement:#?}"))
}

#[test]
fn a_good_retrain_passes_and_every_check_says_why() {
    let (champion, candidate) = (HONEST.learn(0..6), HONEST.learn(1..7));
    let judgement = gate(&candidate, Some(&champion), HONEST.batch(8..9, true), Some(HONEST.batch(9..10, false)));
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    assert!(judgement.checks.len() > 20);
    assert!(judgement.checks.iter().all(|check| check.reason.ends_with('.')), "{judgement:#?}");
}

#[test]
fn the_first_model_is_judged_alone_and_that_is_said() {
    let candidate = HONEST.learn(1..7);
    let judgement = gate(&candidate, None, HONEST.batch(8..9, true), Some(HONEST.batch(9..10, false)));
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    assert!(check(&judgement, "champion").reason.contains("no champion yet"));
    assert!(judgement.checks.iter().all(|check| check.name != "normalized_entropy"));
}

#[test]
fn each_fault_is_named_by_its_check() {
    let champion = HONEST.learn(0..6);
    let (labelled, today) = (|| HONEST.batch(8..9, true), || Some(HONEST.batch(9..10, false)));
    let never = Market { clicked: |row, clicked| clicked && !draw(row, 9).is_multiple_of(2), ..HONEST };
    let noise = Market { clicked: |row, _| draw(row, 9).is_multiple_of(10), ..HONEST };
    let scaled = Market { price: |price| price * 1000.0, ..HONEST };
    let stuck = Market { user_id: |_| 7, ..HONEST };
    let renamed = Market { user_id: |user| user + 1_000_000, ..HONEST };
    let honest = HONEST.learn(1..7);
    let off = |difference| Learned { golden_difference: Some(difference), ..HONEST.learn(1..7) };
    for (judgement, name, verdict) in [
        (gate(&off(1e-3), Some(&champion), labelled(), today()), "golden_rows", Verdict::Fail),
        (gate(&off(f64::NAN), None, labelled(), today()), "golden_rows", Verdict::Fail),
        // Half of the clicks are lost, before learning.
        (gate(&never.learn(1..7), Some(&champion), labelled(), today()), "calibration", Verdict::Hold),
        (gate(&noise.learn(1..7), Some(&champion), labelled(), today()), "normalized_entropy", Verdict::Fail),
        (gate(&noise.learn(1..7), Some(&champion), labelled(), today()), "training_labels", Verdict::Fail),
        (gate(&scaled.learn(1..7), Some(&champion), labelled(), today()), "training_same_days", Verdict::Fail),
        (gate(&honest, Some(&champion), labelled(), Some(scaled.batch(9..10, false))), "today_drift", Verdict::Fail),
        // Today's rows are like the labelled ones: only that neither was learned tells.
        (
            gate(&honest, Some(&champion), renamed.batch(8..9, true), Some(renamed.batch(9..10, false))),
            "labelled_values",
            Verdict::Fail,
        ),
        (gate(&honest, Some(&champion), labelled(), Some(stuck.batch(9..10, false))), "today_share", Verdict::Fail),
        (gate(&noise.learn(1..7), Some(&champion), labelled(), None), "feature_effects", Verdict::Fail),
        (gate(&noise.learn(1..7), Some(&champion), labelled(), None), "score_tails", Verdict::Fail),
        (gate(&HONEST.learn(1..10), Some(&champion), labelled(), today()), "future_rows", Verdict::Fail),
        (gate(&HONEST.learn(1..10), Some(&champion), labelled(), today()), "seen_rows", Verdict::Fail),
        (gate(&HONEST.learn(0..3), Some(&champion), labelled(), today()), "newer_than_champion", Verdict::Hold),
    ] {
        assert!(check(&judgement, name).verdict >= verdict, "{name}: {judgement:#?}");
        assert_ne!(judgement.verdict, Verdict::Pass);
    }
}

#[test]
fn click_rates_that_drifted_since_an_old_champion_are_vouched_for_by_the_labelled_day() {
    // Half of the ads are clicked a quarter as often.
    let drifted = Market {
        clicked: |row, clicked| clicked && (draw(row, 2) % 40 >= 20 || draw(row, 9).is_multiple_of(4)),
        ..HONEST
    };
    // No day is the champion's and the candidate's.
    let (champion, candidate) = (HONEST.learn(0..4), drifted.learn(4..8));
    let labels = |labelled| gate(&candidate, Some(&champion), labelled, None);
    let vouched = labels(drifted.batch(9..10, true));
    assert_eq!(check(&vouched, "training_labels").verdict, Verdict::Pass, "{vouched:#?}");
    let spoiled = labels(HONEST.batch(9..10, true));
    let spoiled = check(&spoiled, "training_labels");
    assert!(spoiled.verdict > Verdict::Pass && spoiled.reason.contains("and the labelled rows"), "{spoiled:?}");
}

#[test]
fn a_missing_day_is_excused_only_where_the_champion_lacks_it_too() {
    let without = |days: std::ops::Range<u64>, missing: u64| {
        let mut learned = HONEST.learn(days);
        learned.profile.as_mut().unwrap().days.retain(|day| day.day != FIRST_DAY + missing as i64);
        learned
    };
    let (labelled, candidate) = (|| HONEST.batch(10..11, true), || without(2..8, 5));
    for (champion, verdict) in
        [(without(0..7, 5), Verdict::Pass), (without(0..7, 1), Verdict::Hold), (HONEST.learn(0..7), Verdict::Hold)]
    {
        let judgement = gate(&candidate(), Some(&champion), labelled(), None);
        assert_eq!(check(&judgement, "training_days").verdict, verdict, "{judgement:#?}");
    }
}

#[test]
fn few_clicked_rows_of_a_sliver_of_the_champions_fail() {
    let (champion, mut candidate) = (HONEST.learn(0..6), HONEST.learn(1..7));
    let profile = candidate.profile.as_mut().unwrap();
    (profile.positives, profile.rows) = (Some(61), champion.profile.as_ref().unwrap().rows / 100);
    let judgement = gate(&candidate, Some(&champion), HONEST.batch(8..9, true), None);
    assert_eq!(check(&judgement, "training_rows").verdict, Verdict::Fail, "{judgement:#?}");
}

#[test]
fn a_known_feature_that_leaks_is_not_hidden_by_a_new_one() {
    let (champion, mut candidate) = (Market { priced: false, ..HONEST }.learn(0..6), HONEST.learn(1..7));
    // Of 2,000 rows with 300 clicks: one feature tells 22 % of what there is to know, the other, which is new, 26 %.
    for feature in &mut candidate.profile.as_mut().unwrap().features {
        let clicked = match feature.name.as_str() {
            "user" => [10, 290],
            "price" => [2, 298],
            _ => [150, 150],
        };
        let cells: Vec<(u16, u32, u32)> = (1..).zip(clicked).map(|(bin, clicked)| (bin, 1000, clicked)).collect();
        feature.days.iter_mut().for_each(|day| day.clone_from(&cells));
    }
    let judgement = gate(&candidate, Some(&champion), HONEST.batch(8..9, true), None);
    let leak = check(&judgement, "label_leak");
    assert!(leak.verdict == Verdict::Fail && leak.reason.contains("`user`"), "{leak:?}");
}

#[test]
fn a_backtest_bounds_what_is_expected_by_the_worst_of_the_earlier_days() {
    let candidate = HONEST.learn(1..7);
    let labelled = observe(&candidate, None, HONEST.batch(8..9, true));
    let own = labelled.labels.as_ref().unwrap().candidate.normalized_entropy.unwrap();
    let tried = |entropies: &[Option<f64>]| -> Vec<Backtested> {
        let day = |(number, &normalized_entropy): (usize, &Option<f64>)| Backtested {
            day: format!("2026-01-0{number}"),
            days_learned: 6,
            normalized_entropy,
            calibration: None,
        };
        entropies.iter().enumerate().map(day).collect()
    };
    for (entropies, verdict, said) in [
        (&[Some(own - 0.03), Some(own - 0.01)][..], Verdict::Pass, "on 2026-01-01"),
        (&[Some(own - 0.04), None, Some(own - 0.03)], Verdict::Hold, "each of 2 earlier days"),
        (&[Some(own - 0.06)], Verdict::Fail, "on 2026-01-00"),
        (&[Some(own), Some(1.01)], Verdict::Fail, "worse there than predicting the mean"),
        (&[None], Verdict::Hold, "No day that was tried"),
        (&[], Verdict::Hold, "No day that was tried"),
    ] {
        let tried = tried(entropies);
        let judgement = judge(&Evidence {
            candidate: candidate.described(),
            champion: None,
            champion_unfit: None,
            labelled: &labelled,
            today: None,
            backtest: Some(&tried),
            now_ms: NOW_MS,
        });
        let check = check(&judgement, "backtest");
        assert!(check.verdict == verdict && check.reason.contains(said), "{entropies:?}: {check:?}");
    }
}

#[test]
fn rows_without_labels_or_of_one_class_hold_and_say_what_is_needed() {
    let (champion, candidate) = (HONEST.learn(0..6), HONEST.learn(1..7));
    let none = Market { clicked: |_, _| false, ..HONEST };
    let all = Market { clicked: |_, _| true, ..HONEST };
    let few = Market { clicked: |row, clicked| clicked && row % 200 == 0, ..HONEST };
    for (labelled, said) in [
        (HONEST.batch(8..9, false), "no labels"),
        (none.batch(8..9, true), "None of the 6 000 labelled rows was clicked"),
        (all.batch(8..9, true), "All 6 000 labelled rows were clicked"),
        (few.batch(8..9, true), "at least 30 are needed"),
        (HONEST.batch(8..8, true), "no labels"),
    ] {
        let judgement = gate(&candidate, Some(&champion), labelled, None);
        let labels = check(&judgement, "labels");
        assert!(labels.verdict == Verdict::Hold && labels.reason.contains(said), "{labels:?}");
    }
}

#[test]
fn too_few_rows_to_tell_hold_with_how_many_more_are_needed() {
    let (champion, candidate) = (HONEST.learn(0..1), HONEST.learn(1..7));
    let mut labelled = HONEST.batch(8..9, true);
    let rows = 700;
    labelled.rows = rows;
    for column in &mut labelled.features {
        match column {
            Column::Categorical(Categorical::Integers { values, .. }) => *values = values.slice(0, rows),
            Column::Numeric(Numeric::F64(values)) => *values = values.slice(0, rows),
            other => panic!("{other:?}"),
        }
    }
    labelled.labels.as_mut().unwrap().truncate(rows);
    labelled.times.as_mut().unwrap().truncate(rows);
    let judgement = gate(&candidate, Some(&champion), labelled, None);
    let entropy = check(&judgement, "normalized_entropy");
    assert_ne!(judgement.verdict, Verdict::Pass);
    assert!(entropy.reason.contains("more labelled rows are needed"), "{entropy:?}");
}

#[test]
fn a_champion_of_another_schema_is_compared_where_it_can_be() {
    let unpriced = Market { priced: false, ..HONEST };
    let (champion, candidate) = (unpriced.learn(0..6), HONEST.learn(1..7));
    let judgement = gate(&candidate, Some(&champion), HONEST.batch(8..9, true), Some(HONEST.batch(9..10, false)));
    let said = check(&judgement, "champion");
    assert!(said.verdict == Verdict::Pass && said.reason.contains("`price`"), "{said:?}");
    check(&judgement, "normalized_entropy");

    // The other way round the champion needs what the data no longer has.
    let why = reading_schema(&champion.model, Some(&candidate.model), |_| false).unwrap_err();
    assert!(why.contains("`price`"), "{why}");
    let labelled = observe(&champion, None, unpriced.batch(8..9, true));
    let judgement = judge(&Evidence {
        candidate: champion.described(),
        champion: Some(candidate.described()),
        champion_unfit: Some(&why),
        labelled: &labelled,
        today: None,
        backtest: None,
        now_ms: NOW_MS,
    });
    let said = check(&judgement, "champion");
    assert!(said.verdict == Verdict::Hold && said.reason.contains("can't score this data"), "{said:?}");
    // Profiles are compared all the same.
    check(&judgement, "training_same_days");
}

#[test]
fn rows_that_are_labelled_and_todays_share_all_values_and_that_is_no_fault() {
    let (champion, candidate) = (HONEST.learn(0..6), HONEST.learn(1..7));
    let others = Market { user_id: |user| user + 200, ..HONEST };
    let judgement = gate(&candidate, Some(&champion), others.batch(8..9, true), Some(others.batch(8..9, false)));
    assert_eq!(check(&judgement, "labelled_values").verdict, Verdict::Pass, "{judgement:#?}");
    let judgement = gate(&candidate, Some(&champion), others.batch(8..9, true), Some(others.batch(9..10, false)));
    assert_eq!(check(&judgement, "labelled_values").verdict, Verdict::Hold, "{judgement:#?}");
}

#[test]
fn rows_are_resampled_by_user_unless_the_feature_is_none() {
    let (champion, candidate) = (HONEST.learn(0..6), HONEST.learn(1..7));
    let of_few = Market { user_id: |user| user % 3, ..HONEST };
    for (market, blocks_min, blocks_max) in [(HONEST, 150, 256), (of_few, 64, 256)] {
        let labels = observe(&candidate, Some(&champion), market.batch(8..9, true)).labels.unwrap();
        assert!((blocks_min..=blocks_max).contains(&labels.blocks.len()), "{}", labels.blocks.len());
        assert_eq!(labels.blocks.iter().map(|block| block.rows).sum::<f64>(), ROWS_PER_DAY as f64);
    }
}

#[test]
fn rows_from_the_future_hold_whoevers_clock_is_wrong() {
    let (champion, candidate) = (HONEST.learn(0..6), HONEST.learn(1..7));
    let mut today = HONEST.batch(9..10, false);
    today.times.iter_mut().flatten().for_each(|time| *time = Time::from_ms(time.as_ms() + 30 * MS_PER_DAY));
    let judgement = gate(&candidate, Some(&champion), HONEST.batch(8..9, true), Some(today));
    let clock = check(&judgement, "clock");
    assert!(
        clock.verdict == Verdict::Hold && clock.reason.contains("hours ahead of this machine's clock"),
        "{clock:?}"
    );
}

#[test]
fn a_model_without_a_profile_is_judged_by_its_scores() {
    let champion = HONEST.learn(0..6);
    let candidate = Learned { profile: None, ..HONEST.learn(1..7) };
    let judgement = gate(&candidate, Some(&champion), HONEST.batch(8..9, true), Some(HONEST.batch(9..10, false)));
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    assert!(check(&judgement, "training_profile").reason.contains("no profile"));
}
