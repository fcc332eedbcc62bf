//! The OTLP exporters. Their connections live on the runtime of `otlp_thread`. The builders of
//! opentelemetry-otlp read the environment of the process; the exporters here are created from the
//! decided settings alone. Invariant: creating an exporter does
//! not connect; an unreachable collector is an error of the export only.

mod client;
mod encoding;
mod endpoint;
mod exporters;
mod grpc;
mod histograms;
mod http;
mod json_lines;
mod message;
mod retry;
mod tls;
mod user_agent;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::Temporality;

use self::client::OtlpClient;
pub(super) use self::endpoint::describe;
pub(super) use self::exporters::{OtlpBatches, OtlpMetrics};
pub(super) use self::json_lines::{FileBatches, FileMetrics, JsonLines};
use super::counters::Counters;
use super::diagnostics::LossReporter;
use super::drive::Driver;
use super::error::TelemetryError;
use super::otlp_thread::OtlpThread;
use super::own_histograms::OwnReader;
use super::settings::OtlpSettings;

/// Creates the exporter of spans or of log records.
pub(super) fn batch_exporter(
    settings: &OtlpSettings,
    resource: &Resource,
    thread: &OtlpThread,
) -> Result<OtlpBatches, TelemetryError> {
    let _entered = thread.enter();
    OtlpBatches::new(settings, resource)
}

/// Creates the exporter of metrics.
pub(super) fn metric_exporter(
    settings: &OtlpSettings,
    temporality: Temporality,
    timeout: Duration,
    driver: Driver,
    counters: Arc<Counters>,
    own: OwnReader,
) -> Result<OtlpMetrics, TelemetryError> {
    let _entered = driver.runtime.as_ref().map(|thread| thread.enter());
    Ok(OtlpMetrics {
        client: OtlpClient::new(settings)?,
        temporality,
        timeout,
        driver,
        counters,
        reporter: LossReporter::new("exports of metrics", describe(settings)),
        own,
    })
}
