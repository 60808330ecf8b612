//! Which rows are held out.

use clickcast_record::Time;

use crate::random::hash;

/// Which rows are held out from learning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Split {
    /// No row: the held-out rows are other data.
    None,
    /// One in `one_in` of the rows from a time on is fold 0; all others are never held out.
    Time { from: Time, one_in: u64 },
    /// Rows from this number on are fold 0; all others are never held out.
    Tail(u64),
    /// Rows fall into folds evenly, by a hash of their number; a fold is `1 / folds` of them.
    Folds(u64),
}

impl Split {
    /// Returns whether a row is held out in a fold.
    pub(crate) fn holds_out(self, fold: u64, seed: u64, row: u64, time: Option<Time>) -> bool {
        match self {
            Self::None => false,
            Self::Time { from, one_in } => {
                time.is_some_and(|time| time >= from) && hash(seed ^ 0xF01D, row).is_multiple_of(one_in)
            }
            Self::Tail(from) => row >= from,
            Self::Folds(folds) => hash(seed ^ 0xF01D, row) % folds == fold,
        }
    }
}
