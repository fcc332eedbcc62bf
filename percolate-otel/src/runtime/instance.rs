//! A [`Runtime`] and its configuration.
//!
//! A runtime is never freed: its series are used by references for the rest of the process. A
//! pipeline that was shut down releases the instruments, which are nearly all of its memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use opentelemetry::Key;
use opentelemetry::metrics::MeterProvider;

use crate::aggregation::Histograms;
pub use crate::aggregation::{
    Buckets, Exemplar, HistogramData, HistogramPoint, OwnAggregation, PointBuckets, Temporality,
};
use crate::forks;
use crate::later_calls::LaterCalls;
use crate::metrics::{self, Instruments};
use crate::outcome::Outcome;
use crate::record::RecordSink;
#[cfg(feature = "pipeline")]
use crate::recorder::RecordCounts;
use crate::recorder::Recorder;
use crate::sampler::{Sampler, Share};
use crate::series::SeriesTable;
use crate::unsampled::Reports;
use crate::unsampled_calls::UnsampledCalls;

/// The configuration of a [`Runtime`].
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent option"
)]
pub struct RuntimeConfig {
    /// Receives metrics; without it, calls are not measured.
    pub meter_provider: Option<MeterProviderHandle>,
    /// Aggregates durations, rows and waits without the meter provider, which receives all other
    /// metrics. Exporters collect them with [`Runtime::collect_histograms`].
    pub own_aggregation: Option<OwnAggregation>,
    /// The attributes of the context (`with_attributes`) that durations, rows and unsampled calls
    /// are measured with too.
    pub metric_attributes: Vec<Key>,
    /// Head sampling of recorded calls.
    pub sampler: Sampler,
    /// Receives the records of finished calls; without it, only `tracing` layers see calls.
    pub sink: Option<Box<dyn RecordSink>>,
    /// Whether `db.response.returned_rows` is recorded. The conventions make this attribute opt-in.
    pub returned_rows: bool,
    /// The duration from which an unsampled call is reported as slow; `None` reports none.
    pub slow: Option<Duration>,
    /// Whether unsampled calls that fail are reported.
    pub report_failed: bool,
    /// Whether a reported call that was the root of its trace is also exported as a span.
    pub export_reported_roots: bool,
    /// Receives the reported calls.
    pub unsampled_calls: Option<Arc<UnsampledCalls>>,
    /// Whether `tracing` events inside a recorded call become events of its span. A layer has to
    /// collect them.
    pub span_events: bool,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            meter_provider: None,
            own_aggregation: None,
            metric_attributes: Vec::new(),
            sampler: Sampler::default(),
            sink: None,
            returned_rows: true,
            slow: None,
            report_failed: true,
            export_reported_roots: false,
            unsampled_calls: None,
            span_events: false,
        }
    }
}

/// A shared meter provider.
#[derive(Clone)]
pub struct MeterProviderHandle(Arc<dyn MeterProvider + Send + Sync>);

impl MeterProviderHandle {
    /// Wraps a provider.
    pub fn new(provider: impl MeterProvider + Send + Sync + 'static) -> Self {
        Self(Arc::new(provider))
    }
}

impl std::fmt::Debug for MeterProviderHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MeterProviderHandle")
    }
}

/// The duration and the rows of calls are measured.
const ALL: u8 = 0;
/// The duration of calls is measured.
const WITHOUT_ROWS: u8 = 1;
/// The pipeline was shut down: calls are not measured any more.
const NOTHING: u8 = 2;

/// What annotated calls report to.
#[derive(Debug)]
pub struct Runtime {
    pub(crate) series: SeriesTable,
    pub(crate) recorder: Option<Recorder>,
    /// `None` where calls are not recorded by the runtime, so that a foreign set-up samples.
    pub(super) sampler: Option<Sampler>,
    /// The recorded traces, if only their ids decide where they start.
    pub(super) share_of_roots: Option<Share>,
    /// Whether the parent of a call decides that it has no span.
    pub(super) follows_parents: bool,
    /// Whether it serves programs that have not built a runtime.
    pub(super) is_ambient: bool,
    /// One of [`ALL`], [`WITHOUT_ROWS`] and [`NOTHING`].
    measured: AtomicU8,
    /// Calls after the shutdown.
    pub(super) later_calls: LaterCalls,
    pub(crate) span_events: bool,
    pub(crate) reports: Reports,
}

impl Runtime {
    /// Builds a runtime. It is kept until the process ends, with its metric series and everything
    /// they refer to.
    ///
    /// # Errors
    /// Returns an error if the background thread that delivers records cannot be started.
    pub fn build(config: RuntimeConfig) -> std::io::Result<&'static Self> {
        forks::watch();
        let recorder = config.sink.map(Recorder::start).transpose()?;
        let instruments = config.meter_provider.map(|provider| {
            // The SDK exports only if it has data. With an own aggregation it may have no other.
            let none_lost = || config.own_aggregation.is_some().then(Arc::default);
            let lost = recorder.as_ref().map(Recorder::losses).or_else(none_lost);
            Instruments::new(&provider.0.meter_with_scope(metrics::scope()), lost)
        });
        let sampler = recorder.is_some().then_some(config.sampler);
        Ok(Box::leak(Box::new(Self {
            series: SeriesTable::new(
                instruments,
                config.own_aggregation.map(Histograms::new),
                config.metric_attributes,
            ),
            recorder,
            share_of_roots: sampler.as_ref().and_then(Sampler::share_of_roots),
            follows_parents: sampler.as_ref().is_none_or(Sampler::is_parent_based),
            sampler,
            is_ambient: false,
            measured: AtomicU8::new(if config.returned_rows {
                ALL
            } else {
                WITHOUT_ROWS
            }),
            later_calls: LaterCalls::default(),
            span_events: config.span_events,
            reports: Reports::new(
                config.slow,
                config.report_failed,
                config.export_reported_roots,
                config.unsampled_calls,
            ),
        })))
    }

    /// The runtime of programs that have not built one.
    pub(super) fn ambient(instruments: Option<Instruments>) -> Self {
        Self {
            series: SeriesTable::new(instruments, None, Vec::new()),
            recorder: None,
            sampler: None,
            share_of_roots: None,
            follows_parents: true,
            is_ambient: true,
            measured: AtomicU8::new(ALL),
            later_calls: LaterCalls::default(),
            span_events: false,
            reports: Reports::new(None, false, false, None),
        }
    }

    /// Delivers all finished spans of this runtime to its span processors. The processors are not
    /// flushed.
    ///
    /// Returns `false` if `timeout` passed first.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.recorder
            .as_ref()
            .is_none_or(|recorder| recorder.flush(timeout))
    }

    /// Whether a call that ends now is measured with its rows, as nearly all are.
    #[inline]
    pub(crate) fn measures_all(&self) -> bool {
        self.measured.load(Ordering::Relaxed) == ALL
    }

    /// Removes the rows of a call if these are not measured. Returns `false` if the call is not
    /// measured at all, because the pipeline was shut down; it is counted then.
    #[cold]
    pub(crate) fn measures(&self, outcome: &mut Outcome) -> bool {
        let measured = self.measured.load(Ordering::Relaxed);
        if measured == WITHOUT_ROWS {
            outcome.returned_rows = None;
        }
        if measured == NOTHING {
            self.later_calls.add(false);
        }
        measured != NOTHING
    }

    /// Ends the measurement of calls, before the last export of metrics. Calls that end later are
    /// counted in [`calls_after_shutdown`](Self::calls_after_shutdown) instead.
    #[cfg(feature = "pipeline")]
    pub fn stop_measuring(&self) {
        self.measured.store(NOTHING, Ordering::Relaxed);
    }

    /// Returns the number of calls that ended after [`stop_measuring`](Self::stop_measuring), and of
    /// those that started after the runtime was [ended](super::end).
    #[cfg(feature = "pipeline")]
    pub fn calls_after_shutdown(&self) -> u64 {
        self.later_calls.calls()
    }

    /// Flushes, and ends the background thread that delivers spans. Spans of later calls are
    /// dropped and counted; metrics are still recorded.
    ///
    /// Returns `false` if `timeout` passed first.
    pub fn stop(&self, timeout: Duration) -> bool {
        self.recorder
            .as_ref()
            .is_none_or(|recorder| recorder.stop(timeout))
    }

    /// Ends the delivery of spans without waiting, and releases the instruments. What was not
    /// delivered is lost.
    #[cfg(feature = "pipeline")]
    pub(crate) fn give_up(&self) {
        self.series.release();
        if let Some(recorder) = &self.recorder {
            recorder.give_up();
        }
    }

    /// Returns the counter of spans that were dropped before they were delivered.
    #[cfg(feature = "pipeline")]
    pub(crate) fn losses(&self) -> Option<Arc<std::sync::atomic::AtomicU64>> {
        self.recorder.as_ref().map(Recorder::losses)
    }

    /// Returns the counts of recorded spans.
    #[cfg(feature = "pipeline")]
    pub(crate) fn record_counts(&self) -> RecordCounts {
        let recorder = self.recorder.as_ref();
        let mut counts = recorder.map_or_else(RecordCounts::default, Recorder::counts);
        let later = self.later_calls.spans();
        counts.recorded += later;
        counts.after_shutdown += later;
        counts
    }

    /// Returns the number of spans of annotated calls that were recorded, delivered or not.
    #[cfg(feature = "pipeline")]
    pub fn recorded_spans(&self) -> u64 {
        self.record_counts().recorded
    }

    /// Collects the histograms that the runtime aggregates by itself, for the reader with this index
    /// in [`OwnAggregation::readers`]. Empty if there is none.
    pub fn collect_histograms(&self, reader: usize) -> Vec<HistogramData> {
        self.series.collect(reader)
    }

    /// Returns the number of spans that were dropped because they were recorded faster than they
    /// could be delivered.
    pub fn dropped_spans(&self) -> u64 {
        self.recorder.as_ref().map_or(0, Recorder::dropped)
    }
}
