//! The OTLP exporters of the three signals: each creates one message of a batch, sends it with
//! the [`OtlpClient`], and reads from the response how much was rejected.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::logs::tonic::group_logs_by_resource_and_scope;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, SdkLogRecord};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::SpanData;

use super::super::counters::Counters;
use super::super::diagnostics::report_change;
use super::super::drive::Driver;
use super::super::error::TelemetryError;
use super::super::export_queue::ExportBatch;
use super::super::logs::QueuedLog;
use super::super::own_histograms::OwnReader;
use super::super::settings::OtlpSettings;
use super::client::OtlpClient;
use super::histograms;

/// Exports batches of spans or of log records.
#[derive(Debug)]
pub(in super::super) struct OtlpBatches {
    client: OtlpClient,
    resource: ResourceAttributesWithSchema,
}

impl OtlpBatches {
    pub(super) fn new(
        settings: &OtlpSettings,
        resource: &Resource,
    ) -> Result<Self, TelemetryError> {
        Ok(Self {
            client: OtlpClient::new(settings)?,
            resource: resource.into(),
        })
    }
}

impl ExportBatch<SpanData> for OtlpBatches {
    fn export(
        &self,
        driver: &Driver,
        timeout: Duration,
        batch: Vec<SpanData>,
    ) -> Result<usize, String> {
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        };
        let response: ExportTraceServiceResponse = self.client.export(driver, timeout, &request)?;
        let partial = response.partial_success;
        Ok(count(partial.map_or(0, |partial| partial.rejected_spans)))
    }

    fn shutdown(&self, _timeout: Duration) {}
}

impl ExportBatch<QueuedLog> for OtlpBatches {
    fn export(
        &self,
        driver: &Driver,
        timeout: Duration,
        batch: Vec<QueuedLog>,
    ) -> Result<usize, String> {
        let records: Vec<(&SdkLogRecord, &InstrumentationScope)> =
            batch.iter().map(|log| (&log.record, &log.scope)).collect();
        let records = LogBatch::new(&records);
        let request = ExportLogsServiceRequest {
            resource_logs: group_logs_by_resource_and_scope(&records, &self.resource),
        };
        let response: ExportLogsServiceResponse = self.client.export(driver, timeout, &request)?;
        let partial = response.partial_success;
        Ok(count(
            partial.map_or(0, |partial| partial.rejected_log_records),
        ))
    }

    fn shutdown(&self, _timeout: Duration) {}
}

/// Exports metrics. The SDK's reader calls it on a separate thread and waits without a limit; the
/// deadline is kept here.
#[derive(Debug)]
pub(in super::super) struct OtlpMetrics {
    pub(super) client: OtlpClient,
    pub(super) temporality: Temporality,
    pub(super) name: String,
    pub(super) timeout: Duration,
    pub(super) driver: Driver,
    pub(super) counters: Arc<Counters>,
    pub(super) failing: AtomicBool,
    pub(super) own: OwnReader,
}

impl OtlpMetrics {
    fn send(&self, metrics: &ResourceMetrics) -> Result<(), String> {
        let mut request = ExportMetricsServiceRequest::from(metrics);
        histograms::append(&mut request, self.own.collect());
        let response: ExportMetricsServiceResponse =
            self.client.export(&self.driver, self.timeout, &request)?;
        let partial = response.partial_success;
        match partial.map_or(0, |partial| partial.rejected_data_points) {
            ..=0 => Ok(()),
            rejected => Err(format!("the collector rejected {rejected} data points")),
        }
    }
}

impl PushMetricExporter for OtlpMetrics {
    /// Blocks in the first poll.
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.counters.running.fetch_add(1, Ordering::AcqRel);
        let result = self.send(metrics);
        match &result {
            Ok(()) => Counters::add(&self.counters.exported, 1),
            Err(problem) => self.counters.failed(1, problem.clone()),
        }
        report_change(
            self.failing.swap(result.is_err(), Ordering::Relaxed),
            "metrics",
            &self.name,
            result
                .as_ref()
                .copied()
                .map_err(|problem| problem as &dyn Display),
        );
        self.counters.running.fetch_sub(1, Ordering::AcqRel);
        result.map_err(OTelSdkError::InternalFailure)
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        self.temporality
    }
}

fn count(rejected: i64) -> usize {
    usize::try_from(rejected).unwrap_or(0)
}
