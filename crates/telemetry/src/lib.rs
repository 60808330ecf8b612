//! Shows a long-running process to those who watch it: `/metrics` in the OpenMetrics text format, and `/healthz` and
//! `/readyz` for Kubernetes.

mod metrics;
mod serve;

pub use metrics::Metrics;
pub use serve::{Status, serve};
