//! Sends spans to an OpenTelemetry collector, by OTLP over HTTP.

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// Spans on their way to a collector. The last ones are sent when it is dropped.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Sends to the collector at this URL, such as `http://localhost:4318/v1/traces`. A collector that doesn't answer stops
    /// nothing. Must be called outside of an asynchronous runtime.
    ///
    /// # Errors
    /// If the URL is none.
    pub fn to(endpoint: &str, service: &'static str, version: &'static str) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).with_protocol(Protocol::HttpJson);
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.version", version))
            .build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter.build()?).with_resource(resource).build();
        let tracer = provider.tracer("clickcast");
        Ok(Self { provider, tracer })
    }

    /// The layer of a subscriber that sends spans there.
    #[must_use]
    pub fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_level(false)
            .with_tracer(self.tracer.clone())
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // Whether the last spans arrive changes nothing about the work that they describe.
        let _ = self.provider.shutdown();
    }
}
