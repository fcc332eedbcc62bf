//! [`OwnHistograms`]: the histograms that the runtime aggregates by itself, for the pipeline's own
//! exporters. Which pipelines aggregate so is decided here.

use std::sync::{Arc, OnceLock};

use opentelemetry_sdk::metrics::Temporality;

use super::choices::Choices;
use super::settings::Settings;
use super::signal::Exporter;
use crate::aggregation::HistogramData;
use crate::conventions::metric;
use crate::runtime::{OwnAggregation, Runtime};

/// The histograms of a runtime that is built after the exporters.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnHistograms(Arc<OnceLock<&'static Runtime>>);

impl OwnHistograms {
    pub(super) fn of(&self, runtime: &'static Runtime) {
        // A pipeline has one runtime.
        _ = self.0.set(runtime);
    }

    /// Collects the histograms that the SDK does not have.
    pub(super) fn collect(&self) -> Vec<HistogramData> {
        self.0
            .get()
            .map_or_else(Vec::new, |runtime| runtime.series.collect())
    }
}

/// Returns how the runtime aggregates durations and rows, or `None` if the SDK does.
///
/// The SDK does for readers of the application, because its data cannot be made by others, for
/// exponential buckets, and for delta temporality.
pub(super) fn own_aggregation(choices: &Choices, settings: &Settings) -> Option<OwnAggregation> {
    let is_own = choices.metric_readers.is_empty()
        && settings
            .metrics
            .iter()
            .any(|exporter| *exporter != Exporter::None)
        && settings.temporality == Temporality::Cumulative
        && !settings.exponential;
    if !is_own {
        return None;
    }
    Some(OwnAggregation {
        operation_bounds: settings
            .buckets
            .bounds(metric::DB_CLIENT_OPERATION_DURATION)?,
        job_bounds: settings.buckets.bounds(metric::JOB_DURATION)?,
        exemplars: settings.exemplars,
    })
}
