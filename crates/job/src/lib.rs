//! Scores partitions exactly once in effect: what is scored follows from the input alone, and the output is the commit.

pub mod closing;
pub mod message;
pub mod protocol;
mod ranges;
mod score;
pub mod worker;

pub use ranges::{RANGE_ROWS, ranges};
pub use score::{Error, Piece, Scored, Scorer, Told, carried};
