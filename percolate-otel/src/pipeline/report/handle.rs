//! [`Report`]: what the exporters and the thread of the report share, and how the page is written.
//! Invariant: a page is written by one thread at a time, and a call never waits for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::trace::SpanData;

use super::super::counters::Counters;
use super::super::error::TelemetryError;
use super::super::file::WholeFile;
use super::super::own_histograms::OwnReader;
use super::data::PageData;
use super::figures::{Figures, LastFigures};
use super::heat::Heat;
use super::last_figures::{self, KeepLast, LastFigure};
use super::limits::Limits;
use super::losses::PipelineState;
use super::page::page;
use super::traces::Traces;
use crate::layer::ConventionLayer;
use crate::runtime::{HistogramData, UnsampledCalls};

/// How often traces are checked whether they have ended. In the first seconds, columns are narrower.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// What a report is created from.
pub(in super::super) struct ReportOptions {
    pub(in super::super) path: PathBuf,
    pub(in super::super) resource: Resource,
    /// The histograms that the runtime aggregates by itself.
    pub(in super::super) own: OwnReader,
    /// Whether there are such histograms. Otherwise the SDK aggregates all.
    pub(in super::super) has_own: bool,
    /// The Layer whose findings are shown. It may be set later.
    pub(in super::super) conventions: OnceLock<ConventionLayer>,
    /// Counts the pages.
    pub(in super::super) pages: Arc<Counters>,
}

/// The report of one pipeline.
pub(in super::super) struct Report {
    options: ReportOptions,
    started: SystemTime,
    collected: Mutex<Collected>,
    unsampled: Arc<UnsampledCalls>,
    file: WholeFile,
    /// Held while a page is written.
    writing: Mutex<()>,
    ended: Mutex<bool>,
    ending: Condvar,
}

/// What the report has collected.
struct Collected {
    traces: Traces,
    heat: Heat,
    figures: Figures,
    last_figures: LastFigures,
    next_column: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Report {
    /// Starts the thread `percolate-report`, which ends with the report.
    pub(in super::super) fn start(options: ReportOptions) -> Result<Arc<Self>, TelemetryError> {
        let report = Arc::new(Self::new(options, Limits::DEFAULT));
        let weak = Arc::downgrade(&report);
        last_figures::add(weak.clone());
        thread::Builder::new()
            .name("percolate-report".to_owned())
            .spawn(move || collect_until_ended(&weak))
            .map_err(|source| TelemetryError::Thread {
                name: "percolate-report",
                source,
            })?;
        Ok(report)
    }

    fn new(options: ReportOptions, limits: Limits) -> Self {
        let started = SystemTime::now();
        Self {
            file: WholeFile::new(&options.path),
            options,
            started,
            collected: Mutex::new(Collected {
                traces: Traces::new(limits),
                heat: Heat::new(started),
                figures: Figures::default(),
                last_figures: LastFigures::default(),
                next_column: Instant::now(),
            }),
            unsampled: Arc::default(),
            writing: Mutex::default(),
            ended: Mutex::new(false),
            ending: Condvar::new(),
        }
    }

    pub(in super::super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(in super::super) fn has_own(&self) -> bool {
        self.options.has_own
    }

    /// Shows the findings of this Layer, unless there is another one.
    pub(in super::super) fn set_conventions(&self, conventions: ConventionLayer) {
        _ = self.options.conventions.set(conventions);
    }

    /// The list of reported calls without a span.
    pub(in super::super) fn unsampled(&self) -> Arc<UnsampledCalls> {
        Arc::clone(&self.unsampled)
    }

    pub(super) fn add_spans(&self, spans: Vec<SpanData>) {
        let now = Instant::now();
        let mut collected = lock(&self.collected);
        for span in spans {
            collected.traces.add(span, now);
        }
    }

    /// Keeps the metrics that the SDK aggregated.
    pub(super) fn add_metrics(&self, metrics: &ResourceMetrics) {
        let figures = Figures::new(metrics);
        let mut collected = lock(&self.collected);
        collected.figures = figures;
        if !collected.figures.histograms.is_empty() {
            let Collected { heat, figures, .. } = &mut *collected;
            let histograms = figures.histograms.iter();
            let histograms = histograms.map(|(name, points)| (name.as_str(), &points[..]));
            heat.add(histograms, SystemTime::now());
        }
    }

    /// Ends settled traces and adds a column to the heat maps when it is time.
    fn tick(&self, now: Instant) {
        let is_time = {
            let mut collected = lock(&self.collected);
            collected.traces.end_settled(now);
            now >= collected.next_column
        };
        if is_time {
            self.collect();
            let mut collected = lock(&self.collected);
            collected.next_column = now + collected.heat.width();
        }
    }

    /// Collects the histograms of the runtime.
    fn collect(&self) -> Vec<HistogramData> {
        // Without the lock: it reads the cells of all threads.
        let own = self.options.own.collect();
        if self.options.has_own {
            let histograms = own.iter().map(|it| (it.name, &it.points[..]));
            lock(&self.collected)
                .heat
                .add(histograms, SystemTime::now());
        }
        own
    }

    /// Writes the page.
    ///
    /// # Errors
    ///
    /// An error message if the file cannot be written. It is counted, and reported once.
    pub(in super::super) fn write(&self, pipeline: &PipelineState) -> Result<(), String> {
        let _writing = lock(&self.writing);
        let own = self.collect();
        let data = {
            let mut collected = lock(&self.collected);
            collected.traces.end_for_page(pipeline.is_last);
            let Collected {
                traces,
                heat,
                figures,
                last_figures,
                ..
            } = &*collected;
            let data = PageData {
                resource: &self.options.resource,
                started: self.started,
                now: SystemTime::now(),
                traces,
                heat,
                figures,
                last_figures,
                own: &own,
                unsampled: &self.unsampled,
                conventions: self.options.conventions.get(),
                pipeline,
            };
            data.to_json()
        };
        let result = self.file.write(page(&data).as_bytes());
        let problem = result.as_ref().err().cloned();
        self.options
            .pages
            .exported_at_once(usize::from(problem.is_some()), problem);
        result.map_err(|problem| format!("report: {problem}"))
    }

    /// Ends the thread.
    pub(in super::super) fn end(&self) {
        *lock(&self.ended) = true;
        self.ending.notify_all();
    }

    /// Waits for the next check. Returns `false` at the end.
    fn wait(&self) -> bool {
        let width = lock(&self.collected).heat.width();
        let ended = lock(&self.ended);
        if *ended {
            return false;
        }
        let (ended, _) = self
            .ending
            .wait_timeout(ended, width.min(CHECK_INTERVAL))
            .unwrap_or_else(PoisonError::into_inner);
        !*ended
    }
}

impl KeepLast for Report {
    fn keep_last(&self, figures: &[LastFigure]) {
        lock(&self.collected).last_figures.add(figures);
    }
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

fn collect_until_ended(report: &Weak<Report>) {
    let _unrecorded = crate::quiet::unrecorded();
    while let Some(report) = report.upgrade() {
        if !report.wait() {
            return;
        }
        report.tick(Instant::now());
    }
}

#[cfg(test)]
mod tests;
