//! What the tests of several crates share; only a dev-dependency elsewhere, and a dependency of `xtask`.
//!
//! It uses no other crate of the workspace, so that `xtask` builds while they do not.
//!
//! # How a test records that it was skipped
//! A test that can't have its service or its data calls [`skip::because`] (or gets its file from
//! [`skip::shared_data`]) and returns. `cargo xtask test` passes the path of a log to every test, reads the log
//! afterwards, and counts those tests as skipped instead of passed. With `CI=true` or `--require-all` a skipped test
//! fails the run, with one exception: `../shared`, the folder of real data beside a developer's clone, may be absent.

#![allow(clippy::unwrap_used, reason = "a test that can't be set up fails")]

mod disturbed;
pub mod forgery;
pub mod services;
pub mod skip;
pub mod torture;
mod world;

pub use disturbed::Disturbed;
pub use world::{Ended, Folder, World};
