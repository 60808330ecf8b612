//! Pages that stand alone, and their plots.
//!
//! A [`Page`] renders to one HTML file: style and pictures are inside, nothing is fetched, no script runs (the page forbids
//! it), so it can be mailed, kept for years, opened without a network and printed. Each text is escaped, for feature names and
//! values come from data. The plots of module [`plot`] are SVG that takes its colours and type from the page's style.
//!
//! The same calls give the same bytes: nothing here reads a clock, a locale or a font.
//!
//! ```
//! use clickcast_report::{Page, Verdict, plot};
//!
//! let html = Page::new("Evaluation", "ctr@7 on 2026-11-24")
//!     .verdict(Verdict::Good, "The model is as good as yesterday's.")
//!     .facts(&[("AUC", "0.7912".to_string())])
//!     .figure(plot::bars("gain", &[("age", 4.2), ("banner", 1.3)]), "The most telling features.")
//!     .render();
//! assert!(html.starts_with("<!DOCTYPE html>"));
//! ```

pub mod number;
mod page;
pub mod plot;

pub use page::{Page, Verdict};
pub use plot::Svg;
