//! A metric exporter that calls a function.

use std::fmt;
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;

/// A metric exporter that calls a function with each export, for tests that build their own meter
/// provider. Its temporality is cumulative.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use opentelemetry::metrics::MeterProvider as _;
/// use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
/// use percolate_otel::testing::{MetricCallback, Metrics};
///
/// let exported = Arc::new(Mutex::new(Metrics::default()));
/// let newest = Arc::clone(&exported);
/// let exporter = MetricCallback::new(move |metrics| {
///     *newest.lock().unwrap() = Metrics::from_sdk(metrics);
/// });
/// let reader = PeriodicReader::builder(exporter).build();
/// let provider = SdkMeterProvider::builder().with_reader(reader).build();
/// provider.meter("test").u64_counter("calls").build().add(1, &[]);
/// provider.force_flush()?;
/// assert!(exported.lock().unwrap().text().contains("calls"));
/// # Ok::<(), opentelemetry_sdk::error::OTelSdkError>(())
/// ```
#[derive(Clone)]
pub struct MetricCallback<F> {
    export: F,
    temporality: Temporality,
}

impl<F: Fn(&ResourceMetrics) + Send + Sync + 'static> MetricCallback<F> {
    /// Creates an exporter that calls `export`.
    pub fn new(export: F) -> Self {
        Self {
            export,
            temporality: Temporality::Cumulative,
        }
    }

    /// Sets the temporality.
    #[must_use]
    pub fn temporality(self, temporality: Temporality) -> Self {
        Self {
            temporality,
            ..self
        }
    }
}

impl<F> fmt::Debug for MetricCallback<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MetricCallback")
            .field("temporality", &self.temporality)
            .finish_non_exhaustive()
    }
}

impl<F: Fn(&ResourceMetrics) + Send + Sync + 'static> PushMetricExporter for MetricCallback<F> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        (self.export)(metrics);
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        self.temporality
    }
}
