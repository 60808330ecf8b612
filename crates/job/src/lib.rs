//! Scores partitions exactly once in effect: what is scored follows from the input alone, and the output is the commit.

pub mod closing;
mod error;
pub mod message;
pub mod protocol;
mod ranges;
mod score;
pub mod worker;

pub use error::{Error, Kind, sentence};
pub use ranges::{RANGE_ROWS, ranges};
pub use score::{Piece, PieceError, Progress, ScoreTotals, Scorer, carried};
