//! The OTLP exporters of the three signals: each creates one message of a batch, sends it with
//! the [`OtlpClient`], and reads from the response how much was rejected.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

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
use super::super::diagnostics::LossReporter;
use super::super::drive::Driver;
use super::super::error::TelemetryError;
use super::super::export_queue::{ExportBatch, Rejected};
use super::super::logs::QueuedLog;
use super::super::own_histograms::OwnReader;
use super::super::settings::OtlpSettings;
use super::super::signal::Signal;
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
    ) -> Result<Rejected, String> {
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        };
        self.client
            .export::<ExportTraceServiceResponse>(driver, timeout, &request)
    }

    fn shutdown(&self, _timeout: Duration) {}
}

impl ExportBatch<QueuedLog> for OtlpBatches {
    fn export(
        &self,
        driver: &Driver,
        timeout: Duration,
        batch: Vec<QueuedLog>,
    ) -> Result<Rejected, String> {
        let records: Vec<(&SdkLogRecord, &InstrumentationScope)> =
            batch.iter().map(|log| (&log.record, &log.scope)).collect();
        let records = LogBatch::new(&records);
        let request = ExportLogsServiceRequest {
            resource_logs: group_logs_by_resource_and_scope(&records, &self.resource),
        };
        self.client
            .export::<ExportLogsServiceResponse>(driver, timeout, &request)
    }

    fn shutdown(&self, _timeout: Duration) {}
}

/// Exports metrics. The SDK's reader calls it on a separate thread and waits without a limit; the
/// deadline is kept here.
#[derive(Debug)]
pub(in super::super) struct OtlpMetrics {
    pub(super) client: OtlpClient,
    pub(super) temporality: Temporality,
    pub(super) timeout: Duration,
    pub(super) driver: Driver,
    pub(super) counters: Arc<Counters>,
    pub(super) reporter: LossReporter,
    pub(super) own: OwnReader,
}

impl OtlpMetrics {
    /// The error has the number of failed exports: none if the collector accepted the metrics with a
    /// warning.
    fn send(&self, metrics: &ResourceMetrics) -> Result<(), (usize, String)> {
        let mut request = ExportMetricsServiceRequest::from(metrics);
        histograms::append(&mut request, self.own.collect());
        let rejected = self.client.export::<ExportMetricsServiceResponse>(
            &self.driver,
            self.timeout,
            &request,
        );
        let rejected = rejected.map_err(|problem| (1, problem))?;
        let data_points = format!("{} data points", rejected.count);
        match rejected.problem(data_points, Signal::Metrics.items()) {
            None => Ok(()),
            Some(problem) => Err((rejected.count.min(1), problem)),
        }
    }
}

impl PushMetricExporter for OtlpMetrics {
    /// Blocks in the first poll.
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.counters.running.fetch_add(1, Ordering::AcqRel);
        let result = self.send(metrics);
        let failed = result.as_ref().map_or_else(|(failed, _)| *failed, |()| 0);
        let problem = result.as_ref().err().map(|(_, problem)| problem.clone());
        self.counters.exported_at_once(failed, problem);
        let now = Instant::now();
        match &result {
            Err((0, warning)) => self.reporter.warning(warning, now),
            Err((_, problem)) => {
                self.reporter
                    .update(self.counters.lost(), problem, false, now);
            }
            Ok(()) => self.reporter.update(self.counters.lost(), "", true, now),
        }
        self.counters.running.fetch_sub(1, Ordering::AcqRel);
        match result {
            Err((1.., problem)) => Err(OTelSdkError::InternalFailure(problem)),
            Ok(()) | Err(_) => Ok(()),
        }
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
