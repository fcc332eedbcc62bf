//! The OTLP exporters, and the runtime that drives their connections on one thread,
//! `percolate-otlp`. The builders of opentelemetry-otlp read the environment of the process; the
//! exporters here are created from the decided settings alone. Invariant: creating an exporter does
//! not connect; an unreachable collector is an error of the export only.

mod client;
mod endpoint;
mod exporters;
mod grpc;
mod http;
mod retry;
mod tls;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::Temporality;
use tokio::runtime::{EnterGuard, Handle};
use tokio::sync::oneshot;

use self::client::OtlpClient;
pub(super) use self::endpoint::describe;
pub(super) use self::exporters::{OtlpLogs, OtlpMetrics, OtlpSpans};
use super::counters::Counters;
use super::drive::Driver;
use super::error::TelemetryError;
use super::settings::OtlpSettings;
use crate::quiet::quiet;

/// The thread `percolate-otlp`. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct OtlpThread {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl OtlpThread {
    pub(super) fn start() -> Result<Self, TelemetryError> {
        let failed = |source| TelemetryError::Thread {
            name: "percolate-otlp",
            source,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("percolate-otlp".to_owned())
            .spawn(move || {
                let _quiet = quiet();
                // The channel closes when the `OtlpThread` is dropped: the signal to stop.
                _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Self {
            handle,
            _stop: stop,
        })
    }

    /// Enters the context of the runtime.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}

/// Creates the exporter of spans.
pub(super) fn span_exporter(
    settings: &OtlpSettings,
    resource: &Resource,
    thread: &OtlpThread,
) -> Result<OtlpSpans, TelemetryError> {
    let _entered = thread.enter();
    OtlpSpans::new(settings, resource)
}

/// Creates the exporter of log records.
pub(super) fn log_exporter(
    settings: &OtlpSettings,
    resource: &Resource,
    thread: &OtlpThread,
) -> Result<OtlpLogs, TelemetryError> {
    let _entered = thread.enter();
    OtlpLogs::new(settings, resource)
}

/// Creates the exporter of metrics.
pub(super) fn metric_exporter(
    settings: &OtlpSettings,
    temporality: Temporality,
    timeout: Duration,
    driver: Driver,
    counters: Arc<Counters>,
) -> Result<OtlpMetrics, TelemetryError> {
    let _entered = driver.runtime.as_ref().map(|thread| thread.enter());
    Ok(OtlpMetrics {
        client: OtlpClient::new(settings)?,
        temporality,
        name: describe(settings),
        timeout,
        driver,
        counters,
        failing: false.into(),
    })
}
