//! Streams feature files to batches, and predictions to Parquet, in bounded memory.
//!
//! [`discover`] finds the files of a URI. [`scan`] reads them in parallel, maps every batch, and passes the results on in
//! input order. [`PredictionWriter`] and [`TableWriter`] write files that appear only when they are complete.

mod blocks;
mod carried;
mod columnar;
mod discover;
mod error;
mod guard;
mod input;
mod pairs;
mod records;
mod scan;
mod source;
mod text;
mod write;

pub use carried::{joined, picked, plain, text_of};
pub use discover::{Input, Looked, discover, discover_in};
pub use error::{Error, Kind};
pub use guard::is_guarded;
pub use input::{row_groups, rows_of, sample};
pub use pairs::{Coded, PairColumn, PairEncoder, PairGroup, PairWriter, RepeatedColumn};
pub use scan::{Scan, ScanEvent, scan};
pub use write::{
    CTR, PredictionWriter, Replaces, TableWriter, Written, footer, is_written, looked_metadata, prediction_metadata,
    predictions, written,
};

/// The most rows that are decoded at a time: enough to amortize a batch's overhead.
const BATCH_ROWS_MAX: usize = 32 * 1024;
/// Bytes of a batch's numbers and codes, so that the batches in flight stay in tens of megabytes.
const BATCH_BYTES: usize = 2 << 20;

/// Returns the number of rows to decode at a time, for this number of columns.
pub(crate) fn batch_rows(columns: usize) -> usize {
    (BATCH_BYTES / (8 * columns.max(1))).clamp(BATCH_ROWS_MAX / 32, BATCH_ROWS_MAX)
}
