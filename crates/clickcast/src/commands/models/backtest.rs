//! The backtest: what the candidate's recipe would have done on each of the last days that it learned.

use std::collections::BTreeMap;
use std::str::FromStr;

use clickcast_dataset::Input;
use clickcast_gate::model::Backtested;
use clickcast_learn::{FactorFamily, Settings};
use clickcast_model::artifact::ModelManifest;
use clickcast_model::factors::WeightType;
use clickcast_operations::data::Data;
use clickcast_operations::{evaluate, train};
use clickcast_record::Time;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::Context;
use crate::console;
use crate::failure::Failure;

/// Learns by the candidate's recipe (family, features, number of days) before each of its last `days_max` days, and tries each
/// model on the day that follows.
pub(super) fn backtest(
    context: &Context,
    candidate: &ModelManifest,
    history: &str,
    days_max: usize,
) -> Result<Vec<Backtested>, Failure> {
    let family = FactorFamily::try_from(candidate.family).map_err(|other| {
        Failure::input(format!("a model of the family `{other}` was learned elsewhere; leave --backtest out"))
    })?;
    let Some((first, last)) = candidate.training.as_ref().and_then(|training| training.times) else {
        let sentence = "the candidate doesn't tell which days it learned, for its schema names no time";
        return Err(Failure::input(format!("{sentence}; leave --backtest out")));
    };
    let data = Data::open(&context.resources, history)?;
    let days = by_day(&data)?;
    let dates: Vec<Date> = days.keys().copied().filter(|&day| day <= date(last)).collect();
    let window = dates.iter().filter(|&&day| day >= date(first)).count();
    if window == 0 || dates.len() < 2 {
        return Err(Failure::input(format!(
            "`{history}` has too few of the days up to {}, the last one that the candidate learned; a backtest needs two",
            date(last)
        )));
    }
    let settings = Settings {
        family,
        seed: 1,
        threads: context.resources.threads(),
        sample_negatives: 1.0,
        weights: WeightType::F32,
    };
    let mut tried = Vec::new();
    for index in (1..dates.len()).rev().take(days_max) {
        let before = &dates[index.saturating_sub(window)..index];
        let day = dates[index];
        console::note(&format!("backtest: learning {} days before {day}", before.len()), context.quiet);
        let inputs = before.iter().flat_map(|day| days[day].iter().cloned()).collect();
        let model = train::learn(&data.only(inputs), None, candidate.schema.clone(), &settings, &context.observer())?;
        let measured = evaluate::measure(&model, &data.only(days[&day].clone()), None, None, &context.observer())?;
        let metrics = measured.all.metrics();
        tried.push(Backtested {
            day: day.to_string(),
            days_learned: before.len(),
            normalized_entropy: metrics.as_ref().and_then(|metrics| metrics.normalized_entropy),
            calibration: metrics.as_ref().and_then(|metrics| metrics.calibration),
        });
    }
    Ok(tried)
}

/// A day for scripts.
pub(super) fn to_json(tried: &Backtested) -> Value {
    let Backtested { day, days_learned, normalized_entropy, calibration } = tried;
    json!({
        "day": day,
        "days_learned": days_learned,
        "normalized_entropy": normalized_entropy,
        "calibration": calibration,
    })
}

/// The inputs of each day, by the names of their folders.
fn by_day(data: &Data) -> Result<BTreeMap<Date, Vec<Input>>, Failure> {
    let mut days: BTreeMap<Date, Vec<Input>> = BTreeMap::new();
    for input in &data.inputs {
        let date = input.folders().filter_map(|(_, value)| Date::from_str(value?).ok()).last();
        let date = date.ok_or_else(|| {
            let sentence = "lies in no day's folder, such as dt=2026-01-05";
            Failure::input(format!("`{}` {sentence}; a backtest needs one for each day", input.name()))
        })?;
        days.entry(date).or_default().push(input.clone());
    }
    Ok(days)
}

/// Returns the date of a time, in UTC.
fn date(time: Time) -> Date {
    TimeZone::UTC.to_datetime(Timestamp::from_millisecond(time.as_ms()).unwrap_or_default()).date()
}
