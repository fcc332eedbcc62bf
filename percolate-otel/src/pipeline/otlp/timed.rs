//! Deadlines and counts for the exporters of metrics and log records, which run inside the SDK's
//! reader and processor. Those wait without a limit. Spans have their own queue (`processor`).

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;

use super::super::counters::Counters;
use super::super::diagnostics::report_change;
use super::super::drive::Driver;
use super::super::settings::BatchSettings;

/// A metric exporter with a deadline and counts. It needs no runtime.
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
    /// Blocks in the first poll: the reader calls it on a separate thread.
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = match self.driver.run(self.timeout, self.inner.export(metrics)) {
            Some(result) => result,
            None => Err(OTelSdkError::InternalFailure(
                "no response in time".to_owned(),
            )),
        };
        match &result {
            Ok(()) => Counters::add(&self.counters.exported, 1),
            Err(OTelSdkError::InternalFailure(message)) => self.counters.failed(1, message.clone()),
            Err(error) => self.counters.failed(1, error.to_string()),
        }
        report_change(
            self.failing.swap(result.is_err(), Ordering::Relaxed),
            "metrics",
            &self.name,
            result
                .as_ref()
                .copied()
                .map_err(|error| error as &dyn Display),
        );
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

/// Returns the SDK's batch processor of log records with the decided limits.
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

/// An exporter of log records with a deadline and counts.
#[derive(Debug)]
pub(in super::super) struct TimedLogs<E> {
    pub(in super::super) inner: E,
    pub(in super::super) timeout: Duration,
    pub(in super::super) driver: Driver,
    pub(in super::super) counters: Arc<Counters>,
}

impl<E: LogExporter> LogExporter for TimedLogs<E> {
    /// Blocks in the first poll: the processor calls it on a separate thread.
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let count = batch.iter().count();
        let result = match self.driver.run(self.timeout, self.inner.export(batch)) {
            Some(result) => result,
            None => Err(OTelSdkError::InternalFailure(
                "no response in time".to_owned(),
            )),
        };
        match &result {
            Ok(()) => Counters::add(&self.counters.exported, count),
            Err(OTelSdkError::InternalFailure(message)) => {
                self.counters.failed(count, message.clone());
            }
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
