//! What a worker shows to those who watch it: its metrics, and whether it works and takes work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clickcast_job::worker::{Counters, Drain};
use clickcast_storage::queue::{Depth, Queue};
use clickcast_telemetry::{Metrics, Status};

/// A worker that is watched.
pub(super) struct Watched {
    pub(super) counters: Arc<Counters>,
    pub(super) drain: Arc<Drain>,
    pub(super) queue: Queue,
    pub(super) model: String,
}

impl Status for Watched {
    async fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::new();
        add_counters(&mut metrics, &self.counters);
        // If the queue doesn't answer, its metrics are missing, and the others are still shown.
        if let Ok(depth) = self.queue.depth().await {
            add_depth(&mut metrics, &depth);
        }
        let labels = [("model", self.model.as_str()), ("version", env!("CARGO_PKG_VERSION"))];
        let help = "The model of runs that begin now, and the program's version";
        metrics.gauges("worker_info", help, &[(&labels, 1)]);
        metrics
    }

    fn live(&self) -> Result<(), &'static str> {
        if self.counters.is_live() { Ok(()) } else { Err("it neither asks for work nor does any") }
    }

    fn ready(&self) -> Result<(), &'static str> {
        if self.drain.is_asked() { Err("it is about to end") } else { Ok(()) }
    }
}

fn add_counters(metrics: &mut Metrics, counters: &Counters) {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    metrics.counter("rows", "Rows scored", of(&counters.rows));
    metrics.gauge("rows_per_second", "Rows scored a second in the last minute", counters.rows_per_second());
    let outcomes = [
        ("written", of(&counters.written)),
        ("found_done", of(&counters.found_done)),
        ("overwritten", of(&counters.overwritten)),
        ("ignored", of(&counters.ignored)),
        ("handed_on", of(&counters.handed_on)),
        ("buried", of(&counters.buried)),
        ("left", of(&counters.left)),
        ("released", of(&counters.released)),
        ("lost", of(&counters.lost)),
    ];
    metrics.counters("partitions", "Messages by what came of them", "outcome", &outcomes);
    metrics.counter("runs_closed", "Runs closed", of(&counters.closed));
    metrics.counter("lease_extensions", "Times a message was kept from others", of(&counters.extensions));
    let heartbeat_s = of(&counters.heartbeat_s) as f64;
    metrics.gauge("heartbeat_timestamp_seconds", "When rows were last scored; 0 before", heartbeat_s);
}

fn add_depth(metrics: &mut Metrics, depth: &Depth) {
    let states =
        [("visible", depth.visible), ("in_flight", depth.in_flight), ("delayed", depth.delayed), ("dead", depth.dead)];
    let labelled = states.map(|(state, count)| ([("state", state)], count as i64));
    let values: Vec<(&[(&'static str, &str)], i64)> =
        labelled.iter().map(|(labels, count)| (labels.as_slice(), *count)).collect();
    metrics.gauges("queue_messages", "Messages in the queue", &values);
    if let Some(age) = depth.oldest_age {
        metrics.gauge("queue_oldest_age_seconds", "Age of the oldest message", age.as_secs_f64());
    }
}
