//! Streams feature files to batches, and predictions to Parquet, in bounded memory.
//!
//! [`discover`] finds the files behind a URI. [`scan`] reads them in parallel, maps every batch and
//! hands the results over in input order. [`PredictionWriter`] and [`TableWriter`] write files that
//! appear only when whole.

mod blocks;
mod carried;
mod columnar;
mod discover;
mod error;
mod input;
mod scan;
mod text;
mod write;

pub use carried::text_of;
pub use discover::{Input, discover};
pub use error::Error;
pub use input::{rows_of, sample};
pub use scan::{Scan, Step, scan};
pub use write::{Precision, PredictionWriter, TableWriter, prediction_metadata};

/// Rows decoded at a time: large enough to amortize a batch's overhead, and small enough that the
/// batches in flight stay in tens of megabytes.
pub(crate) const BATCH_ROWS: usize = 32 * 1024;
