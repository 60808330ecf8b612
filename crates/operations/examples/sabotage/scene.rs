//! The gate on tables in memory, and what it would cost to deliver a candidate.

use clickcast_gate::model::measure::Scored;
use clickcast_learn::{Error, FactorFamily, Settings, Source};
use clickcast_model::Scratch;
use clickcast_model::factors::WeightType;
use clickcast_operations::models::{JudgedRows, OpenedModel, Trial, judge_candidate};
use clickcast_record::{Batch, Need, Schema};
use clickcast_verdict::Judgement;

use super::table::Table;

/// After all the days of the markets.
const NOW_MS: i64 = 4_000_000_000_000;

struct Passes<'a>(&'a Table);

impl Source<Error> for Passes<'_> {
    fn pass(&mut self, each: &mut dyn FnMut(Batch) -> Result<(), Error>) -> Result<(), Error> {
        self.0.batches(true).try_for_each(each)
    }
}

/// Learns a model as `train` does. Returns `None` if nothing can be learned from the rows, and so nothing delivered.
pub(crate) fn learn(table: &Table, family: FactorFamily, seed: u64) -> Option<OpenedModel> {
    let settings = Settings { family, seed, threads: 1, sample_negatives: 1.0, weights: WeightType::F32 };
    let mut source = Passes(table);
    let model = clickcast_learn::train(&mut source, None, &table.schema, &settings).ok()?;
    OpenedModel::new(model).ok()
}

/// Judges a candidate by the operation behind `models gate`.
pub(crate) fn gate(
    candidate: &OpenedModel,
    champion: Option<&OpenedModel>,
    labelled: &Table,
    today: Option<&Table>,
) -> Judgement {
    let today = today.map(|today| today as &dyn JudgedRows);
    let trial = Trial { candidate, champion, labelled, today, backtest: None, now_ms: NOW_MS };
    judge_candidate(&trial, &()).expect("rows in memory can be read").judgement
}

impl JudgedRows for Table {
    fn columns(&self) -> Result<Vec<String>, clickcast_operations::Error> {
        let features = self.schema.features().iter().map(|feature| feature.name.clone());
        let roles = [self.schema.label(), self.schema.time()].into_iter().flatten().map(str::to_owned);
        Ok(features.chain(roles).collect())
    }

    fn rows_total(&self) -> Option<u64> {
        Some(self.rows() as u64)
    }

    fn scan(
        &self,
        schema: &Schema,
        need: &Need,
        score: &(dyn Fn(Batch) -> Result<Scored, clickcast_model::Error> + Sync),
        sink: &mut dyn FnMut(&Scored) -> Result<(), clickcast_operations::Error>,
    ) -> Result<(), clickcast_operations::Error> {
        assert_eq!(schema, &self.schema, "all models and rows of a market have one schema");
        for batch in self.batches(need.labels) {
            sink(&score(batch)?)?;
        }
        Ok(())
    }
}

/// Returns the log loss that a model's scores of some rows are expected to have, by the true probabilities.
pub(crate) fn expected_loss(candidate: &OpenedModel, rows: &Table, truth: &[f64]) -> f64 {
    let (mut scratch, mut scores, mut all) = (Scratch::default(), Vec::new(), Vec::new());
    for batch in rows.batches(false) {
        candidate.model().score(&batch, &mut scratch, &mut scores).expect("one schema");
        all.append(&mut scores);
    }
    let loss = |(&score, &truth): (&f64, &f64)| {
        let score = score.clamp(1e-12, 1.0 - 1e-12);
        -(truth * score.ln() + (1.0 - truth) * (1.0 - score).ln())
    };
    all.iter().zip(truth).map(loss).sum::<f64>() / truth.len() as f64
}

/// Returns the entropy of the mean of some probabilities.
pub(crate) fn entropy(truth: &[f64]) -> f64 {
    clickcast_gate::model::compare::entropy(truth.iter().sum::<f64>() / truth.len() as f64)
}
