//! The gate: judges a candidate against the champion, by labelled rows and by today's rows.
//!
//! [`measure`] scores and counts rows in one pass, [`judge()`] is a pure function of what was measured, and [`page`] shows both.

pub mod compare;
mod judge;
pub mod measure;
mod page;
mod pairing;

pub use judge::{Backtested, Described, Drift, Evidence, drifts, judge};
pub use page::{Measured, PageRequest, page};
pub use pairing::reading_schema;
