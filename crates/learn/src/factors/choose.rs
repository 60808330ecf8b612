//! Chooses among the settings that were tried on held-out rows.

use crate::held_out::{Row, mean_loss, row_loss};

/// The losses of one setting, from a trial for each part of the rows that was held out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    /// Each held-out row's weighted log loss, in one order for all settings.
    losses: Vec<f64>,
    /// The sum of their weights.
    weight: f64,
    /// Mean log loss of the data's last rows, learned from those before; 0 if there was no such trial.
    tail: f64,
}

impl Measured {
    /// Adds the held-out rows of a trial.
    pub(crate) fn add(&mut self, rows: &[Row]) {
        self.weight += rows.iter().map(|row| row.2).sum::<f64>();
        self.losses.extend(rows.iter().map(row_loss));
    }

    /// Sets the trial of the data's last rows.
    pub(crate) fn set_tail(&mut self, rows: &[Row]) {
        self.tail = mean_loss(rows);
    }

    /// Mean log loss of the rows held out.
    pub(crate) fn loss(&self) -> f64 {
        self.losses.iter().sum::<f64>() / self.weight
    }

    /// Returns whether the held-out rows can't distinguish this setting from the best: the difference is within its standard error.
    fn is_as_good_as(&self, best: &Self) -> bool {
        let differences = self.losses.iter().zip(&best.losses).map(|(own, best)| own - best);
        let (mut sum, mut squares) = (0.0, 0.0);
        for difference in differences {
            sum += difference;
            squares += difference * difference;
        }
        let rows = self.losses.len() as f64;
        sum <= (squares - sum * sum / rows).max(0.0).sqrt()
    }
}

/// Returns the index of the setting to take: of those as good as the best on rows held out, by one standard error of
/// the paired difference (Breiman et al. 1984, section 3.4.3), the best on the data's last rows.
///
/// Files are often written in the order of time. Rows held out at random can't tell settings that hold tomorrow
/// from settings that fit yesterday; the last rows can. In files of no order they choose among equals.
pub(crate) fn choose(measured: &[Measured]) -> usize {
    let by = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1);
    let all = measured.iter().map(Measured::loss).enumerate();
    let Some((best, _)) = all.min_by(by) else { return 0 };
    let equals = measured.iter().enumerate().filter(|(_, one)| one.is_as_good_as(&measured[best]));
    // With equal tails, as without that trial, the better on rows held out comes first.
    let mut equals: Vec<(usize, f64)> = equals.map(|(index, one)| (index, one.loss())).collect();
    equals.sort_by(by);
    let tails = equals.into_iter().map(|(index, _)| (index, measured[index].tail));
    tails.min_by(by).map_or(best, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clicked rows at log-odds that differ a little from row to row, and the same in the tail.
    fn measured(log_odds: f64, spread: f64, tail: f64) -> Measured {
        let rows: Vec<Row> = (0..21).map(|row| (log_odds + spread * f64::from(row % 7 - 3), true, 1.0)).collect();
        let mut measured = Measured::default();
        measured.add(&rows);
        measured.set_tail(&[(tail, true, 1.0)]);
        measured
    }

    #[test]
    fn the_last_rows_choose_among_settings_that_held_out_rows_cannot_tell_apart() {
        let table: &[(&str, &[Measured], usize)] = &[
            ("one setting", &[measured(1.0, 0.1, 1.0)], 0),
            (
                "clearly better on held-out rows, worse in the tail",
                &[measured(2.0, 0.0, 0.0), measured(1.0, 0.0, 1.0)],
                0,
            ),
            ("as good within noise, better in the tail", &[measured(1.01, 0.0, 0.0), measured(1.0, 0.1, 1.0)], 1),
            ("as good within noise, worse in the tail", &[measured(1.0, 0.1, 0.0), measured(1.01, 0.0, 1.0)], 1),
            ("equal everywhere: the first", &[measured(1.0, 0.1, 1.0), measured(1.0, 0.1, 1.0)], 0),
            ("better, with equal tails", &[measured(1.0, 0.1, 1.0), measured(1.01, 0.0, 1.0)], 1),
        ];
        for (what, measured, expected) in table {
            assert_eq!(choose(measured), *expected, "{what}");
        }
    }
}
