//! The backtest: what the candidate's recipe would have done on each of the last days that it learned.

use std::collections::BTreeMap;
use std::str::FromStr;

use clickcast_dataset::Input;
use clickcast_gate::model::Backtested;
use clickcast_learn::{FactorFamily, Settings};
use clickcast_model::Model;
use clickcast_model::artifact::ModelManifest;
use clickcast_model::factors::WeightType;
use clickcast_model::metrics::Metrics;
use clickcast_record::{Schema, Time};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::data::Data;
use crate::{Error, Observer, Resources, evaluate, train};

/// What a candidate was learned by.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The features.
    pub schema: Schema,
    /// The family and the learner's settings.
    pub settings: Settings,
}

/// Labelled rows by day: the files of a folder, or rows in memory.
pub trait History {
    /// Returns what the rows are called in messages.
    fn name(&self) -> &str;

    /// Returns the days that have rows, rising.
    fn days(&self) -> Vec<Date>;

    /// Learns the rows of some days.
    ///
    /// # Errors
    /// If the rows can't be read, or nothing can be learned from them.
    fn learn(&self, recipe: &Recipe, days: &[Date], observer: &dyn Observer) -> Result<Model, Error>;

    /// Measures a model on the rows of a day; `None` without rows.
    ///
    /// # Errors
    /// If the rows can't be read.
    fn measure(&self, model: &Model, day: Date, observer: &dyn Observer) -> Result<Option<Metrics>, Error>;
}

/// Retrains by the candidate's recipe (family, features, number of days) before each of its last `days_max` days, and tries each
/// model on the day that follows.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if the candidate was learned elsewhere or names no time, or the history has fewer
/// than two of the days up to the last one learned; and those of the history.
pub fn backtest(
    candidate: &ModelManifest,
    history: &dyn History,
    days_max: usize,
    threads: usize,
    observer: &dyn Observer,
) -> Result<Vec<Backtested>, Error> {
    let family = FactorFamily::try_from(candidate.family).map_err(|other| {
        Error::invalid(format!("a model of the family `{other}` was learned elsewhere; leave --backtest out"))
    })?;
    let Some((first, last)) = candidate.training.as_ref().and_then(|training| training.times) else {
        let sentence = "the candidate doesn't say which days it learned, because its schema names no time";
        return Err(Error::invalid(format!("{sentence}; leave --backtest out")));
    };
    let (first, last) = (date(first), date(last));
    let days: Vec<Date> = history.days().into_iter().filter(|&day| day <= last).collect();
    let window = days.iter().filter(|&&day| day >= first).count();
    if window == 0 || days.len() < 2 {
        return Err(Error::invalid(format!(
            "`{}` has too few of the days up to {last}, the last one that the candidate learned; a backtest needs two",
            history.name()
        )));
    }
    let settings = Settings { family, seed: 1, threads, sample_negatives: 1.0, weights: WeightType::F32 };
    let recipe = Recipe { schema: candidate.schema.clone(), settings };
    let mut tried = Vec::new();
    for index in (1..days.len()).rev().take(days_max) {
        let before = &days[index.saturating_sub(window)..index];
        let day = days[index];
        let plural = if before.len() == 1 { "" } else { "s" };
        observer.note(&format!("backtest: learning {} day{plural} before {day}", before.len()));
        let model = history.learn(&recipe, before, observer)?;
        let metrics = history.measure(&model, day, observer)?;
        tried.push(Backtested {
            day: day.to_string(),
            days_learned: before.len(),
            normalized_entropy: metrics.as_ref().and_then(|metrics| metrics.normalized_entropy),
            calibration: metrics.as_ref().and_then(|metrics| metrics.calibration),
        });
    }
    Ok(tried)
}

/// Files in one folder for each day, such as `dt=2026-01-05/`.
pub(super) struct DayFolders {
    data: Data,
    inputs: BTreeMap<Date, Vec<Input>>,
}

impl DayFolders {
    /// Finds the files of each day.
    pub(super) fn open(resources: &Resources, uri: &str) -> Result<Self, Error> {
        let data = Data::open(resources, uri)?;
        let mut inputs: BTreeMap<Date, Vec<Input>> = BTreeMap::new();
        for input in &data.inputs {
            let date = input.folders().filter_map(|(_, value)| Date::from_str(value?).ok()).last();
            let Some(date) = date else {
                let sentence = "is in no day's folder, such as dt=2026-01-05";
                let input = input.name();
                return Err(Error::invalid(format!("`{input}` {sentence}; a backtest needs one for each day")));
            };
            inputs.entry(date).or_default().push(input.clone());
        }
        Ok(Self { data, inputs })
    }

    fn only(&self, days: &[Date]) -> Data {
        self.data.only(days.iter().filter_map(|day| self.inputs.get(day)).flatten().cloned().collect())
    }
}

impl History for DayFolders {
    fn name(&self) -> &str {
        self.data.uri()
    }

    fn days(&self) -> Vec<Date> {
        self.inputs.keys().copied().collect()
    }

    fn learn(&self, recipe: &Recipe, days: &[Date], observer: &dyn Observer) -> Result<Model, Error> {
        train::learn(&self.only(days), None, recipe.schema.clone(), &recipe.settings, observer)
    }

    fn measure(&self, model: &Model, day: Date, observer: &dyn Observer) -> Result<Option<Metrics>, Error> {
        Ok(evaluate::measure(model, &self.only(&[day]), None, None, observer)?.all.metrics())
    }
}

/// The day of a time, in UTC.
fn date(time: Time) -> Date {
    TimeZone::UTC.to_datetime(Timestamp::from_millisecond(time.as_ms()).unwrap_or_default()).date()
}
