//! Properties of the market, each checked on the rows that a reader of the data sees.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int8Type, Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow_schema::DataType;

use super::truth::Optimum;
use super::*;

pub(super) fn generator(change: impl FnOnce(&mut Settings)) -> Generator {
    let mut settings = Settings { users: 5_000, ads: 500, ..Settings::for_rows(100_000) };
    change(&mut settings);
    Generator::new(settings).unwrap()
}

pub(super) fn blocks(generator: &Generator) -> Vec<RecordBatch> {
    (0..generator.blocks()).map(|index| generator.block(index)).collect()
}

/// A numeric column over all blocks; missing values are `None`.
pub(super) fn numbers<T: ArrowPrimitiveType>(blocks: &[RecordBatch], column: &str) -> Vec<Option<T::Native>> {
    let of_block = |block: &RecordBatch| block.column_by_name(column).unwrap().as_primitive::<T>().clone();
    blocks.iter().map(of_block).flat_map(|array: PrimitiveArray<T>| array.iter().collect::<Vec<_>>()).collect()
}

/// A text column over all blocks, as text.
fn texts(blocks: &[RecordBatch], column: &str) -> Vec<Option<String>> {
    let mut all = Vec::new();
    for block in blocks {
        let array = block.column_by_name(column).unwrap().as_dictionary::<Int32Type>();
        let values = array.values().as_string::<i32>();
        all.extend(array.keys().iter().map(|code| code.map(|code| values.value(code as usize).to_owned())));
    }
    all
}

pub(super) fn optimum(blocks: &[RecordBatch]) -> Optimum {
    let mut truth = Truth::new();
    for block in blocks {
        truth.add(block).unwrap();
    }
    truth.optimum().unwrap()
}

#[test]
fn rows_do_not_depend_on_the_order_of_blocks() {
    let forward = blocks(&generator(|_| ()));
    let other = generator(|_| ());
    let mut backward: Vec<_> = (0..other.blocks()).rev().map(|index| other.block(index)).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_ne!(forward, blocks(&generator(|settings| settings.seed = 2)), "another seed is another market");
}

#[test]
fn every_row_is_made_once_in_order_of_time_and_within_the_days() {
    for (rows, days) in [(0, 7), (1, 1), (3, 7), (100_000, 7), (65_536, 2), (65_537, 40)] {
        let generator = generator(|settings| (settings.rows, settings.days) = (rows, days));
        let made = blocks(&generator);
        let ids: Vec<i64> = numbers::<Int64Type>(&made, "impression_id").into_iter().flatten().collect();
        assert!(ids.iter().copied().eq(0..rows as i64), "{rows} rows in {days} days: {} rows came", ids.len());
        let times: Vec<i64> = numbers::<TimestampMillisecondType>(&made, "ts").into_iter().flatten().collect();
        assert!(times.is_sorted(), "{rows} rows in {days} days are out of order");
        let start = 1_767_571_200_000; // 2026-01-05T00:00Z
        let end = start + i64::from(days) * 86_400_000;
        assert!(times.iter().all(|time| (start..end).contains(time)), "{rows} rows leave their {days} days");
        let hours = numbers::<Int8Type>(&made, "hour");
        let agree = |(time, hour): (&i64, &Option<i8>)| time / 3_600_000 % 24 == i64::from(hour.unwrap());
        assert!(times.iter().zip(&hours).all(agree), "`hour` is not the hour of `ts`");
    }
    assert_eq!(generator(|_| ()).block(u64::MAX).num_rows(), 0, "there is nothing beyond the last block");
}

#[test]
fn click_rate_and_difficulty_are_alike_for_every_seed() {
    for seed in 0..12 {
        let settings = Settings { seed, users: 10_000, ads: 400, ..Settings::for_rows(131_072) };
        let best = optimum(&blocks(&Generator::new(settings).unwrap()));
        let auc = best.auc.unwrap();
        assert!((0.0225..0.0275).contains(&best.ctr), "seed {seed}: CTR {}", best.ctr);
        assert!((0.77..0.84).contains(&auc), "seed {seed}: AUC {auc}");
        assert!(best.logloss < 0.9 * best.base_logloss, "seed {seed}: {best:?}");
    }
}

#[test]
fn clicks_follow_their_true_probability_everywhere() {
    let made = blocks(&generator(|settings| settings.rows = 400_000));
    let truths = numbers::<Float64Type>(&made, "true_ctr");
    let clicks = numbers::<Int8Type>(&made, "click");
    let mut rows: Vec<(f64, f64)> =
        truths.iter().zip(&clicks).map(|(truth, click)| (truth.unwrap(), f64::from(click.unwrap()))).collect();
    rows.sort_by(|left, right| left.0.total_cmp(&right.0));
    for (index, bucket) in rows.chunks(20_000).enumerate() {
        let expected: f64 = bucket.iter().map(|row| row.0).sum();
        let clicked: f64 = bucket.iter().map(|row| row.1).sum();
        let variance: f64 = bucket.iter().map(|row| row.0 * (1.0 - row.0)).sum();
        let sigmas = (clicked - expected) / variance.sqrt();
        assert!(sigmas.abs() < 5.0, "bucket {index}: {clicked} clicks where {expected} were due ({sigmas} sigma)");
    }
}

#[test]
fn the_tables_of_users_and_ads_say_what_the_impressions_say() {
    let generator = generator(|_| ());
    let impressions = generator.block(1);
    for (table, key) in [
        (generator.users(0..generator.settings().users), "user_id"),
        (generator.ads(0..generator.settings().ads), "ad_id"),
    ] {
        let names = |batch: &RecordBatch| -> Vec<String> {
            let column = batch.column_by_name(key).unwrap();
            match column.data_type() {
                DataType::Int64 => column.as_primitive::<Int64Type>().values().iter().map(i64::to_string).collect(),
                _ => texts(std::slice::from_ref(batch), key).into_iter().flatten().collect(),
            }
        };
        let rows: HashMap<String, usize> =
            names(&table).into_iter().enumerate().map(|(row, name)| (name, row)).collect();
        assert_eq!(rows.len(), table.num_rows(), "each `{key}` is there once");
        for (row, name) in names(&impressions).iter().enumerate() {
            for field in table.schema().fields() {
                let known = table.column_by_name(field.name()).unwrap().slice(rows[name], 1);
                let seen = impressions.column_by_name(field.name()).unwrap().slice(row, 1);
                assert_eq!(&known, &seen, "`{}` of {key} {name} in row {row}", field.name());
            }
        }
    }
    assert_eq!(generator.users(10..14), generator.users(0..20).slice(10, 4), "a range is a part of the whole");
}

#[test]
fn a_few_users_and_ads_see_much_of_the_traffic() {
    let made = blocks(&generator(|_| ()));
    let users = numbers::<Int64Type>(&made, "user_id").into_iter().map(|id| id.unwrap().to_string()).collect();
    let ads = texts(&made, "ad_id").into_iter().flatten().collect();
    // The shares that `Σ k^-exponent` gives; an ad shares its slot with those before and after it.
    for (name, ids, share_of_tenth) in [("user_id", users, 0.38..0.42), ("ad_id", ads, 0.55..0.80)] {
        let ids: Vec<String> = ids;
        let mut counts: HashMap<&String, usize> = HashMap::new();
        ids.iter().for_each(|id| *counts.entry(id).or_default() += 1);
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable_by(|left, right| right.cmp(left));
        let tenth = counts.iter().take(counts.len() / 10).sum::<usize>() as f64 / ids.len() as f64;
        assert!(share_of_tenth.contains(&tenth), "the top tenth of `{name}` has {tenth} of the rows");
    }
}

#[test]
fn values_are_missing_as_often_as_said() {
    let users = generator(|settings| settings.users = 50_000).users(0..50_000);
    let ads = generator(|settings| settings.ads = 50_000).ads(0..50_000);
    let impressions = generator(|_| ()).block(0);
    let said = HashMap::from([
        ("age", world::AGE_MISSING),
        ("carrier", world::CARRIER_MISSING),
        ("interests", world::INTERESTS_MISSING),
        ("days_since_install", world::INSTALL_MISSING),
        ("bid", world::BID_MISSING),
        ("connection", world::CONNECTION_MISSING),
    ]);
    for field in impressions.schema().fields() {
        let table = [&users, &ads, &impressions].into_iter().find(|table| table.column_by_name(field.name()).is_some());
        let column = table.unwrap().column_by_name(field.name()).unwrap();
        let missing = column.null_count() as f64 / column.len() as f64;
        let due = said.get(field.name().as_str()).copied().unwrap_or(0.0);
        assert!((missing - due).abs() < 0.01, "`{}`: {missing} is missing where {due} is said", field.name());
    }
}

#[test]
fn days_have_a_rhythm_of_traffic_and_of_clicks() {
    let made = blocks(&generator(|settings| settings.rows = 300_000));
    let mut hours = [(0.0, 0.0); 24];
    for (hour, truth) in numbers::<Int8Type>(&made, "hour").iter().zip(numbers::<Float64Type>(&made, "true_ctr")) {
        let (rows, ctr_sum) = &mut hours[hour.unwrap() as usize];
        *rows += 1.0;
        *ctr_sum += truth.unwrap();
    }
    assert!(hours[20].0 > 4.0 * hours[4].0, "the evening is busier than the night: {hours:?}");
    let ctr = |hour: usize| hours[hour].1 / hours[hour].0;
    assert!(ctr(21) > 1.2 * ctr(9), "people click more in the evening: {hours:?}");
}

#[test]
fn tastes_drift_slowly_and_ads_come_and_go() {
    let generator = generator(|settings| (settings.rows, settings.days, settings.ads) = (600_000, 30, 4_000));
    let made = blocks(&generator);
    let start = 1_767_571_200_000;
    let day = |time: Option<i64>| ((time.unwrap() - start) / 86_400_000) as usize;
    let days: Vec<usize> = numbers::<TimestampMillisecondType>(&made, "ts").into_iter().map(day).collect();
    let ads: Vec<String> = texts(&made, "ad_id").into_iter().flatten().collect();
    let ads_of = |wanted: usize| -> HashSet<&String> {
        ads.iter().zip(&days).filter(|(_, day)| **day == wanted).map(|(ad, _)| ad).collect()
    };
    let first = ads_of(0);
    let known = |wanted: usize| {
        let rows = days.iter().filter(|day| **day == wanted).count() as f64;
        ads.iter().zip(&days).filter(|(ad, day)| **day == wanted && first.contains(ad)).count() as f64 / rows
    };
    assert!(known(1) > 0.7, "most ads of the first day are there on the second: {}", known(1));
    assert!(known(29) < 0.05, "and gone a month later: {}", known(29));

    // The same user, ad and circumstances, another day: only drift changes what happens.
    let log_odds = |index: u64, day: u32| {
        let mut stream = Stream::new(9, Field::Row, index);
        let moment = generator.calendar.at(day, 0.5);
        let (user, ad, mut context) = generator.world.impression(&mut stream, generator.calendar.at(3, 0.5));
        context.moment = calendar::Moment { weekend: false, ..moment };
        let probability = generator.effects.click_probability(&user, &ad, &context);
        (probability / (1.0 - probability)).ln()
    };
    let change = |day: u32| {
        let squares = (0..2_000).map(|index| (log_odds(index, day) - log_odds(index, 0)).powi(2)).sum::<f64>();
        (squares / 2_000.0).sqrt()
    };
    let (a_day, a_month) = (change(1), change(29));
    assert!((0.01..0.1).contains(&a_day), "a day changes little: {a_day}");
    assert!(a_month > 0.5, "a month changes much: {a_month}");
}

#[test]
fn settings_out_of_range_are_refused_with_a_sentence() {
    type Change = fn(&mut Settings);
    let refusal = |change: Change| {
        let mut settings = Settings::for_rows(1_000);
        change(&mut settings);
        Generator::new(settings).err().map(|error| error.to_string())
    };
    let rows: [(Change, Option<&str>); 6] = [
        (|_| (), None),
        (|settings| settings.rows = 0, None),
        (|settings| (settings.users, settings.ads, settings.days) = (1, 1, 1), None),
        (|settings| settings.users = 0, Some("`users` is 0; give a number from 1 to 4294967295, or leave it out")),
        (|settings| settings.ads = 0, Some("`ads` is 0; give a number from 1 to 10000000, or leave it out")),
        (|settings| settings.days = 9_999, Some("`days` is 9999; give a number from 1 to 3660, or leave it out")),
    ];
    for (change, expected) in rows {
        assert_eq!(refusal(change).as_deref(), expected);
    }
    for rows in [0, 1, 1_000_000, 1_000_000_000_000] {
        assert!(Settings::for_rows(rows).check().is_ok(), "the defaults for {rows} rows are valid");
    }
}

#[test]
fn the_smallest_market_works() {
    let generator = generator(|settings| (settings.users, settings.ads, settings.days) = (1, 1, 1));
    let best = optimum(&blocks(&generator));
    assert!((0.02..0.03).contains(&best.ctr), "CTR {}", best.ctr);
    assert_eq!((generator.users(0..9).num_rows(), generator.ads(0..9).num_rows()), (1, 1));
}

#[test]
fn the_features_file_reads_every_column_but_the_answer() {
    let schema = clickcast_record::Schema::from_toml(&features_toml()).unwrap();
    assert_eq!(schema.label(), Some("click"));
    assert_eq!(schema.time(), Some("ts"));
    assert_eq!(schema.ids(), ["impression_id", "user_id", "ad_id"]);
    let need = clickcast_record::Need { labels: true, times: true, carried: schema.ids().to_vec() };
    let made = generator(|_| ()).block(0);
    let mut unread: HashSet<String> = made.schema().fields().iter().map(|field| field.name().clone()).collect();
    for column in need.columns(&schema) {
        unread.remove(&column);
    }
    assert_eq!(unread, HashSet::from(["true_ctr".to_owned()]));

    let binding = clickcast_record::Binding::new(&schema, &need, &made.schema()).unwrap();
    binding.batch(&made, 1).unwrap();
}
