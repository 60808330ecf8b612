//! The metrics of one scrape.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

/// What a process's metrics are called before their own names.
const PREFIX: &str = "clickcast";

type Labels = Vec<(&'static str, String)>;

/// The metrics of one scrape, each with its help in one sentence without its full stop.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// No metrics yet.
    #[must_use]
    pub fn new() -> Self {
        Self { registry: Registry::with_prefix(PREFIX) }
    }

    /// Adds a count that only rises. Its name ends in `_total` when it is shown.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.registry.register(name, help, ConstCounter::new(value));
    }

    /// Adds counts that only rise, one for each value of a label.
    pub fn counters(&mut self, name: &str, help: &str, label: &'static str, values: &[(&str, u64)]) {
        let family = Family::<Labels, Counter>::default();
        for (of, value) in values {
            family.get_or_create(&vec![(label, (*of).to_owned())]).inc_by(*value);
        }
        self.registry.register(name, help, family);
    }

    /// Adds a number that rises and falls.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.registry.register(name, help, ConstGauge::new(value));
    }

    /// Adds numbers that rise and fall, one for each set of labels.
    pub fn gauges(&mut self, name: &str, help: &str, values: &[(&[(&'static str, &str)], i64)]) {
        let family = Family::<Labels, Gauge>::default();
        for (labels, value) in values {
            let labels: Labels = labels.iter().map(|(label, of)| (*label, (*of).to_owned())).collect();
            family.get_or_create(&labels).set(*value);
        }
        self.registry.register(name, help, family);
    }

    /// Returns all metrics in the OpenMetrics text format.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string never fails.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_their_prefix_and_counters_their_ending() {
        let mut metrics = Metrics::new();
        metrics.counter("rows", "Rows scored", 30);
        metrics.counters("partitions", "Messages by what came of them", "outcome", &[("written", 3)]);
        metrics.gauges("queue_messages", "Messages in the queue", &[(&[("state", "dead")], 0)]);
        metrics.gauge("rows_per_second", "Rows scored a second in the last minute", 1.5);
        let text = metrics.text();
        for line in [
            "# HELP clickcast_rows Rows scored.",
            "# TYPE clickcast_rows counter",
            "clickcast_rows_total 30",
            "clickcast_partitions_total{outcome=\"written\"} 3",
            "clickcast_queue_messages{state=\"dead\"} 0",
            "clickcast_rows_per_second 1.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
