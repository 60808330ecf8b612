//! Models by name and version, and runs of predictions, on any object store.
//!
//! What is written once is never changed; what moves is a [`Pointer`]: a channel of a model, or the published run. It is
//! moved by one conditional write, and says who moved it, when, why and from what.

mod artifacts;
mod cache;
mod error;
mod models;
mod names;
mod output_names;
mod pointer;
mod records;
mod runs;

pub use clickcast_verdict::OutputRecord;

pub use artifacts::{read_artifact, write_artifact};
pub use cache::ModelCache;
pub use error::{Error, Kind};
pub use models::{CHAMPION, Gated, Listed, Registry, Shown, VersionRecord};
pub use names::{Channel, Name, Reference, RunName, Selector};
pub use output_names::has_output;
pub use pointer::{Action, Change, Fence, Moved, Moves, Pointer};
pub use runs::{
    Audited, InputRecord, PinnedModel, Published, Rejected, Run, RunManifest, RunRecord, RunSettings, Runs, State,
};
