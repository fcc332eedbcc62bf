//! [`SideReport`]: a report beside the exporters of another pipeline. The wheel uses it: its spans and
//! metrics go to the providers of a Python application, and to the report. It has the same page as
//! that of a [`Telemetry`](super::Telemetry).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, PeriodicReader};
use opentelemetry_sdk::trace::SpanProcessor;

use super::counters::{Counters, ExportCounts, LossesBefore};
use super::drive::{Driver, deadline_in};
use super::error::TelemetryError;
use super::export_queue::{ExportQueue, QueueOptions, WhenFull};
use super::own_histograms::OwnHistograms;
use super::processor::BatchProcessor;
use super::report::{PipelineState, Report, ReportMetrics, ReportOptions, ReportSpans};
use super::settings::BatchSettings;
use super::signal::Signal;
use crate::runtime::{Runtime, UnsampledCalls};

/// The interval of the metrics that the SDK aggregates.
const INTERVAL: Duration = Duration::from_secs(1);

const BATCH: BatchSettings = BatchSettings {
    queue: 8192,
    batch: 512,
    delay: Duration::from_secs(1),
    export_timeout: Duration::from_secs(30),
};

/// A report whose pipeline is that of another library.
#[derive(Debug)]
pub struct SideReport {
    report: Arc<Report>,
    spans: Arc<BatchProcessor>,
    counters: Arc<Counters>,
    pages: Arc<Counters>,
    histograms: OwnHistograms,
}

impl SideReport {
    /// Starts a report. `reader` is its index among the readers of the runtime's own histograms, or
    /// `None` if the runtime has none.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::Thread`] if a thread cannot be started.
    pub fn start(
        path: PathBuf,
        resource: impl IntoIterator<Item = KeyValue>,
        reader: Option<usize>,
    ) -> Result<Self, TelemetryError> {
        let histograms = OwnHistograms::default();
        let pages = Arc::new(Counters::default());
        let report = Report::start(ReportOptions {
            path,
            resource: Resource::builder_empty().with_attributes(resource).build(),
            own: histograms.reader(reader.unwrap_or_default()),
            has_own: reader.is_some(),
            conventions: std::sync::OnceLock::new(),
            pages: Arc::clone(&pages),
        })?;
        let counters = Arc::new(Counters::default());
        let queue = ExportQueue::start(
            Box::new(ReportSpans(Arc::clone(&report))),
            QueueOptions {
                name: report.path().display().to_string(),
                signal: Signal::Traces,
                settings: BATCH,
                when_full: WhenFull::Wait,
                driver: Driver::default(),
                counters: Arc::clone(&counters),
                losses_before: LossesBefore::default(),
            },
        )?;
        Ok(Self {
            report,
            spans: Arc::new(BatchProcessor(queue)),
            counters,
            pages,
            histograms,
        })
    }

    /// Returns the processor of finished spans. It never waits.
    pub fn processor(&self) -> Arc<dyn SpanProcessor> {
        Arc::clone(&self.spans) as Arc<dyn SpanProcessor>
    }

    /// Returns the list of calls without a span, for the configuration of the runtime.
    pub fn unsampled_calls(&self) -> Arc<UnsampledCalls> {
        self.report.unsampled()
    }

    /// Adds the reader of the metrics that the SDK aggregates.
    pub fn add_reader(&self, provider: MeterProviderBuilder) -> MeterProviderBuilder {
        let reader = PeriodicReader::builder(ReportMetrics(Arc::clone(&self.report)));
        provider.with_reader(reader.with_interval(INTERVAL).build())
    }

    /// Collects the histograms of this runtime.
    pub fn collect_from(&self, runtime: &'static Runtime) {
        self.histograms.of(runtime);
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.report.path()
    }

    /// The last problem of writing the page.
    pub fn last_error(&self) -> Option<String> {
        self.pages.last_error()
    }

    /// Writes the page. `exporter` is the other receiver of the spans with its counts, and `dropped`
    /// the number of spans that did not reach it. `recorded` is the number of all spans of annotated
    /// calls.
    ///
    /// # Errors
    ///
    /// An error message if the file cannot be written.
    pub fn write(
        &self,
        exporter: (&str, ExportCounts),
        (recorded, dropped): (u64, u64),
        is_last: bool,
        timeout: Duration,
    ) -> Result<(), String> {
        let deadline: Instant = deadline_in(timeout);
        // What is late is on the next page.
        _ = self.spans.0.flush_by(deadline);
        let mine = (
            Signal::Traces,
            format!("{} (report)", self.path().display()),
            self.counters.counts(),
        );
        let (name, counts) = exporter;
        self.report.write(&PipelineState {
            exporters: vec![(Signal::Traces, name.to_owned(), counts), mine],
            recorded_spans: recorded,
            dropped_records: dropped,
            is_last,
            ..PipelineState::default()
        })
    }

    /// Ends the threads. Spans that arrive later are dropped.
    pub fn end(&self) {
        self.spans.0.give_up();
        self.report.end();
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace_tree::tests::span;
    use super::*;

    #[test]
    fn the_page_has_the_spans_and_the_losses_of_the_other_receiver() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.html");
        let service = [KeyValue::new("service.name", "shop")];
        let report = SideReport::start(path.clone(), service, None).expect("it starts");
        report.processor().on_end(span("get articles", 1, 0, 0, 5));
        let counts = ExportCounts {
            exported: 1,
            failed: 2,
            ..ExportCounts::default()
        };
        report
            .write(("processors", counts), (6, 3), true, Duration::from_secs(5))
            .expect("it writes");
        let page = std::fs::read_to_string(&path).expect("the page");
        assert!(page.contains("\"get articles\"") && page.contains("\"shop\""));
        assert!(page.contains("\"lost\":5"), "2 failed and 3 dropped");
        report.end();
    }
}
