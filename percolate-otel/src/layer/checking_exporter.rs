//! A metric exporter that checks what it exports. `metric_check.rs` decides what is wrong.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;

use super::convention_layer::ConventionLayer;
use super::finding_log::log;
use super::level::Level;
use super::metric_check::MetricCheck;
use super::metric_findings::Failures;
use super::profile::Profile;

impl ConventionLayer {
    /// Wraps a metric exporter, so that all metrics are checked before they are exported.
    ///
    /// ```
    /// use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
    /// use percolate_otel::ConventionLayer;
    /// # use opentelemetry_sdk::{error::OTelSdkResult, metrics::{data::ResourceMetrics, Temporality}};
    /// # struct YourExporter;
    /// # impl opentelemetry_sdk::metrics::exporter::PushMetricExporter for YourExporter {
    /// #     async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult { Ok(()) }
    /// #     fn force_flush(&self) -> OTelSdkResult { Ok(()) }
    /// #     fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult { Ok(()) }
    /// #     fn temporality(&self) -> Temporality { Temporality::Cumulative }
    /// # }
    ///
    /// let conventions = ConventionLayer::new();
    /// let exporter = conventions.metric_exporter(YourExporter);
    /// let meters = SdkMeterProvider::builder().with_reader(PeriodicReader::builder(exporter).build()).build();
    /// # drop(meters);
    /// ```
    pub fn metric_exporter<E: PushMetricExporter>(&self, exporter: E) -> CheckingExporter<E> {
        CheckingExporter {
            exporter,
            conventions: self.clone(),
            known: Mutex::default(),
        }
    }

    /// Checks metrics as they would be exported. Call this when no operation is running: every
    /// failed span so far must be measured.
    pub fn check_metrics(&self, metrics: &ResourceMetrics) {
        let failures = self.shared.metrics.failures();
        self.check(metrics, &failures);
    }

    fn check(&self, metrics: &ResourceMetrics, failures: &Failures) {
        let settings = &self.shared.settings;
        if settings.profile == Profile::Off {
            return;
        }
        let mut round = MetricCheck::new(&self.shared.registry, &settings.opt_in);
        let mut checked = Vec::new();
        for scope in metrics.scope_metrics() {
            for metric in scope.metrics() {
                if round.check(metric, scope.scope().name(), failures) {
                    checked.push((metric.name().to_owned(), scope.scope().name().to_owned()));
                }
            }
        }
        round
            .found
            .retain(|(_, case, _), _| !settings.ignored.contains(&case.rule()));
        let news = self
            .shared
            .metrics
            .merge(checked, round.found, &self.shared.registry);
        if settings.profile == Profile::Log {
            news.iter()
                .filter(|finding| finding.level > Level::Information)
                .for_each(log);
        }
    }
}

/// A metric exporter that checks metrics before it exports them. Created by
/// [`ConventionLayer::metric_exporter`].
#[derive(Debug)]
pub struct CheckingExporter<E> {
    exporter: E,
    conventions: ConventionLayer,
    /// The failures of spans at the last export. Later ones may not be measured yet.
    known: Mutex<Failures>,
}

impl<E: PushMetricExporter> PushMetricExporter for CheckingExporter<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let newest = self.conventions.shared.metrics.failures();
        let known = std::mem::replace(
            &mut *self.known.lock().unwrap_or_else(PoisonError::into_inner),
            newest,
        );
        // Points of one interval do not include earlier measurements.
        let compared = if self.temporality() == Temporality::Cumulative {
            known
        } else {
            Failures::new()
        };
        self.conventions.check(metrics, &compared);
        self.exporter.export(metrics).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
