//! What libraries log, on stderr: plain lines on a terminal, one JSON object a line elsewhere.

use std::fmt;
use std::io::IsTerminal;

use clickcast_telemetry::otlp::Traces;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::console;
use crate::failure::Failure;

/// Logs until it is dropped; then the last traces are sent.
pub(crate) struct Log {
    _traces: Option<Traces>,
}

impl Log {
    /// Writes logs to stderr unless `quiet`, and sends spans to the OpenTelemetry collector at `otlp`.
    pub(crate) fn start(quiet: bool, otlp: Option<&str>) -> Result<Self, Failure> {
        let traces = match otlp {
            Some(endpoint) => {
                let traces = Traces::to(endpoint, "clickcast-worker", env!("CARGO_PKG_VERSION"));
                Some(traces.map_err(|error| Failure::input(format!("`{endpoint}`: {error}")))?)
            }
            None => None,
        };
        let lines = (!quiet).then(|| Lines { is_terminal: std::io::stderr().is_terminal() });
        let spans = traces.as_ref().map(Traces::layer);
        tracing_subscriber::registry()
            .with(lines.with_filter(filter_fn(is_ours)))
            .with(spans.with_filter(filter_fn(is_ours)))
            .init();
        Ok(Self { _traces: traces })
    }
}

/// Whether a library of this workspace logs it, for people.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("clickcast") && *metadata.level() <= Level::INFO
}

struct Lines {
    is_terminal: bool,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = if self.is_terminal {
            fields.message
        } else {
            let level = event.metadata().level().as_str().to_ascii_lowercase();
            fields.json(&Timestamp::now().to_string(), &level)
        };
        console::note(&line, false);
    }
}

/// An event's message, and what it is about.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn json(self, time: &str, level: &str) -> String {
        let mut line = Map::new();
        line.insert("time".to_owned(), time.into());
        line.insert("level".to_owned(), level.into());
        line.insert("message".to_owned(), self.message.into());
        line.extend(self.others);
        Value::Object(line).to_string()
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.others.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.others.insert(field.name().to_owned(), text.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_message_and_what_it_is_about() {
        let mut fields = Fields { message: "done".to_owned(), ..Fields::default() };
        fields.others.insert("run".to_owned(), "dt=1".into());
        let line = fields.json("2026-12-01T00:00:00Z", "info");
        assert_eq!(line, r#"{"time":"2026-12-01T00:00:00Z","level":"info","message":"done","run":"dt=1"}"#);
    }
}
