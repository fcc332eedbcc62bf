//! The exporters of metrics and log records inside the SDK's own reader and processor, which wait for them without a
//! limit: here they get a deadline and a count. Spans have a queue of our own for that (`processor`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;

use super::super::TELEMETRY_TARGET;
use super::super::counters::Counters;
use super::super::drive::Driver;
use super::super::settings::BatchSettings;

/// A metric exporter that keeps its deadline, without any runtime of its reader, and counts.
#[derive(Debug)]
pub(in super::super) struct TimedMetrics<E> {
    pub(in super::super) inner: E,
    pub(in super::super) name: String,
    pub(in super::super) timeout: Duration,
    pub(in super::super) driver: Driver,
    pub(in super::super) counters: Arc<Counters>,
    pub(in super::super) failing: AtomicBool,
}

impl<E: PushMetricExporter> PushMetricExporter for TimedMetrics<E> {
    /// Done when first polled: the reader calls it on a thread of its own, which has nothing else to do.
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = match self.driver.run(self.timeout, self.inner.export(metrics)) {
            Some(result) => result,
            None => Err(OTelSdkError::InternalFailure(
                "no answer in time".to_owned(),
            )),
        };
        match &result {
            Ok(()) => Counters::add(&self.counters.exported, 1),
            Err(OTelSdkError::InternalFailure(words)) => self.counters.failed(1, words.clone()),
            Err(error) => self.counters.failed(1, error.to_string()),
        }
        self.report(&result);
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}

impl<E> TimedMetrics<E> {
    /// One message when exports begin to fail and one when they work again.
    fn report(&self, result: &OTelSdkResult) {
        let to = &self.name;
        match (
            self.failing.swap(result.is_err(), Ordering::Relaxed),
            result,
        ) {
            (false, Err(error)) => tracing::warn!(
                target: TELEMETRY_TARGET,
                "cannot export metrics to {to}: {error}; further failures are counted in `TelemetryGuard::status`"
            ),
            (true, Ok(())) => {
                tracing::info!(target: TELEMETRY_TARGET, "exporting metrics to {to} works again")
            }
            (true, Err(_)) | (false, Ok(())) => {}
        }
    }
}

/// The SDK's queue for log records with our measures.
pub(in super::super) fn batched_logs(
    exporter: TimedLogs<impl LogExporter + 'static>,
    settings: BatchSettings,
) -> BatchLogProcessor {
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(settings.queue)
        .with_max_export_batch_size(settings.batch)
        .with_scheduled_delay(settings.delay)
        .build();
    BatchLogProcessor::builder(exporter)
        .with_batch_config(config)
        .build()
}

/// An exporter of log records that keeps its deadline and counts.
#[derive(Debug)]
pub(in super::super) struct TimedLogs<E> {
    pub(in super::super) inner: E,
    pub(in super::super) timeout: Duration,
    pub(in super::super) driver: Driver,
    pub(in super::super) counters: Arc<Counters>,
}

impl<E: LogExporter> LogExporter for TimedLogs<E> {
    /// Done when first polled: the processor calls it on a thread of its own, which has nothing else to do.
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let count = batch.iter().count();
        let result = match self.driver.run(self.timeout, self.inner.export(batch)) {
            Some(result) => result,
            None => Err(OTelSdkError::InternalFailure(
                "no answer in time".to_owned(),
            )),
        };
        match &result {
            Ok(()) => Counters::add(&self.counters.exported, count),
            Err(OTelSdkError::InternalFailure(words)) => self.counters.failed(count, words.clone()),
            Err(error) => self.counters.failed(count, error.to_string()),
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
