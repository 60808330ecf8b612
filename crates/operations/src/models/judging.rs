//! Measuring and judging a candidate, on files or on batches in memory.

use clickcast_gate::model::measure::{Measuring, Observed, Scored, Scorer};
use clickcast_gate::model::{Backtested, Described, Evidence, Measured, drifts, judge, reading_schema};
use clickcast_job::sentence;
use clickcast_model::artifact::Artifact;
use clickcast_model::profile::Profile;
use clickcast_model::{Model, Scratch};
use clickcast_record::{Batch, Need, Schema};
use clickcast_verdict::{Check, Judgement, Verdict};

use crate::data::Data;
use crate::observer::Progress;
use crate::{Error, Observer};

/// Rows to judge by: the files of [`Data`], or batches in memory.
///
/// A benchmark that makes its rows itself implements this trait for its tables, and is judged by the same function as
/// `models gate`.
pub trait JudgedRows {
    /// Returns the names of the columns.
    ///
    /// # Errors
    /// If the rows can't be read.
    fn columns(&self) -> Result<Vec<String>, Error>;

    /// Returns the number of rows, or `None` if it is unknown.
    fn rows_total(&self) -> Option<u64>;

    /// Calls `score` on all batches, perhaps side by side, and `sink` on the results, in order. A batch holds the features of
    /// `schema`, in its order, and what `need` asks for.
    ///
    /// # Errors
    /// If the rows can't be read, or don't fit the schema; and those of `score` and `sink`.
    fn scan(
        &self,
        schema: &Schema,
        need: &Need,
        score: &(dyn Fn(Batch) -> Result<Scored, clickcast_model::Error> + Sync),
        sink: &mut dyn FnMut(&Scored) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

impl JudgedRows for Data {
    fn columns(&self) -> Result<Vec<String>, Error> {
        Data::columns(self)
    }

    fn rows_total(&self) -> Option<u64> {
        Data::rows_total(self)
    }

    fn scan(
        &self,
        schema: &Schema,
        need: &Need,
        score: &(dyn Fn(Batch) -> Result<Scored, clickcast_model::Error> + Sync),
        sink: &mut dyn FnMut(&Scored) -> Result<(), Error>,
    ) -> Result<(), Error> {
        Data::scan(self, schema, need, score, |step| match step {
            clickcast_dataset::ScanEvent::Rows(scored) => sink(&scored?),
            _ => Ok(()),
        })
    }
}

/// A loaded model with what its artifact says of it.
#[derive(Debug)]
pub struct OpenedModel {
    model: Model,
    profile: Option<Profile>,
    golden_difference: Option<f64>,
}

impl OpenedModel {
    /// Reads the profile of a model's training data, and scores its golden rows again.
    ///
    /// # Errors
    /// If the profile or the golden rows are damaged.
    pub fn new(model: Model) -> Result<Self, clickcast_model::Error> {
        let (profile, golden_difference) = (model.profile()?, model.golden_difference()?);
        Ok(Self { model, profile, golden_difference })
    }

    /// Loads a verified artifact.
    ///
    /// # Errors
    /// If the model, its profile or its golden rows are damaged.
    pub fn load(artifact: Artifact) -> Result<Self, clickcast_model::Error> {
        Self::new(Model::from_artifact(artifact)?)
    }

    /// Returns the model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    fn described(&self) -> Described<'_> {
        Described {
            manifest: self.model.artifact().manifest(),
            profile: self.profile.as_ref(),
            golden_difference: self.golden_difference,
        }
    }
}

/// What a candidate is judged by.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    /// The model to judge.
    pub candidate: &'a OpenedModel,
    /// The model in use; `None` before the first.
    pub champion: Option<&'a OpenedModel>,
    /// The newest labelled rows.
    pub labelled: &'a dyn JudgedRows,
    /// A sample of the rows that will be scored today.
    pub today: Option<&'a dyn JudgedRows>,
    /// The result of [`super::backtest`].
    pub backtest: Option<&'a [Backtested]>,
    /// The time of the judgement, in milliseconds since 1970 UTC.
    pub now_ms: i64,
}

/// A judgement, and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The judgement.
    pub judgement: Judgement,
    /// What was measured; `None` if the rows can't be scored.
    pub measured: Option<Measured>,
}

impl Judged {
    /// A judgement of one check that fails before anything could be measured.
    pub(super) fn failed(check: &str, reason: impl Into<String>) -> Self {
        Self { judgement: Judgement::of(vec![Check::plain(check, Verdict::Fail, reason)]), measured: None }
    }
}

/// Measures both models on the rows of a trial, and judges the candidate. Rows that can't be scored fail it.
///
/// # Errors
/// If the rows can't be read just now, have no columns, or the observer cancels.
pub fn judge_candidate(trial: &Trial<'_>, observer: &dyn Observer) -> Result<Judged, Error> {
    let Trial { candidate, champion, labelled, today, backtest, now_ms } = *trial;
    let columns = common_columns(labelled, today)?;
    let champion_model = champion.map(OpenedModel::model);
    let read = reading_schema(&candidate.model, champion_model, |name| columns.iter().any(|column| column == name));
    let (schema, champion_unfit) = match read {
        Ok(schema) => (schema, None),
        Err(why) => (candidate.model.schema().clone(), Some(why)),
    };
    let compared = champion_model.filter(|_| champion_unfit.is_none());
    let scorer = Scorer::new(&candidate.model, compared, &schema)?;
    let pass = Pass { scorer: &scorer, schema: &schema, learned: candidate.profile.as_ref(), observer };
    let labelled = match pass.measure("labelled", labelled, true) {
        Ok(observed) => observed,
        Err(error) => return rejected("labelled_input", error),
    };
    let today = match today.map(|today| pass.measure("today", today, false)).transpose() {
        Ok(observed) => observed,
        Err(error) => return rejected("today_input", error),
    };
    let judgement = judge(&Evidence {
        candidate: candidate.described(),
        champion: champion.map(OpenedModel::described),
        champion_unfit: champion_unfit.as_deref(),
        labelled: &labelled,
        today: today.as_ref(),
        backtest,
        now_ms,
    });
    let newest = today.as_ref().unwrap_or(&labelled);
    let mut known: Vec<&Profile> = Vec::new();
    if today.is_some() {
        known.push(&labelled.profile);
    }
    known.extend(candidate.profile.as_ref());
    let drifts = drifts(newest, &known);
    Ok(Judged { judgement, measured: Some(Measured { labelled, today, drifts }) })
}

/// The columns that the labelled rows have, and today's rows, too.
fn common_columns(labelled: &dyn JudgedRows, today: Option<&dyn JudgedRows>) -> Result<Vec<String>, Error> {
    let mut columns = labelled.columns()?;
    if let Some(today) = today {
        let others = today.columns()?;
        columns.retain(|column| others.contains(column));
    }
    Ok(columns)
}

/// The judgement of rows that can't be scored. An error that may pass, and a cancelled operation, are no judgement.
fn rejected(check: &str, error: Error) -> Result<Judged, Error> {
    if error.kind() != crate::Kind::Invalid {
        return Err(error);
    }
    let why = sentence(&error);
    Ok(Judged::failed(check, format!("The rows can't be scored: {why}.")))
}

/// What passes over labelled rows and over today's rows share.
struct Pass<'a> {
    scorer: &'a Scorer<'a>,
    schema: &'a Schema,
    learned: Option<&'a Profile>,
    observer: &'a dyn Observer,
}

impl Pass<'_> {
    fn measure(&self, stage: &'static str, rows: &dyn JudgedRows, is_labelled: bool) -> Result<Observed, Error> {
        let columns = rows.columns()?;
        let has = |name: Option<&str>| name.is_some_and(|name| columns.iter().any(|column| column == name));
        // Rows without labels are no error: a check says that they are missing.
        let labels = is_labelled && has(self.schema.label());
        let need = Need { labels, times: has(self.schema.time()), carried: Vec::new() };
        let progress = Progress::rows(self.observer, stage, rows.rows_total());
        let mut measuring = Measuring::new(self.schema, self.learned);
        let score = |batch: Batch| self.scorer.score(batch, &mut Scratch::default());
        rows.scan(self.schema, &need, &score, &mut |scored| {
            measuring.add(scored);
            progress.advance(scored.rows() as u64)
        })?;
        Ok(measuring.finish())
    }
}
