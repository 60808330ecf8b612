//! A day at the gate: two models, labelled rows, today's rows; and what a candidate would cost if it were delivered.

use clickcast_gate::model::measure::{Measuring, Observed, Scorer};
use clickcast_gate::model::{Described, Evidence, judge, reading_schema};
use clickcast_learn::{Error, FactorFamily, Settings, Source};
use clickcast_model::factors::WeightType;
use clickcast_model::profile::Profile;
use clickcast_model::{Model, Scratch};
use clickcast_record::Batch;
use clickcast_verdict::Judgement;

use super::table::Table;

/// A model and the profile of what it learned from.
pub(crate) struct Learned {
    pub(crate) model: Model,
    pub(crate) profile: Profile,
}

struct Passes<'a>(&'a Table);

impl Source<Error> for Passes<'_> {
    fn pass(&mut self, each: &mut dyn FnMut(Batch) -> Result<(), Error>) -> Result<(), Error> {
        self.0.batches(true).try_for_each(each)
    }
}

/// Learns a model, or returns `None` if the rows allow none.
pub(crate) fn learn(table: &Table, family: FactorFamily, seed: u64) -> Option<Learned> {
    let settings = Settings { family, seed, threads: 1, sample_negatives: 1.0, weights: WeightType::F32 };
    let mut source = Passes(table);
    let model = clickcast_learn::train(&mut source, None, &table.schema, &settings).ok()?;
    let profile = model.profile().ok()??;
    Some(Learned { model, profile })
}

/// Judges a candidate as `models gate` does.
pub(crate) fn gate(
    candidate: &Learned,
    champion: Option<&Learned>,
    labelled: &Table,
    today: Option<&Table>,
) -> Judgement {
    let now_ms = 4_000_000_000_000;
    let labelled = observe(candidate, champion, labelled, true);
    let today = today.map(|today| observe(candidate, champion, today, false));
    judge(&Evidence {
        candidate: described(candidate),
        champion: champion.map(described),
        champion_unfit: None,
        labelled: &labelled,
        today: today.as_ref(),
        backtest: None,
        now_ms,
    })
}

fn described(learned: &Learned) -> Described<'_> {
    Described {
        manifest: learned.model.artifact().manifest(),
        profile: Some(&learned.profile),
        golden_difference: None,
    }
}

fn observe(candidate: &Learned, champion: Option<&Learned>, table: &Table, labelled: bool) -> Observed {
    let champion = champion.map(|champion| &champion.model);
    let schema = reading_schema(&candidate.model, champion, |_| true).expect("one schema");
    let scorer = Scorer::new(&candidate.model, champion, &schema).expect("one schema");
    let mut measuring = Measuring::new(&schema, Some(&candidate.profile));
    let mut scratch = Scratch::default();
    for batch in table.batches(labelled) {
        measuring.add(&scorer.score(batch, &mut scratch).expect("one schema"));
    }
    measuring.finish()
}

/// The log loss that a model's scores of some rows are expected to have, by what is true of them.
pub(crate) fn expected_loss(learned: &Learned, rows: &Table, truth: &[f64]) -> f64 {
    let (mut scratch, mut scores, mut all) = (Scratch::default(), Vec::new(), Vec::new());
    for batch in rows.batches(false) {
        learned.model.score(&batch, &mut scratch, &mut scores).expect("one schema");
        all.append(&mut scores);
    }
    let loss = |(&score, &truth): (&f64, &f64)| {
        let score = score.clamp(1e-12, 1.0 - 1e-12);
        -(truth * score.ln() + (1.0 - truth) * (1.0 - score).ln())
    };
    all.iter().zip(truth).map(loss).sum::<f64>() / truth.len() as f64
}

/// The entropy of the mean of probabilities.
pub(crate) fn entropy(truth: &[f64]) -> f64 {
    clickcast_gate::model::compare::entropy(truth.iter().sum::<f64>() / truth.len() as f64)
}
