//! Sends the way of each message to an OpenTelemetry collector, by OTLP over HTTP.

use clickcast_job::worker::Trace;
use opentelemetry::trace::{Span, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context as Within, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::failure::Failure;

/// Spans on their way to a collector; what is left goes out when it is dropped.
pub(super) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// To the collector at this URL, such as `http://localhost:4318/v1/traces`. A collector that is not there stops nothing.
    pub(super) fn to(endpoint: &str) -> Result<Self, Failure> {
        let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).with_protocol(Protocol::HttpJson);
        let exporter = exporter.build().map_err(|error| Failure::input(format!("`{endpoint}`: {error}")))?;
        let resource = Resource::builder()
            .with_service_name("clickcast-worker")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let tracer = provider.tracer("clickcast");
        Ok(Self { provider, tracer })
    }

    /// A span of the message, and in it one of each step.
    pub(super) fn add(&self, trace: &Trace) {
        let Trace { note, receive_count, is_lost, steps } = trace;
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return };
        let outcome = if *is_lost { "lost" } else { last.name };
        let mut attributes =
            vec![KeyValue::new("outcome", outcome), KeyValue::new("receive_count", i64::from(*receive_count))];
        for (name, value) in [("run", &note.run), ("partition", &note.partition), ("model", &note.model)] {
            attributes.extend(value.clone().map(|value| KeyValue::new(name, value)));
        }
        let message = self.tracer.span_builder("message").with_start_time(first.began).with_attributes(attributes);
        let within = Within::new().with_span(message.start(&self.tracer));
        for step in steps {
            let span = self.tracer.span_builder(step.name).with_start_time(step.began);
            span.start_with_context(&self.tracer, &within).end_with_timestamp(step.ended);
        }
        within.span().end_with_timestamp(last.ended);
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // Whether the last spans arrive changes nothing about the work that they tell of.
        let _ = self.provider.shutdown();
    }
}
