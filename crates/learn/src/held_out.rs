//! Rows held out from learning, in whatever form a learner takes them, and their losses.

/// A held-out row: its log-odds, label and weight.
pub(crate) type Row = (f64, bool, f64);

/// Rows held out.
pub(crate) struct HeldOut<B> {
    /// To measure on.
    pub(crate) measure: Vec<B>,
    /// The rows of each of those blocks to learn from in the end, where not all; empty if they are never learned.
    pub(crate) learn: Vec<Option<B>>,
}

impl<B> Default for HeldOut<B> {
    fn default() -> Self {
        Self { measure: Vec::new(), learn: Vec::new() }
    }
}

impl<B> HeldOut<B> {
    /// Adds what was held out of a batch.
    pub(crate) fn add(&mut self, measure: Vec<B>, learn: Vec<Option<B>>) {
        self.measure.extend(measure);
        self.learn.extend(learn);
    }

    /// Returns each block to measure with what is learned of it.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (&B, &B)> {
        self.measure.iter().zip(&self.learn).map(|(measure, learn)| (measure, learn.as_ref().unwrap_or(measure)))
    }
}

/// Returns a row's log loss, weighted.
pub(crate) fn row_loss(&(log_odds, label, weight): &Row) -> f64 {
    let margin = if label { log_odds } else { -log_odds };
    // ln(1 + exp(-margin)), without overflow.
    weight * ((-margin.abs()).exp().ln_1p() + (-margin).max(0.0))
}

/// Returns the mean log loss of rows.
pub(crate) fn mean_loss(rows: &[Row]) -> f64 {
    rows.iter().map(row_loss).sum::<f64>() / rows.iter().map(|row| row.2).sum::<f64>()
}
