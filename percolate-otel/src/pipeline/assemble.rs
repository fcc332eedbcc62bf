//! Builds the components of a pipeline from the decided settings, without changing global state.
//! Threads and exporters, which can fail, come first; providers follow.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::choices::Choices;
use super::console::{ConsoleMetrics, ConsoleSpans, ConsoleWriter};
use super::counters::Counters;
use super::drive::Driver;
use super::env::Environment;
use super::error::TelemetryError;
use super::layer::{self, PipelineSlot};
use super::logs::ConsoleLogs;
use super::parts::{CONSOLE, ExportTo, Parts, Processor};
use super::processor::{AnySpanExporter, BatchProcessor, SharedProcessor};
use super::sampler;
use super::settings::Settings;
use super::signal::{Exporter, Signal};
use crate::runtime::{self, MeterProviderHandle, Runtime, RuntimeConfig};

/// Without an interval the console prints only at flush and shutdown.
const ON_REQUEST_ONLY: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 60 * 60);

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
    let mut exporters = Exporters::new(&choices, &settings)?;
    exporters.traces(&mut choices, &settings)?;
    let provider = exporters.metrics(&mut choices, &settings)?;
    let meter_provider = provider.map(|provider| {
        provider
            .with_resource(settings.resource.clone())
            .with_view(settings.buckets.clone().view())
            .build()
    });
    if let Some(provider) = &meter_provider {
        register_metrics(&provider.meter("otel.sdk"), &exporters.targets);
    }

    let logger_provider = exporters.logs(&settings)?;
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
        sampler,
        sink: runtime::sdk_sink(exporters.processors.iter().map(Processor::shared).collect()),
        returned_rows: choices.record_returned_rows,
        slow: choices.slow_threshold,
        report_failed: choices.report_failed,
        export_reported_roots: choices.export_reported_roots,
    };
    let runtime = Runtime::build(config).map_err(|source| TelemetryError::Thread {
        name: "percolate-spans",
        source,
    })?;

    let slot = Arc::new(PipelineSlot::default());
    slot.fill(layer::tracer(&tracer_provider), logger_provider.as_ref());
    Ok(Parts {
        runtime: Some(runtime),
        tracer_provider: Some(tracer_provider),
        meter_provider,
        logger_provider,
        processors: exporters.processors,
        targets: exporters.targets,
        closing: exporters.driver.closing.clone(),
        #[cfg(feature = "otlp")]
        _otlp: exporters.otlp,
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
    targets: Vec<ExportTo>,
    #[cfg(feature = "otlp")]
    otlp: Option<super::otlp::OtlpThread>,
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
        if let Some((_, signal)) = over_otlp {
            return Err(TelemetryError::OtlpNotBuilt {
                signal: signal.name(),
            });
        }
        #[cfg(feature = "otlp")]
        let otlp = if over_otlp.is_some() {
            Some(super::otlp::OtlpThread::start()?)
        } else {
            None
        };
        Ok(Self {
            driver: Driver {
                #[cfg(feature = "otlp")]
                runtime: otlp.as_ref().map(super::otlp::OtlpThread::handle),
                ..Driver::default()
            },
            console: choices
                .console
                .clone()
                .unwrap_or_else(|| ConsoleWriter::new(std::io::stderr())),
            processors: Vec::new(),
            targets: Vec::new(),
            #[cfg(feature = "otlp")]
            otlp,
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

    fn traces(&mut self, choices: &mut Choices, settings: &Settings) -> Result<(), TelemetryError> {
        for exporter in &settings.traces {
            match exporter {
                Exporter::Console => {
                    let counters = self.target(Signal::Traces, CONSOLE);
                    let console = ConsoleSpans::start(
                        self.console.clone(),
                        choices.incomplete_after,
                        counters,
                    )?;
                    self.processors.push(Processor::Any(Arc::new(console)));
                }
                #[cfg(feature = "otlp")]
                Exporter::Otlp => self.otlp_traces(settings)?,
                #[cfg(not(feature = "otlp"))]
                Exporter::Otlp => {}
                Exporter::None => {}
            }
        }
        for exporter in std::mem::take(&mut choices.span_exporters) {
            self.batch("exporter".to_owned(), exporter, settings)?;
        }
        for mut processor in std::mem::take(&mut choices.span_processors) {
            processor.set_resource(&settings.resource);
            self.processors.push(Processor::Any(Arc::from(processor)));
        }
        Ok(())
    }

    #[cfg(feature = "otlp")]
    fn otlp_traces(&mut self, settings: &Settings) -> Result<(), TelemetryError> {
        let Some(handle) = self.driver.runtime.clone() else {
            return Ok(());
        };
        let exporter = super::otlp::span_exporter(&settings.traces_otlp, &handle)?;
        self.batch(
            super::otlp::describe(&settings.traces_otlp),
            Box::new(exporter),
            settings,
        )
    }

    fn batch(
        &mut self,
        name: String,
        mut exporter: Box<dyn AnySpanExporter>,
        settings: &Settings,
    ) -> Result<(), TelemetryError> {
        exporter.set_resource(&settings.resource);
        let counters = self.target(Signal::Traces, name.clone());
        let batch = BatchProcessor::start(
            name,
            exporter,
            settings.batch,
            self.driver.clone(),
            counters,
        )?;
        self.processors.push(Processor::Batch(Arc::new(batch)));
        Ok(())
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
    ) -> Result<Option<MeterProviderBuilder>, TelemetryError> {
        let mut provider = SdkMeterProvider::builder();
        let mut readers = 0;
        for exporter in &settings.metrics {
            match exporter {
                Exporter::Console => {
                    let counters = self.target(Signal::Metrics, CONSOLE);
                    let console = ConsoleMetrics::new(self.console.clone(), counters);
                    let interval = settings.metric_interval.unwrap_or(ON_REQUEST_ONLY);
                    provider = provider.with_reader(
                        PeriodicReader::builder(console)
                            .with_interval(interval)
                            .build(),
                    );
                }
                #[cfg(feature = "otlp")]
                Exporter::Otlp => provider = self.otlp_metrics(provider, settings)?,
                #[cfg(not(feature = "otlp"))]
                Exporter::Otlp => continue,
                Exporter::None => continue,
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
    ) -> Result<MeterProviderBuilder, TelemetryError> {
        let Some(handle) = self.driver.runtime.clone() else {
            return Ok(provider);
        };
        let inner =
            super::otlp::metric_exporter(&settings.metrics_otlp, settings.temporality, &handle)?;
        let name = super::otlp::describe(&settings.metrics_otlp);
        let exporter = super::otlp::TimedMetrics {
            inner,
            counters: self.target(Signal::Metrics, name.clone()),
            name,
            timeout: settings.metric_timeout,
            driver: self.driver.clone(),
            failing: false.into(),
        };
        let interval = settings
            .metric_interval
            .unwrap_or(std::time::Duration::from_secs(60));
        Ok(provider.with_reader(
            PeriodicReader::builder(exporter)
                .with_interval(interval)
                .build(),
        ))
    }
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
        if let (true, Some(handle)) = (
            settings.logs.contains(&Exporter::Otlp),
            self.driver.runtime.clone(),
        ) {
            let exporter = super::otlp::TimedLogs {
                inner: super::otlp::log_exporter(&settings.logs_otlp, &handle)?,
                timeout: settings.logs_batch.export_timeout,
                driver: self.driver.clone(),
                counters: self.target(Signal::Logs, super::otlp::describe(&settings.logs_otlp)),
            };
            provider = provider
                .with_log_processor(super::otlp::batched_logs(exporter, settings.logs_batch));
        }
        Ok(Some(provider.build()))
    }
}

/// Registers the counts as the metrics that the conventions define for SDKs.
fn register_metrics(meter: &Meter, targets: &[ExportTo]) {
    let spans: Vec<_> = targets
        .iter()
        .filter(|target| target.signal == Signal::Traces)
        .cloned()
        .collect();
    let component = |index: usize, target: &ExportTo| {
        let kind = if target.name == CONSOLE {
            "percolate_console_span_processor"
        } else {
            "batching_span_processor"
        };
        vec![
            KeyValue::new("otel.component.type", kind),
            KeyValue::new("otel.component.name", format!("{kind}/{index}")),
        ]
    };
    let labelled: Vec<_> = spans
        .into_iter()
        .enumerate()
        .map(|(i, target)| (component(i, &target), target))
        .collect();
    let labelled: Arc<[_]> = labelled.into();

    let observed = Arc::clone(&labelled);
    meter
        .u64_observable_counter("otel.sdk.processor.span.processed")
        .with_unit("{span}")
        .with_description("Spans whose processing has finished, exported or lost.")
        .with_callback(move |observer| {
            for (component, target) in observed.iter() {
                let counts = target.counters.counts();
                let with = |error: &'static str| {
                    [&component[..], &[KeyValue::new("error.type", error)]].concat()
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
        .i64_observable_up_down_counter("otel.sdk.processor.span.queue.size")
        .with_unit("{span}")
        .with_description("Spans that wait to be exported.")
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
