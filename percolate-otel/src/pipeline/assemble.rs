//! Builds the components of a pipeline from the decided settings, without changing global state.
//! Threads and exporters, which can fail, come first; providers follow.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};

use super::choices::Choices;
use super::chrome::{ChromeSpans, ChromeTrace};
use super::console::{ConsoleMetrics, ConsoleSpans, ConsoleWriter};
use super::counters::{Counters, LossesBefore};
use super::drive::Driver;
use super::env::Environment;
use super::error::TelemetryError;
use super::export_queue::{ExportBatch, ExportQueue, QueueOptions, WhenFull};
use super::file;
use super::layer::{self, PipelineSlot};
use super::logs::{BatchLogs, ConsoleLogs};
use super::own_histograms::{OwnHistograms, own_aggregation};
use super::parts::{ChromePart, ExportTo, Parts, Processor, ReportPart};
use super::processor::{BatchProcessor, SharedProcessor};
use super::report::{Report, ReportMetrics, ReportOptions, ReportSpans};
use super::sampler;
use super::settings::{BatchSettings, Settings};
use super::signal::{CONSOLE, Exporter, Signal};
use crate::conventions::{METRICS, attribute, metric};
use crate::forks;
use crate::runtime::{self, MeterProviderHandle, Runtime, RuntimeConfig};

/// Without an interval the console prints only at flush and shutdown.
const ON_REQUEST_ONLY: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(feature = "otlp")]
const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

/// The interval of the report's collections if the SDK aggregates the histograms.
const OFTEN: std::time::Duration = std::time::Duration::from_secs(5);

/// Builds the pipeline from the builder's options and the environment.
pub(super) fn assemble(mut choices: Choices) -> Result<Parts, TelemetryError> {
    let environment = choices
        .environment
        .take()
        .unwrap_or_else(Environment::from_process);
    let mut settings = Settings::decide(&choices, &environment);
    let warnings = std::mem::take(&mut settings.warnings);
    if settings.disabled {
        return Ok(Parts::disabled(
            settings.propagators,
            warnings,
            settings.log_level,
            choices.shutdown_timeout,
        ));
    }
    let sampler = choices
        .sampler
        .take()
        .or(settings.sampler.take())
        .unwrap_or_default();
    let own_aggregation = own_aggregation(&choices, &settings);
    let mut exporters = Exporters::new(&choices, &settings)?;
    let losses_of_records = exporters.losses_of_records.clone();
    let report = exporters.report(&mut choices, &settings, own_aggregation.is_some())?;
    exporters.traces(&mut choices, &settings)?;
    let report = report
        .map(|report| exporters.report_spans(report, &settings))
        .transpose()?;
    let of_report = report.as_ref().map(|part| &part.report);
    let provider = exporters.metrics(&mut choices, &settings, of_report)?;
    let meter_provider = provider.map(|provider| {
        provider
            .with_resource(settings.resource.clone())
            .with_view(settings.buckets.clone().view(settings.exponential))
            .build()
    });
    let logger_provider = exporters.logs(&settings)?;
    if let Some(provider) = &meter_provider {
        register_metrics(&provider.meter("otel.sdk"), &exporters.targets);
    }

    let mut tracer_provider = SdkTracerProvider::builder()
        .with_resource(settings.resource.clone())
        .with_span_limits(settings.limits)
        .with_sampler(sampler::RespectsGate(sampler.to_sdk()));
    for processor in &exporters.processors {
        tracer_provider = tracer_provider.with_span_processor(SharedProcessor(processor.shared()));
    }
    let tracer_provider = tracer_provider.build();

    let sampled = sampler::describe(&sampler);
    let config = RuntimeConfig {
        meter_provider: meter_provider.clone().map(MeterProviderHandle::new),
        own_aggregation,
        metric_attributes: std::mem::take(&mut choices.metric_attributes),
        sampler,
        sink: runtime::sdk_sink(exporters.processors.iter().map(Processor::shared).collect()),
        returned_rows: choices.record_returned_rows,
        slow: choices.slow_threshold,
        report_failed: choices.report_failed,
        export_reported_roots: choices.export_reported_roots,
        unsampled_calls: report.as_ref().map(|part| part.report.unsampled()),
        span_events: choices.span_events,
    };
    let runtime = Runtime::build(config).map_err(|source| TelemetryError::Thread {
        name: "percolate-spans",
        source,
    })?;

    exporters.own.of(runtime);
    if let Some(losses) = runtime.losses() {
        losses_of_records.set(losses);
    }

    let slot = Arc::new(PipelineSlot::default());
    slot.fill(layer::tracer(&tracer_provider), logger_provider.as_ref());
    Ok(Parts {
        runtime: Some(runtime),
        tracer_provider: Some(tracer_provider),
        meter_provider,
        logger_provider,
        processors: exporters.processors,
        report,
        chrome: exporters.chrome,
        log_queues: exporters.log_queues,
        targets: exporters.targets,
        closing: exporters.driver.closing.clone(),
        slot,
        propagators: settings.propagators,
        warnings,
        sampler: sampled,
        log_level: settings.log_level,
        shutdown_timeout: choices.shutdown_timeout,
        installs_subscriber: choices.installs_subscriber,
    })
}

/// The exporters of all signals during construction.
struct Exporters {
    driver: Driver,
    console: ConsoleWriter,
    processors: Vec<Processor>,
    log_queues: Vec<BatchLogs>,
    chrome: Option<ChromePart>,
    targets: Vec<ExportTo>,
    /// For the exporters of spans that may wait for a network.
    when_full: WhenFull,
    own: OwnHistograms,
    /// Reported by the first exporter of spans.
    losses_of_records: LossesBefore,
}

impl Exporters {
    fn new(choices: &Choices, settings: &Settings) -> Result<Self, TelemetryError> {
        let signals = [
            (&settings.traces, Signal::Traces),
            (&settings.metrics, Signal::Metrics),
            (&settings.logs, Signal::Logs),
        ];
        let over_otlp = signals
            .iter()
            .find(|(exporters, _)| exporters.contains(&Exporter::Otlp));
        #[cfg(not(feature = "otlp"))]
        if let Some((_, signal)) = over_otlp.or_else(|| {
            signals
                .iter()
                .find(|(exporters, _)| exporters.contains(&Exporter::OtlpFile))
        }) {
            return Err(TelemetryError::OtlpNotBuilt {
                signal: signal.name(),
            });
        }
        #[cfg(feature = "otlp")]
        let otlp = if over_otlp.is_some() {
            Some(Arc::new(super::otlp_thread::OtlpThread::start()?))
        } else {
            None
        };
        Ok(Self {
            driver: Driver {
                #[cfg(feature = "otlp")]
                runtime: otlp,
                ..Driver::default()
            },
            console: choices
                .console
                .clone()
                .unwrap_or_else(|| ConsoleWriter::new(std::io::stderr())),
            processors: Vec::new(),
            log_queues: Vec::new(),
            chrome: None,
            targets: Vec::new(),
            when_full: when_full(choices, settings),
            own: OwnHistograms::default(),
            losses_of_records: LossesBefore::default(),
        })
    }

    fn target(&mut self, signal: Signal, name: impl Into<String>) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        self.targets.push(ExportTo {
            signal,
            name: name.into(),
            counters: Arc::clone(&counters),
        });
        counters
    }

    /// Starts the report, if there is one.
    fn report(
        &mut self,
        choices: &mut Choices,
        settings: &Settings,
        has_own: bool,
    ) -> Result<Option<Arc<Report>>, TelemetryError> {
        let Some(path) = settings.report.as_deref().map(file::resolved) else {
            return Ok(None);
        };
        let name = name_of_report(&path);
        let report = Report::start(ReportOptions {
            path,
            resource: settings.resource.clone(),
            own: self.own.reader(0),
            has_own,
            conventions: choices
                .report_conventions
                .take()
                .map_or_else(OnceLock::new, OnceLock::from),
            pages: self.target(Signal::Metrics, name),
        })?;
        Ok(Some(report))
    }

    /// Starts the queue of the report's spans. Its processor is the first one, so that no slow
    /// exporter delays it.
    fn report_spans(
        &mut self,
        report: Arc<Report>,
        settings: &Settings,
    ) -> Result<ReportPart, TelemetryError> {
        let queue = self.queue(
            Signal::Traces,
            name_of_report(report.path()),
            Box::new(ReportSpans(Arc::clone(&report))),
            settings.batch,
            WhenFull::Wait,
        )?;
        let spans = Arc::new(BatchProcessor(queue));
        self.processors
            .insert(0, Processor::Batch(Arc::clone(&spans)));
        Ok(ReportPart { report, spans })
    }

    fn traces(&mut self, choices: &mut Choices, settings: &Settings) -> Result<(), TelemetryError> {
        for exporter in &settings.traces {
            match exporter {
                Exporter::Console => {
                    let counters = self.target(Signal::Traces, CONSOLE);
                    let console = ConsoleSpans::start(
                        self.console.clone(),
                        choices.incomplete_after,
                        counters,
                        std::mem::take(&mut self.losses_of_records),
                    )?;
                    self.processors.push(Processor::Any(Arc::new(console)));
                }
                #[cfg(feature = "otlp")]
                Exporter::Otlp => self.otlp_traces(settings)?,
                #[cfg(feature = "otlp")]
                Exporter::OtlpFile => {
                    let path = settings.file_folder.join("traces.jsonl");
                    let exporter = super::otlp::FileBatches::new(&path, &settings.resource);
                    let name = name_of_lines(&path);
                    self.batch(name, Box::new(exporter), settings, WhenFull::Wait)?;
                }
                #[cfg(not(feature = "otlp"))]
                Exporter::Otlp | Exporter::OtlpFile => {}
                Exporter::Chrome => self.chrome_trace(settings)?,
                Exporter::None => {}
            }
        }
        for mut exporter in std::mem::take(&mut choices.span_exporters) {
            exporter.set_resource(&settings.resource);
            let name = "exporter".to_owned();
            self.batch(name, exporter.into_batches(), settings, self.when_full)?;
        }
        for mut processor in std::mem::take(&mut choices.span_processors) {
            processor.set_resource(&settings.resource);
            self.processors.push(Processor::Any(Arc::from(processor)));
        }
        Ok(())
    }

    fn chrome_trace(&mut self, settings: &Settings) -> Result<(), TelemetryError> {
        // The file is replaced as a whole: a forked child must not replace that of its parent.
        let name = match forks::count() {
            0 => "trace.json".to_owned(),
            _ => format!("trace.{}.json", std::process::id()),
        };
        let path = settings.file_folder.join(name);
        let trace = ChromeTrace::new(&path, &settings.resource);
        let exporter = ChromeSpans(Arc::clone(&trace));
        let name = format!("{} (Chrome trace)", trace.path().display());
        let queue = self.queue(
            Signal::Traces,
            name,
            Box::new(exporter),
            settings.batch,
            WhenFull::Wait,
        )?;
        let spans = Arc::new(BatchProcessor(queue));
        self.processors.push(Processor::Batch(Arc::clone(&spans)));
        let counters = self
            .targets
            .last()
            .map(|target| Arc::clone(&target.counters));
        self.chrome = Some(ChromePart {
            trace,
            spans,
            counters: counters.unwrap_or_default(),
        });
        Ok(())
    }

    #[cfg(feature = "otlp")]
    fn otlp_traces(&mut self, settings: &Settings) -> Result<(), TelemetryError> {
        let Some(thread) = self.driver.runtime.clone() else {
            return Ok(());
        };
        let exporter =
            super::otlp::batch_exporter(&settings.traces_otlp, &settings.resource, &thread)?;
        self.batch(
            super::otlp::describe(&settings.traces_otlp),
            Box::new(exporter),
            settings,
            self.when_full,
        )
    }

    fn batch(
        &mut self,
        name: String,
        exporter: Box<dyn ExportBatch<SpanData>>,
        settings: &Settings,
        when_full: WhenFull,
    ) -> Result<(), TelemetryError> {
        let queue = self.queue(Signal::Traces, name, exporter, settings.batch, when_full)?;
        self.processors
            .push(Processor::Batch(Arc::new(BatchProcessor(queue))));
        Ok(())
    }

    /// Starts the queue of an exporter, which is counted as a new target.
    fn queue<T: Send + 'static>(
        &mut self,
        signal: Signal,
        name: String,
        exporter: Box<dyn ExportBatch<T>>,
        settings: BatchSettings,
        when_full: WhenFull,
    ) -> Result<ExportQueue<T>, TelemetryError> {
        let counters = self.target(signal, name.clone());
        let options = QueueOptions {
            name,
            signal,
            settings,
            when_full,
            driver: self.driver.clone(),
            counters,
            losses_before: match signal {
                Signal::Traces => std::mem::take(&mut self.losses_of_records),
                Signal::Metrics | Signal::Logs => LossesBefore::default(),
            },
        };
        ExportQueue::start(exporter, options)
    }

    /// Returns `None` if no metric is exported; then none is recorded.
    #[cfg_attr(
        not(feature = "otlp"),
        expect(clippy::unnecessary_wraps, reason = "only OTLP can fail")
    )]
    fn metrics(
        &mut self,
        choices: &mut Choices,
        settings: &Settings,
        report: Option<&Arc<Report>>,
    ) -> Result<Option<MeterProviderBuilder>, TelemetryError> {
        let mut provider = SdkMeterProvider::builder();
        let mut readers = 0;
        if let Some(report) = report {
            // Collected when a page is written; more often if the SDK aggregates the histograms.
            let interval = if report.has_own() {
                ON_REQUEST_ONLY
            } else {
                settings.metric_interval.unwrap_or(OFTEN)
            };
            provider = provider.with_reader(
                PeriodicReader::builder(ReportMetrics(Arc::clone(report)))
                    .with_interval(interval)
                    .build(),
            );
            readers += 1;
        }
        // The SDK flushes and ends the readers one after another, in this order.
        let mut exporters = settings.metrics.clone();
        exporters.sort_by_key(|exporter| *exporter == Exporter::Otlp);
        for exporter in &exporters {
            match exporter {
                Exporter::Console => {
                    let counters = self.target(Signal::Metrics, CONSOLE);
                    let own = self.own.reader(readers);
                    let console = ConsoleMetrics::new(self.console.clone(), counters, own);
                    let interval = settings.metric_interval.unwrap_or(ON_REQUEST_ONLY);
                    provider = provider.with_reader(
                        PeriodicReader::builder(console)
                            .with_interval(interval)
                            .build(),
                    );
                }
                #[cfg(feature = "otlp")]
                Exporter::Otlp => {
                    provider = self.otlp_metrics(provider, settings, readers)?;
                }
                #[cfg(feature = "otlp")]
                Exporter::OtlpFile => {
                    provider = self.file_metrics(provider, settings, readers);
                }
                #[cfg(not(feature = "otlp"))]
                Exporter::Otlp | Exporter::OtlpFile => continue,
                Exporter::Chrome | Exporter::None => continue,
            }
            readers += 1;
        }
        for add in std::mem::take(&mut choices.metric_readers) {
            provider = add(provider, settings.metric_interval);
            readers += 1;
        }
        Ok((readers > 0).then_some(provider))
    }

    #[cfg(feature = "otlp")]
    fn otlp_metrics(
        &mut self,
        provider: MeterProviderBuilder,
        settings: &Settings,
        reader: usize,
    ) -> Result<MeterProviderBuilder, TelemetryError> {
        let name = super::otlp::describe(&settings.metrics_otlp);
        let exporter = super::otlp::metric_exporter(
            &settings.metrics_otlp,
            settings.temporality,
            settings.metric_timeout,
            self.driver.clone(),
            self.target(Signal::Metrics, name),
            self.own.reader(reader),
        )?;
        let interval = settings.metric_interval.unwrap_or(MINUTE);
        Ok(provider.with_reader(
            PeriodicReader::builder(exporter)
                .with_interval(interval)
                .build(),
        ))
    }
}

#[cfg(feature = "otlp")]
impl Exporters {
    fn file_metrics(
        &mut self,
        provider: MeterProviderBuilder,
        settings: &Settings,
        reader: usize,
    ) -> MeterProviderBuilder {
        let path = settings.file_folder.join("metrics.jsonl");
        let name = name_of_lines(&path);
        let exporter = super::otlp::FileMetrics {
            lines: super::otlp::JsonLines::new(&path),
            temporality: settings.temporality,
            counters: self.target(Signal::Metrics, name.clone()),
            reporter: super::diagnostics::LossReporter::new("exports of metrics", name),
            own: self.own.reader(reader),
        };
        let interval = settings.metric_interval.unwrap_or(MINUTE);
        let reader = PeriodicReader::builder(exporter).with_interval(interval);
        provider.with_reader(reader.build())
    }
}

#[cfg(feature = "otlp")]
fn name_of_lines(path: &Path) -> String {
    format!("{} (OTLP/JSON)", path.display())
}

impl Exporters {
    /// Returns `None` if no log record is exported.
    #[cfg_attr(
        not(feature = "otlp"),
        expect(clippy::unnecessary_wraps, reason = "only OTLP can fail")
    )]
    fn logs(&mut self, settings: &Settings) -> Result<Option<SdkLoggerProvider>, TelemetryError> {
        if settings.logs.is_empty() {
            return Ok(None);
        }
        let mut provider = SdkLoggerProvider::builder().with_resource(settings.resource.clone());
        if settings.logs.contains(&Exporter::Console) {
            let counters = self.target(Signal::Logs, CONSOLE);
            provider = provider.with_log_processor(ConsoleLogs {
                writer: self.console.clone(),
                counters,
            });
        }
        #[cfg(feature = "otlp")]
        if let (true, Some(thread)) = (
            settings.logs.contains(&Exporter::Otlp),
            self.driver.runtime.clone(),
        ) {
            let exporter =
                super::otlp::batch_exporter(&settings.logs_otlp, &settings.resource, &thread)?;
            let queue = self.queue(
                Signal::Logs,
                super::otlp::describe(&settings.logs_otlp),
                Box::new(exporter),
                settings.logs_batch,
                WhenFull::Drop,
            )?;
            let logs = BatchLogs(Arc::new(queue));
            self.log_queues.push(logs.clone());
            provider = provider.with_log_processor(logs);
        }
        #[cfg(feature = "otlp")]
        if settings.logs.contains(&Exporter::OtlpFile) {
            let path = settings.file_folder.join("logs.jsonl");
            let queue = self.queue(
                Signal::Logs,
                name_of_lines(&path),
                Box::new(super::otlp::FileBatches::new(&path, &settings.resource)),
                settings.logs_batch,
                WhenFull::Drop,
            )?;
            let logs = BatchLogs(Arc::new(queue));
            self.log_queues.push(logs.clone());
            provider = provider.with_log_processor(logs);
        }
        Ok(Some(provider.build()))
    }
}

/// Without other receivers of spans, the thread that converts records may wait for an exporter.
fn when_full(choices: &Choices, settings: &Settings) -> WhenFull {
    let exporters = settings.traces.iter();
    let receivers = exporters
        .filter(|exporter| **exporter != Exporter::None)
        .count()
        + usize::from(settings.report.is_some())
        + choices.span_exporters.len()
        + choices.span_processors.len();
    if receivers > 1 {
        WhenFull::Drop
    } else {
        WhenFull::Wait
    }
}

fn name_of_report(path: &Path) -> String {
    format!("{} (report)", path.display())
}

/// Registers the counts as the metrics that the conventions define for SDKs.
fn register_metrics(meter: &Meter, targets: &[ExportTo]) {
    register_signal(
        meter,
        targets,
        Signal::Traces,
        metric::OTEL_SDK_PROCESSOR_SPAN_PROCESSED,
        metric::OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE,
    );
    register_signal(
        meter,
        targets,
        Signal::Logs,
        metric::OTEL_SDK_PROCESSOR_LOG_PROCESSED,
        metric::OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE,
    );
}

/// Registers the metrics of one signal's processors, unless there are none.
fn register_signal(
    meter: &Meter,
    targets: &[ExportTo],
    signal: Signal,
    processed: &'static str,
    queue_size: &'static str,
) {
    let definition = |name: &str| METRICS.iter().find(|metric| metric.name == name);
    let (Some(processed), Some(queue_size)) = (definition(processed), definition(queue_size))
    else {
        return;
    };
    let processor = match signal {
        Signal::Logs => "log_processor",
        Signal::Traces | Signal::Metrics => "span_processor",
    };
    let component = |index: usize, target: &ExportTo| {
        let kind = if target.name == CONSOLE {
            format!("percolate_console_{processor}")
        } else {
            format!("batching_{processor}")
        };
        vec![
            KeyValue::new(attribute::OTEL_COMPONENT_NAME, format!("{kind}/{index}")),
            KeyValue::new(attribute::OTEL_COMPONENT_TYPE, kind),
        ]
    };
    let labelled: Arc<[_]> = targets
        .iter()
        .filter(|target| target.signal == signal)
        .enumerate()
        .map(|(index, target)| (component(index, target), target.clone()))
        .collect();
    if labelled.is_empty() {
        return;
    }

    let observed = Arc::clone(&labelled);
    meter
        .u64_observable_counter(processed.name)
        .with_unit(processed.unit)
        .with_description(processed.brief)
        .with_callback(move |observer| {
            for (component, target) in observed.iter() {
                let counts = target.counters.counts();
                let with = |error: &'static str| {
                    [
                        &component[..],
                        &[KeyValue::new(attribute::ERROR_TYPE, error)],
                    ]
                    .concat()
                };
                observer.observe(counts.exported, component);
                for (lost, error) in [
                    (counts.failed, "export_failed"),
                    (counts.dropped_queue_full, "queue_full"),
                    (counts.dropped_at_shutdown, "shutdown_deadline"),
                    (counts.dropped_after_shutdown, "already_shutdown"),
                ] {
                    if lost > 0 {
                        observer.observe(lost, &with(error));
                    }
                }
            }
        })
        .build();
    meter
        .i64_observable_up_down_counter(queue_size.name)
        .with_unit(queue_size.unit)
        .with_description(queue_size.brief)
        .with_callback(move |observer| {
            for (component, target) in labelled.iter() {
                observer.observe(
                    i64::try_from(target.counters.counts().queued).unwrap_or(i64::MAX),
                    component,
                );
            }
        })
        .build();
}
