//! Rows held out, and what was learned says of them.

use crate::calibrate::Row;
use crate::optimizer::{Block, Optimizer};

/// Rows held out.
#[derive(Default)]
pub(crate) struct Held {
    /// To measure on.
    pub(crate) measure: Vec<Block>,
    /// Of each of those blocks the rows to learn from in the end, where not all; empty where they are never learned.
    pub(crate) learn: Vec<Option<Block>>,
}

impl Held {
    /// Takes in what a selection held out of a batch.
    pub(crate) fn add(&mut self, measure: Vec<Block>, learn: Vec<Option<Block>>) {
        self.measure.extend(measure);
        self.learn.extend(learn);
    }

    /// Each block to measure with what is learned of it.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (&Block, &Block)> {
        self.measure.iter().zip(&self.learn).map(|(measure, learn)| (measure, learn.as_ref().unwrap_or(measure)))
    }

    /// The rows in random order, measured and learned as one block.
    pub(crate) fn shuffled(self, seed: u64) -> Self {
        if self.learn.is_empty() {
            return self;
        }
        let (measure, learn): (Vec<&Block>, Vec<&Block>) = self.pieces().unzip();
        Self { measure: vec![Block::shuffled(&measure, seed)], learn: vec![Some(Block::shuffled(&learn, seed))] }
    }
}

/// Held-out rows as they look by what is learned so far.
pub(crate) fn held_rows<'a>(optimizer: &Optimizer, held: impl IntoIterator<Item = &'a Block>) -> Vec<Row> {
    let mut rows = Vec::new();
    for block in held {
        let weight = |row: usize| block.weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]));
        let log_odds = optimizer.log_odds(block).into_iter().enumerate();
        rows.extend(log_odds.map(|(row, z)| (f64::from(z), block.labels[row] > 0.5, weight(row))));
    }
    rows
}

/// A row's log loss, weighted.
pub(crate) fn row_loss(&(log_odds, label, weight): &Row) -> f64 {
    let margin = if label { log_odds } else { -log_odds };
    // ln(1 + exp(-margin)), without overflow.
    weight * ((-margin.abs()).exp().ln_1p() + (-margin).max(0.0))
}

/// The mean log loss of rows.
pub(crate) fn mean_loss(rows: &[Row]) -> f64 {
    rows.iter().map(row_loss).sum::<f64>() / rows.iter().map(|row| row.2).sum::<f64>()
}
