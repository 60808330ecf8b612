//! Early stopping: rounds of learning go on until the rows held out stop improving.

/// A round must better the held-out log loss by this much, relatively, to be followed by another.
const GAIN_MIN: f64 = 1e-4;

/// A learner that can go back to an earlier state.
pub(crate) trait Learner {
    /// Everything that learning changes.
    type Snapshot;

    /// Takes a snapshot, in the memory of an older one where there is one.
    fn snapshot(&self, older: Option<Self::Snapshot>) -> Self::Snapshot;

    /// Goes back to a snapshot.
    fn restore(&mut self, snapshot: Self::Snapshot);
}

/// Learns round by round while the held-out log loss falls, and goes back to the best round. Returns that loss after each round.
///
/// `round` learns once; it calls its argument now and then, which returns whether to go on.
pub(crate) fn until_it_stops_improving<L: Learner, E>(
    learner: &mut L,
    held_out_loss: impl Fn(&L) -> f64,
    rounds_max: usize,
    mut round: impl FnMut(&L, &mut dyn FnMut() -> bool) -> Result<(), E>,
) -> Result<Vec<f64>, E> {
    let mut history: Vec<f64> = Vec::new();
    let mut best: Option<(f64, L::Snapshot)> = None;
    for _ in 0..rounds_max {
        let best_loss = best.as_ref().map(|(loss, _)| *loss);
        let mut worse = false;
        round(learner, &mut || {
            // A round that makes things worse does so early on; the rest of it is saved.
            worse = best_loss.is_some_and(|best_loss| held_out_loss(learner) > best_loss * (1.0 + GAIN_MIN));
            !worse
        })?;
        if worse {
            break;
        }
        let loss = held_out_loss(learner);
        if best_loss.is_some_and(|best_loss| loss >= best_loss) {
            break;
        }
        history.push(loss);
        let enough = best_loss.is_some_and(|best_loss| loss > best_loss * (1.0 - GAIN_MIN));
        let older = best.take().map(|(_, snapshot)| snapshot);
        best = Some((loss, learner.snapshot(older)));
        if enough {
            break;
        }
    }
    if let Some((_, snapshot)) = best {
        learner.restore(snapshot);
    }
    Ok(history)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;

    /// A learner whose loss after each round is known.
    struct Scripted {
        rounds: Cell<usize>,
        losses: &'static [f64],
    }

    impl Learner for Scripted {
        type Snapshot = usize;

        fn snapshot(&self, _: Option<usize>) -> usize {
            self.rounds.get()
        }

        fn restore(&mut self, snapshot: usize) {
            self.rounds.set(snapshot);
        }
    }

    #[test]
    fn learning_ends_at_the_best_round() {
        let table: [(&str, &[f64], usize, usize); 5] = [
            ("it gets worse", &[0.5, 0.4, 0.45], 2, 2),
            ("it hardly gets better", &[0.5, 0.499_999, 0.1], 2, 2),
            ("it stays", &[0.5, 0.5, 0.1], 1, 1),
            ("rounds run out", &[0.5, 0.4, 0.3, 0.2, 0.1], 4, 4),
            ("the first loss is not a number", &[f64::NAN, 0.5, 0.6], 2, 2),
        ];
        for (what, losses, rounds, best) in table {
            let mut learner = Scripted { rounds: Cell::new(0), losses };
            let loss = |learner: &Scripted| learner.losses[learner.rounds.get() - 1];
            let history = until_it_stops_improving(&mut learner, loss, 4, |learner, go_on| {
                learner.rounds.set(learner.rounds.get() + 1);
                go_on();
                Ok::<_, Infallible>(())
            });
            assert_eq!((history.unwrap().len(), learner.rounds.get()), (rounds, best), "{what}");
        }
    }
}
