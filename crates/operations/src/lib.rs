//! What one can ask of Clickcast: each command of the binary as a function.
//!
//! An operation takes a request, the [`Resources`] it computes with, and an [`Observer`] that is told of its progress
//! and may cancel it. It returns a typed report, or an [`Error`] whose [`Kind`] says what the caller may do. Reports
//! derive `Serialize`: serialized as JSON they are what the binary prints under `--json`.
//!
//! Operations block: call them from a thread of their own (`tokio::task::spawn_blocking`), never from a future.
//!
//! ```no_run
//! use clickcast_operations::evaluate::{EvaluateRequest, evaluate};
//! use clickcast_operations::{ModelLocation, Resources};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = tokio::runtime::Runtime::new()?;
//! let resources = Resources::new(runtime.handle().clone(), Resources::cores())?;
//! let request = EvaluateRequest {
//!     model: ModelLocation::folder("model/"),
//!     data: "impressions/dt=2026-01-06".to_owned(),
//!     label: None,
//!     by: Some("format".to_owned()),
//! };
//! let report = evaluate(&resources, &request, &())?;
//! println!("log loss {:.4} over {} rows", report.evaluation.metrics.logloss, report.evaluation.metrics.rows);
//! # Ok(())
//! # }
//! ```

pub mod artifacts;
pub mod cross;
pub mod data;
mod error;
pub mod evaluate;
mod guess;
pub mod import;
pub mod models;
mod observer;
mod outputs;
pub mod predict;
pub mod queue;
mod resources;
pub mod runs;
pub mod schema;
pub mod synthesize;
mod text;
pub mod train;
pub mod work;

pub use artifacts::ModelLocation;
pub use error::{Error, Kind};
pub use observer::{Observer, Stage, Unit};
pub use resources::{Resources, peak_memory_bytes};

/// Compiles the programs of the library's guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
struct Guide;
