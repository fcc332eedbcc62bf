//! [`BatchProcessor`]: the queue of finished spans of one exporter (`export_queue`); and
//! [`SharedProcessor`], one processor for the SDK's provider and the records of annotated calls.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

use super::counters::is_records_thread;
use super::drive::Driver;
use super::export_queue::{ExportBatch, ExportQueue, Rejected};

/// An exporter of spans of the program, as an exporter of batches.
pub(super) trait AnySpanExporter: ExportBatch<SpanData> {
    fn set_resource(&mut self, resource: &Resource);
    fn into_batches(self: Box<Self>) -> Box<dyn ExportBatch<SpanData>>;
}

/// Makes an exporter of the SDK object-safe: its trait returns unnamed futures.
#[derive(Debug)]
pub(super) struct SdkSpans<E>(pub(super) E);

impl<E: SpanExporter> ExportBatch<SpanData> for SdkSpans<E> {
    fn export(
        &self,
        driver: &Driver,
        timeout: Duration,
        batch: Vec<SpanData>,
    ) -> Result<Rejected, String> {
        match driver.run_for_program(timeout, self.0.export(batch)) {
            Some(Ok(())) => Ok(Rejected::default()),
            Some(Err(error)) => Err(message(error)),
            None => Err("no response in time".to_owned()),
        }
    }

    fn shutdown(&self, timeout: Duration) {
        // All spans were exported or counted before: an error here loses nothing.
        _ = self.0.shutdown_with_timeout(timeout);
    }
}

impl<E: SpanExporter + 'static> AnySpanExporter for SdkSpans<E> {
    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }

    fn into_batches(self: Box<Self>) -> Box<dyn ExportBatch<SpanData>> {
        self
    }
}

/// The exporter's error message, without the SDK's prefix "Operation failed".
fn message(error: OTelSdkError) -> String {
    match error {
        OTelSdkError::InternalFailure(message) => message,
        other => other.to_string(),
    }
}

/// The span processor that fills one exporter's queue.
#[derive(Debug)]
pub(super) struct BatchProcessor(pub(super) ExportQueue<SpanData>);

impl SpanProcessor for BatchProcessor {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            // Only the thread that converts records may wait for room in the queue.
            self.0.push(span, is_records_thread());
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_in(timeout)
    }
}

/// One processor for two sources: the SDK's tracer provider and the records of annotated calls.
#[derive(Debug, Clone)]
pub(super) struct SharedProcessor(pub(super) Arc<dyn SpanProcessor>);

impl SpanProcessor for SharedProcessor {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.0.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.0.shutdown()
    }

    /// The resource is set before the processor is shared; afterwards it cannot change.
    fn set_resource(&mut self, resource: &Resource) {
        if let Some(processor) = Arc::get_mut(&mut self.0) {
            processor.set_resource(resource);
        }
    }
}
