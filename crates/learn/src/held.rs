//! Rows held out, and what a model says of them.

use clickcast_model::factors::Factors;

use crate::calibrate::Row;
use crate::optimizer::Block;

/// Rows held out.
#[derive(Default)]
pub(crate) struct Held {
    /// To measure on.
    pub(crate) measure: Vec<Block>,
    /// Of each of those blocks the rows to learn from in the end; empty where they are never learned.
    pub(crate) learn: Vec<Block>,
}

impl Held {
    /// Takes in what a selection held out of a batch.
    pub(crate) fn add(&mut self, measure: Vec<Block>, learn: Vec<Block>) {
        self.measure.extend(measure);
        self.learn.extend(learn);
    }

    /// The rows in random order, measured and learned as one block.
    pub(crate) fn shuffled(self, seed: u64) -> Self {
        if self.learn.is_empty() {
            return self;
        }
        Self { measure: vec![Block::shuffled(&self.measure, seed)], learn: vec![Block::shuffled(&self.learn, seed)] }
    }
}

/// What a model says of held-out rows.
pub(crate) fn held_rows(factors: &Factors, held: &[Block]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut log_odds = Vec::new();
    for block in held {
        factors.logits(&block.encoded, &mut log_odds);
        let weight = |row: usize| block.weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]));
        rows.extend(log_odds.iter().enumerate().map(|(row, &z)| (z, block.labels[row] > 0.5, weight(row))));
    }
    rows
}
