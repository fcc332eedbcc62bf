//! [`OwnReader`]: an exporter of the pipeline as a reader of the histograms that the runtime
//! aggregates by itself. Which pipelines aggregate so is decided here.

use std::sync::{Arc, OnceLock};

use opentelemetry_sdk::metrics;

use super::choices::Choices;
use super::settings::Settings;
use super::signal::Exporter;
use crate::conventions::metric;
use crate::metrics::ROW_BOUNDS;
use crate::runtime::{Buckets, HistogramData, OwnAggregation, Runtime, Temporality};

/// The histograms of a runtime that is built after the exporters.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnHistograms(Arc<OnceLock<&'static Runtime>>);

/// One of the exporters.
#[derive(Debug)]
pub(super) struct OwnReader {
    histograms: OwnHistograms,
    index: usize,
}

impl OwnHistograms {
    pub(super) fn of(&self, runtime: &'static Runtime) {
        // A pipeline has one runtime.
        _ = self.0.set(runtime);
    }

    /// Returns the exporter with this index among those that export.
    pub(super) fn reader(&self, index: usize) -> OwnReader {
        OwnReader {
            histograms: self.clone(),
            index,
        }
    }
}

impl OwnReader {
    /// Collects the histograms that the SDK does not have.
    pub(super) fn collect(&self) -> Vec<HistogramData> {
        let runtime = self.histograms.0.get();
        runtime.map_or_else(Vec::new, |runtime| runtime.collect_histograms(self.index))
    }
}

/// Returns how the runtime aggregates histograms, or `None` if the SDK does.
///
/// The SDK does for readers of the application, because its data cannot be created by others.
pub(super) fn own_aggregation(choices: &Choices, settings: &Settings) -> Option<OwnAggregation> {
    let exporters = settings.metrics.iter().filter_map(|exporter| {
        Some(match exporter {
            Exporter::Console => Temporality::Cumulative,
            Exporter::Otlp | Exporter::OtlpFile => of_histograms(settings.temporality),
            Exporter::Chrome | Exporter::None => return None,
        })
    });
    // The report is the first reader.
    let report = settings.report.iter().map(|_| Temporality::Cumulative);
    let readers: Vec<_> = report.chain(exporters).collect();
    if !choices.metric_readers.is_empty() || readers.is_empty() {
        return None;
    }
    let durations = |name| settings.buckets.of(name);
    Some(OwnAggregation {
        operations: durations(metric::DB_CLIENT_OPERATION_DURATION),
        jobs: durations(metric::JOB_DURATION),
        queue_waits: durations(metric::JOB_QUEUE_WAIT),
        rows: if settings.exponential {
            super::buckets::EXPONENTIAL
        } else {
            Buckets::Explicit(ROW_BOUNDS.to_vec())
        },
        exemplars: settings.exemplars,
        readers,
    })
}

/// Returns the temporality that histograms have.
fn of_histograms(temporality: metrics::Temporality) -> Temporality {
    match temporality {
        metrics::Temporality::Delta | metrics::Temporality::LowMemory => Temporality::Delta,
        _ => Temporality::Cumulative,
    }
}
