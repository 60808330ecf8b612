//! Shows a long-running process to those who watch it: `/metrics` in the OpenMetrics text format, and `/healthz` and
//! `/readyz` for Kubernetes; and, with the feature `otlp`, traces for an OpenTelemetry collector.

mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
mod serve;

pub use metrics::Metrics;
pub use serve::{Status, serve};
