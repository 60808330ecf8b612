//! Measures what a judgement rests on: one pass over labelled rows, one over today's, in bounded memory.
//!
//! [`Scorer`] scores a batch by both models, on any thread; [`Measuring`] takes what comes of it, in order. The same is
//! measured of labelled rows and of today's, but for what needs labels.

mod labels;
mod ranks;

use std::collections::BTreeMap;

use clickcast_model::profile::{Collector, Profile, bins};
use clickcast_model::{Error, Model, Scratch};
use clickcast_record::{Batch, Categorical, Category, Column, Kind, Schema, Side};
use serde::{Deserialize, Serialize};

use crate::model::pairing::View;
use clickcast_model::scores::Scores;
use labels::Labelling;
pub use labels::{Block, Difference, Labels};
use ranks::Ranks;
pub use ranks::{Agreement, SliceAgreement};

/// Rows of a batch that values are named from: the commonest are among them.
const NAMED_ROWS_MAX: usize = 2_000;
/// Letters of a value's name at most.
const NAME_LENGTH_MAX: usize = 40;

/// Scores batches by the candidate, and by the champion where there is one.
#[derive(Debug)]
pub struct Scorer<'a> {
    candidate: (&'a Model, View),
    champion: Option<(&'a Model, View)>,
}

/// A batch and its scores.
#[derive(Debug)]
pub struct Scored {
    batch: Batch,
    candidate: Vec<f64>,
    champion: Option<Vec<f64>>,
}

/// What was measured of some rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// What the rows look like.
    pub profile: Profile,
    /// Of each feature, the rows whose value the candidate never learned; none where that isn't known, as for numbers.
    pub unseen: Vec<Option<Unseen>>,
    /// Of each feature, what the models predict for rows of each bin of its values.
    pub slices: Vec<BTreeMap<u16, Slice>>,
    /// Of each feature, a value of each bin of categories, for people.
    pub names: Vec<BTreeMap<u16, String>>,
    /// The candidate's scores.
    pub candidate: Scores,
    /// The champion's.
    pub champion: Option<Scores>,
    /// How the two models' scores go together.
    pub agreement: Option<Agreement>,
    /// What labels tell; none where there are none.
    pub labels: Option<Labels>,
}

/// Rows with a value that training hadn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unseen {
    /// Rows with a value that is known to be new.
    pub new: u64,
    /// Rows of which it is known whether their value is new: all, unless there are many distinct values.
    pub rows: u64,
}

/// Rows with values of one bin, and what was predicted for them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Slice {
    /// Number of rows.
    pub rows: f64,
    /// Clicked ones.
    pub positives: f64,
    /// The candidate's scores, summed.
    pub candidate: f64,
    /// The champion's.
    pub champion: f64,
    /// The candidate's log-odds, summed.
    pub candidate_log_odds: f64,
    /// The champion's.
    pub champion_log_odds: f64,
}

impl Observed {
    /// The values of one bin of a feature, for a person.
    #[must_use]
    pub fn describe(&self, feature: usize, bin: u16) -> String {
        let name = self.names.get(feature).and_then(|names| names.get(&bin));
        match (name, bins::is_shared(self.profile.features[feature].values.distinct())) {
            (Some(name), false) => format!("`{name}`"),
            (Some(name), true) => format!("`{name}` or one of its group"),
            (None, _) => bins::describe(self.profile.features[feature].kind, bin),
        }
    }

    /// Of each feature, how differently the two models take it: the variance over its values of the difference in mean log-odds;
    /// 0 without a champion.
    #[must_use]
    pub fn effect_differences(&self) -> Vec<f64> {
        let variance = |slices: &BTreeMap<u16, Slice>| {
            let rows: f64 = slices.values().map(|slice| slice.rows).sum();
            let mean = slices.values().map(|slice| slice.rows * slice.effect_difference()).sum::<f64>() / rows;
            slices.values().map(|slice| slice.rows * (slice.effect_difference() - mean).powi(2)).sum::<f64>() / rows
        };
        match self.champion {
            Some(_) => self.slices.iter().map(variance).collect(),
            None => vec![0.0; self.slices.len()],
        }
    }
}

impl Slice {
    /// By how much the candidate's mean log-odds are above the champion's.
    #[must_use]
    pub fn effect_difference(&self) -> f64 {
        (self.candidate_log_odds - self.champion_log_odds) / self.rows
    }
}

impl Unseen {
    /// The share of rows whose value is new; none where no row tells.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        (self.rows > 0).then(|| self.new as f64 / self.rows as f64)
    }
}

impl<'a> Scorer<'a> {
    /// A scorer of batches read by `schema`, which has all features of both models; see [`crate::model::reading_schema`].
    ///
    /// # Errors
    /// [`clickcast_model::Kind::Invalid`] where it has not.
    pub fn new(candidate: &'a Model, champion: Option<&'a Model>, schema: &Schema) -> Result<Self, Error> {
        let view = |model| {
            let lacking = || Error::invalid("the data is read without some features of a model".to_owned());
            View::new(model, schema).ok_or_else(lacking)
        };
        let champion = champion.map(|model| Ok((model, view(model)?))).transpose()?;
        Ok(Self { candidate: (candidate, view(candidate)?), champion })
    }

    /// Scores one batch.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn score(&self, batch: Batch, scratch: &mut Scratch) -> Result<Scored, Error> {
        let mut score = |(model, view): &(&Model, View)| {
            let mut scores = Vec::new();
            model.score(&view.of(&batch), scratch, &mut scores).map(|()| scores)
        };
        let candidate = score(&self.candidate)?;
        let champion = self.champion.as_ref().map(&mut score).transpose()?;
        Ok(Scored { batch, candidate, champion })
    }
}

impl Scored {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batch.rows
    }
}

/// Takes scored batches.
#[derive(Debug)]
pub struct Measuring<'a> {
    learned: Option<&'a Profile>,
    collector: Collector,
    unseen: Vec<Option<Unseen>>,
    slices: Vec<Vec<Slice>>,
    names: Vec<BTreeMap<u16, String>>,
    candidate: Scores,
    champion: Option<Scores>,
    ranks: Ranks,
    labels: Labelling,
    rows: u64,
}

impl<'a> Measuring<'a> {
    /// Measures rows read by `schema`, against what the candidate learned from where that is known.
    #[must_use]
    pub fn new(schema: &Schema, learned: Option<&'a Profile>) -> Self {
        let features = schema.features();
        // A user's rows belong together; the first category of that side is as a rule the user's id.
        let user = features.iter().position(|feature| feature.side == Side::User && feature.kind == Kind::Categorical);
        Self {
            learned,
            collector: Collector::new(features),
            unseen: vec![None; features.len()],
            slices: features.iter().map(|feature| vec![Slice::default(); bins::count(feature.kind)]).collect(),
            names: vec![BTreeMap::new(); features.len()],
            candidate: Scores::default(),
            champion: None,
            ranks: Ranks::new(features.len()),
            labels: Labelling::new(user),
            rows: 0,
        }
    }

    /// Takes the next batch.
    pub fn add(&mut self, scored: &Scored) {
        let Scored { batch, candidate, champion } = scored;
        self.collector.add(batch);
        candidate.iter().for_each(|&score| self.candidate.add(score));
        if let Some(champion) = champion {
            let scores = self.champion.get_or_insert_default();
            champion.iter().for_each(|&score| scores.add(score));
        }
        let log_odds = |scores: &[f64]| scores.iter().map(|&score| log_odds(score)).collect::<Vec<f64>>();
        let (candidate_log_odds, champion_log_odds) = (log_odds(candidate), champion.as_deref().map(log_odds));
        let mut columns = Vec::with_capacity(batch.features.len());
        for (index, column) in batch.features.iter().enumerate() {
            let mut found = Vec::new();
            bins::column(column, &mut found);
            for (row, &bin) in found.iter().enumerate() {
                let slice = &mut self.slices[index][usize::from(bin)];
                slice.rows += 1.0;
                slice.candidate += candidate[row];
                slice.candidate_log_odds += candidate_log_odds[row];
                if let (Some(scores), Some(log_odds)) = (champion, &champion_log_odds) {
                    slice.champion += scores[row];
                    slice.champion_log_odds += log_odds[row];
                }
                if let Some(labels) = &batch.labels {
                    slice.positives += f64::from(u8::from(labels[row]));
                }
            }
            self.name(index, column, &found);
            self.count_unseen(index, column);
            columns.push(found);
        }
        if let (Some(_), Some(log_odds)) = (champion, &champion_log_odds) {
            self.ranks.add(self.rows, &candidate_log_odds, log_odds, &columns);
        }
        self.labels.add(self.rows, batch, candidate, champion.as_deref());
        self.rows += batch.rows as u64;
    }

    /// Keeps the first value that is met of each bin.
    fn name(&mut self, index: usize, column: &Column, found: &[u16]) {
        let Column::Categorical(values) = column else { return };
        let names = &mut self.names[index];
        for (row, &bin) in found.iter().enumerate().take(NAMED_ROWS_MAX) {
            if let (false, Some(category)) = (names.contains_key(&bin), values.get(row)) {
                let name = match category {
                    Category::Text(text) => text.chars().take(NAME_LENGTH_MAX).collect(),
                    Category::Integer(integer) => integer.to_string(),
                };
                names.insert(bin, name);
            }
        }
    }

    fn count_unseen(&mut self, index: usize, column: &Column) {
        let Some(learned) = self.learned.and_then(|profile| profile.features.get(index)) else { return };
        let values = match column {
            Column::Numeric(_) => return,
            Column::Categorical(values) => values,
            Column::Multi(lists) => &lists.values,
        };
        let counted = self.unseen[index].get_or_insert_default();
        let mut known: Vec<Option<bool>> = Vec::new();
        Categorical::map_into(values, &mut known, |value| learned.values.knows(value?.hash()));
        for known in known.into_iter().flatten() {
            counted.rows += 1;
            counted.new += u64::from(!known);
        }
    }

    /// What was measured.
    #[must_use]
    pub fn finish(self) -> Observed {
        let held = |slices: Vec<Slice>| {
            let all = slices.into_iter().enumerate().filter(|(_, slice)| slice.rows > 0.0);
            all.map(|(bin, slice)| (bin as u16, slice)).collect()
        };
        Observed {
            profile: self.collector.profile(),
            unseen: self.unseen,
            slices: self.slices.into_iter().map(held).collect(),
            names: self.names,
            candidate: self.candidate,
            champion: self.champion,
            agreement: self.ranks.finish(),
            labels: self.labels.finish(),
        }
    }
}

/// Log-odds of a score; those of 0, 1 and of what is no probability are as far as any.
fn log_odds(score: f64) -> f64 {
    const LEAST: f64 = 1e-9;
    let clipped = if score.is_nan() { LEAST } else { score.clamp(LEAST, 1.0 - LEAST) };
    (clipped / (1.0 - clipped)).ln()
}
