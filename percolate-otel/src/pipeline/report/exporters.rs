//! The exporters that fill the report: [`ReportSpans`] behind the queue of spans, and
//! [`ReportMetrics`] behind a reader of the SDK.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::SpanData;

use super::super::drive::Driver;
use super::super::export_queue::{ExportBatch, Rejected};
use super::handle::Report;

/// Adds batches of spans to the report.
#[derive(Debug)]
pub(in super::super) struct ReportSpans(pub(in super::super) Arc<Report>);

impl ExportBatch<SpanData> for ReportSpans {
    fn export(&self, _: &Driver, _: Duration, batch: Vec<SpanData>) -> Result<Rejected, String> {
        self.0.add_spans(batch);
        Ok(Rejected::default())
    }

    fn shutdown(&self, _: Duration) {}
}

/// Adds the metrics of a collection to the report.
#[derive(Debug)]
pub(in super::super) struct ReportMetrics(pub(in super::super) Arc<Report>);

impl PushMetricExporter for ReportMetrics {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.0.add_metrics(metrics);
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
