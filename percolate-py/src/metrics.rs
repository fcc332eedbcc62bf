//! Rust metrics for the readers of the Python application's meter provider.
//!
//! The Rust SDK aggregates in one pipeline per Python reader, with the temporality of that reader.
//! A Python reader that collects takes the aggregated metrics, histograms with their bounds and
//! counts included. Histograms come from percolate's own aggregation, with exemplars, unless the
//! application's views need the SDK's; see `views`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, ExponentialBucket, MetricData, ResourceMetrics,
};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use percolate_core::otel::SideReport;
use percolate_core::otel::runtime::{
    self, HistogramData, MeterProviderHandle, OwnAggregation, PointBuckets, Runtime,
    instrumentation_scope,
};
use percolate_core::storage;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::spans::{attributes, nanoseconds};
use crate::views::{self, Aggregating, View};
use crate::waiting::released;

/// The interval of the pipelines' own collection: only Python readers are to collect.
const NEVER: Duration = Duration::from_hours(24 * 365);
/// The number of collections kept for a delta reader. Beyond it, the oldest is dropped and counted.
const WAITING: usize = 64;

/// The Rust side of all Python readers.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    provider: SdkMeterProvider,
    readers: Vec<Arc<Store>>,
    refused_views: Vec<String>,
    /// With one reader for each of `readers`.
    own: Option<OwnAggregation>,
}

/// The settings of the Python meter provider, as `percolate_rocks._bridge` passes them.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct MeterSettings {
    /// One per reader: `delta` or `cumulative`.
    temporalities: Vec<String>,
    views: Vec<View>,
    /// The preferred aggregation of histograms.
    histograms: Aggregating,
    /// Whether histograms have exemplars.
    exemplars: bool,
}

impl Meters {
    /// Creates one pipeline per reader, and one for the report if there is a path for it.
    pub(crate) fn start(
        settings: MeterSettings,
        report: Option<(PathBuf, Vec<KeyValue>)>,
    ) -> PyResult<(Self, Option<SideReport>)> {
        let mut own = views::own_aggregation(&settings.views, &settings.histograms);
        let (mut builder, refused_views) = views::add(
            SdkMeterProvider::builder(),
            settings.views,
            &settings.histograms,
        );
        let mut readers = Vec::new();
        for name in &settings.temporalities {
            let temporality = match name.as_str() {
                "delta" => Temporality::Delta,
                "cumulative" => Temporality::Cumulative,
                other => {
                    return Err(PyValueError::new_err(format!(
                        "unknown temporality `{other}`; expected delta or cumulative"
                    )));
                }
            };
            let store = Arc::new(Store {
                temporality,
                collected: Mutex::default(),
                dropped: AtomicU64::new(0),
            });
            readers.push(Arc::clone(&store));
            builder = builder.with_reader(
                PeriodicReader::builder(Exporter(store))
                    .with_interval(NEVER)
                    .build(),
            );
        }
        if let Some(own) = &mut own {
            own.exemplars = settings.exemplars;
            own.readers = readers
                .iter()
                .map(|reader| reader.of_histograms())
                .collect();
        }
        let report = report
            .map(|(path, resource)| {
                // The report is the last reader.
                let reader = own.as_mut().map(|own| {
                    own.readers.push(runtime::Temporality::Cumulative);
                    own.readers.len() - 1
                });
                SideReport::start(path, resource, reader)
                    .map_err(|error| PyRuntimeError::new_err(error.to_string()))
            })
            .transpose()?;
        if let Some(report) = &report {
            builder = report.add_reader(builder);
        }
        let provider = builder.build();
        // The figures of the databases that are open now or later.
        storage::register_metrics(&provider);
        let this = Self {
            provider,
            readers,
            refused_views,
            own,
        };
        Ok((this, report))
    }

    /// Whether the application has a reader.
    pub(crate) fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    /// One message per view that the Rust SDK refused, and per reader for which collections were
    /// dropped.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let dropped = self.readers.iter().filter_map(|reader| {
            let dropped = reader.dropped.load(Ordering::Relaxed);
            (dropped > 0).then(|| {
                format!(
                    "metrics: {dropped} collections were dropped for a reader of delta temporality, because \
                     other readers collected more than {WAITING} times in between"
                )
            })
        });
        self.refused_views.iter().cloned().chain(dropped).collect()
    }

    pub(crate) fn provider(&self) -> MeterProviderHandle {
        MeterProviderHandle::new(self.provider.clone())
    }

    /// The aggregation of the runtime; `None` if the provider has its histograms.
    pub(crate) fn own_aggregation(&self) -> Option<OwnAggregation> {
        self.own.clone()
    }

    /// Collects for the report. Not if a Python reader has delta temporality, because what it has not
    /// collected is limited.
    pub(crate) fn collect_for_report(&self) {
        let is_delta = |store: &Arc<Store>| store.temporality == Temporality::Delta;
        if !self.readers.iter().any(is_delta) {
            // After a failure, the report has the values of the last second.
            _ = self.provider.force_flush();
        }
    }

    pub(crate) fn shutdown(&self, timeout: Duration) {
        // The readers have collected before.
        _ = self.provider.shutdown_with_timeout(timeout);
    }

    /// Returns the metrics that each Python reader has not collected yet.
    pub(crate) fn collect_all(
        &self,
        py: Python<'_>,
        runtime: &Runtime,
    ) -> PyResult<Vec<Vec<Py<PyAny>>>> {
        let readers = 0..self.readers.len();
        readers
            .map(|reader| self.collect(py, runtime, reader))
            .collect()
    }

    /// Returns the metrics that the Python reader with the index `reader` has not collected yet.
    /// `runtime` is the one that measures with these meters.
    pub(crate) fn collect(
        &self,
        py: Python<'_>,
        runtime: &Runtime,
        reader: usize,
    ) -> PyResult<Vec<Py<PyAny>>> {
        let Some(store) = self.readers.get(reader) else {
            return Ok(Vec::new());
        };
        let (collected, own) = released(py, || {
            // After a failed flush, older collections are still valid.
            _ = self.provider.force_flush();
            let collected = std::mem::take(
                &mut *store
                    .collected
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            (collected, runtime.collect_histograms(reader))
        })?;
        let own = own.into_iter().map(Metric::from);
        let metrics = collected.into_iter().flatten().chain(own);
        metrics.map(|metric| metric.into_python(py)).collect()
    }
}

/// The collections that a Python reader has not taken yet.
#[derive(Debug)]
struct Store {
    temporality: Temporality,
    collected: Mutex<Vec<Vec<Metric>>>,
    /// The number of collections beyond [`WAITING`].
    dropped: AtomicU64,
}

impl Store {
    fn of_histograms(&self) -> runtime::Temporality {
        match self.temporality {
            Temporality::Cumulative => runtime::Temporality::Cumulative,
            _ => runtime::Temporality::Delta,
        }
    }
}

/// Copies the metrics that the SDK aggregated.
#[derive(Debug)]
struct Exporter(Arc<Store>);

impl PushMetricExporter for Exporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let copied = metrics.scope_metrics().flat_map(|scope| {
            let name = scope.scope().name().to_owned();
            let version = scope.scope().version().map(str::to_owned);
            let schema_url = scope.scope().schema_url().map(str::to_owned);
            let scope_names = (name, version, schema_url);
            scope.metrics().map(move |metric| {
                let names = (
                    metric.name().to_owned(),
                    metric.description().to_owned(),
                    metric.unit().to_owned(),
                );
                Metric {
                    scope: scope_names.clone(),
                    names,
                    data: Data::copy(metric.data()),
                }
            })
        });
        let copied: Vec<_> = copied.collect();
        let mut collected = self
            .0
            .collected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.0.temporality == Temporality::Cumulative {
            collected.clear();
        } else if collected.len() >= WAITING {
            collected.remove(0);
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        collected.push(copied);
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        self.0.temporality
    }
}

type Names = (String, String, String);

#[derive(Debug)]
struct Metric {
    scope: (String, Option<String>, Option<String>),
    names: Names,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Sum {
        monotonic: bool,
        delta: bool,
        times: (u64, u64),
        points: Vec<(Vec<KeyValue>, Number)>,
    },
    Gauge {
        times: (u64, u64),
        points: Vec<(Vec<KeyValue>, Number)>,
    },
    Histogram {
        delta: bool,
        times: (u64, u64),
        points: Vec<HistogramPoint>,
    },
    Exponential {
        delta: bool,
        times: (u64, u64),
        points: Vec<ExponentialPoint>,
    },
}

#[derive(Debug)]
struct HistogramPoint {
    attributes: Vec<KeyValue>,
    count: u64,
    sum: Number,
    bounds: Vec<f64>,
    buckets: Vec<u64>,
    min: Option<Number>,
    max: Option<Number>,
    exemplars: Vec<Exemplar>,
}

#[derive(Debug)]
struct ExponentialPoint {
    attributes: Vec<KeyValue>,
    count: u64,
    sum: Number,
    scale: i8,
    zero_count: u64,
    positive: Buckets,
    negative: Buckets,
    min: Option<Number>,
    max: Option<Number>,
    exemplars: Vec<Exemplar>,
}

/// The value, the time in nanoseconds since the Unix epoch, the span id and the trace id.
type Exemplar = (Number, u64, u64, u128);

/// The index of the first bucket, and the counts from it on.
type Buckets = (i32, Vec<u64>);

fn buckets(buckets: &ExponentialBucket) -> Buckets {
    (buckets.offset(), buckets.counts().collect())
}

#[derive(Debug, Clone, Copy, IntoPyObject)]
enum Number {
    #[pyo3(transparent)]
    Float(f64),
    #[pyo3(transparent)]
    Unsigned(u64),
    #[pyo3(transparent)]
    Signed(i64),
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Unsigned(value)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Signed(value)
    }
}

impl Number {
    /// Returns a number that is 0 or more and has no fraction.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of rows"
    )]
    fn whole(value: f64) -> Self {
        Self::Unsigned(value as u64)
    }
}

fn span_of(start: Option<SystemTime>, end: SystemTime) -> (u64, u64) {
    (nanoseconds(start.unwrap_or(end)), nanoseconds(end))
}

impl Data {
    fn copy(data: &AggregatedMetrics) -> Self {
        match data {
            AggregatedMetrics::F64(data) => Self::copy_of(data),
            AggregatedMetrics::U64(data) => Self::copy_of(data),
            AggregatedMetrics::I64(data) => Self::copy_of(data),
        }
    }

    fn copy_of<T: Copy + Into<Number>>(data: &MetricData<T>) -> Self {
        match data {
            MetricData::Sum(sum) => Self::Sum {
                monotonic: sum.is_monotonic(),
                delta: sum.temporality() == Temporality::Delta,
                times: span_of(Some(sum.start_time()), sum.time()),
                points: sum
                    .data_points()
                    .map(|p| (p.attributes().cloned().collect(), p.value().into()))
                    .collect(),
            },
            MetricData::Gauge(gauge) => Self::Gauge {
                times: span_of(gauge.start_time(), gauge.time()),
                points: gauge
                    .data_points()
                    .map(|p| (p.attributes().cloned().collect(), p.value().into()))
                    .collect(),
            },
            MetricData::Histogram(histogram) => Self::Histogram {
                delta: histogram.temporality() == Temporality::Delta,
                times: span_of(Some(histogram.start_time()), histogram.time()),
                points: histogram
                    .data_points()
                    .map(|point| HistogramPoint {
                        attributes: point.attributes().cloned().collect(),
                        count: point.count(),
                        sum: point.sum().into(),
                        bounds: point.bounds().collect(),
                        buckets: point.bucket_counts().collect(),
                        min: point.min().map(Into::into),
                        max: point.max().map(Into::into),
                        // The SDK has none.
                        exemplars: Vec::new(),
                    })
                    .collect(),
            },
            MetricData::ExponentialHistogram(histogram) => Self::Exponential {
                delta: histogram.temporality() == Temporality::Delta,
                times: span_of(Some(histogram.start_time()), histogram.time()),
                points: histogram
                    .data_points()
                    .map(|point| ExponentialPoint {
                        attributes: point.attributes().cloned().collect(),
                        count: point.count() as u64,
                        sum: point.sum().into(),
                        scale: point.scale(),
                        zero_count: point.zero_count(),
                        positive: buckets(point.positive_bucket()),
                        negative: buckets(point.negative_bucket()),
                        min: point.min().map(Into::into),
                        max: point.max().map(Into::into),
                        // The SDK has none.
                        exemplars: Vec::new(),
                    })
                    .collect(),
            },
        }
    }

    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let numbers = |points: Vec<(Vec<KeyValue>, Number)>| {
            points
                .into_iter()
                .map(|(names, value)| Ok((attributes(py, &names)?, value)))
                .collect::<PyResult<Vec<_>>>()
        };
        let object = match self {
            Self::Sum {
                monotonic,
                delta,
                times,
                points,
            } => ("sum", delta, times, numbers(points)?, monotonic).into_pyobject(py)?,
            Self::Gauge { times, points } => {
                ("gauge", false, times, numbers(points)?, false).into_pyobject(py)?
            }
            Self::Histogram {
                delta,
                times,
                points,
            } => {
                let points = points
                    .into_iter()
                    .map(|p| {
                        Ok((
                            attributes(py, &p.attributes)?,
                            p.count,
                            p.sum,
                            p.bounds,
                            p.buckets,
                            p.min,
                            p.max,
                            p.exemplars,
                        ))
                    })
                    .collect::<PyResult<Vec<_>>>()?;
                ("histogram", delta, times, points, false).into_pyobject(py)?
            }
            Self::Exponential {
                delta,
                times,
                points,
            } => {
                let points = points
                    .into_iter()
                    .map(|p| {
                        let buckets = (p.scale, p.zero_count, p.positive, p.negative);
                        Ok((
                            attributes(py, &p.attributes)?,
                            p.count,
                            p.sum,
                            buckets,
                            p.min,
                            p.max,
                            p.exemplars,
                        ))
                    })
                    .collect::<PyResult<Vec<_>>>()?;
                ("exponential", delta, times, points, false).into_pyobject(py)?
            }
        };
        Ok(object.into_any().unbind())
    }
}

impl From<HistogramData> for Metric {
    fn from(histogram: HistogramData) -> Self {
        let scope = instrumentation_scope();
        let number = |value: f64| {
            if histogram.is_whole {
                Number::whole(value)
            } else {
                Number::Float(value)
            }
        };
        // All points of a histogram have the same kind of buckets.
        let (mut explicit, mut exponential) = (Vec::new(), Vec::new());
        for point in histogram.points {
            let (sum, min, max) = (
                number(point.sum),
                Some(number(point.minimum)),
                Some(number(point.maximum)),
            );
            let exemplars = point.exemplars.iter().map(|exemplar| {
                let value = number(exemplar.value);
                (value, exemplar.time, exemplar.span_id, exemplar.trace_id)
            });
            let exemplars = exemplars.collect();
            match point.buckets {
                PointBuckets::Explicit { bounds, counts } => explicit.push(HistogramPoint {
                    attributes: point.attributes,
                    count: point.count,
                    sum,
                    bounds: bounds.to_vec(),
                    buckets: counts,
                    min,
                    max,
                    exemplars,
                }),
                PointBuckets::Exponential {
                    scale,
                    zeros,
                    offset,
                    counts,
                } => exponential.push(ExponentialPoint {
                    attributes: point.attributes,
                    count: point.count,
                    sum,
                    scale,
                    zero_count: zeros,
                    positive: (offset, counts),
                    negative: (0, Vec::new()),
                    min,
                    max,
                    exemplars,
                }),
            }
        }
        let delta = histogram.temporality == runtime::Temporality::Delta;
        let times = span_of(Some(histogram.start), histogram.time);
        Self {
            scope: (
                scope.name().to_owned(),
                scope.version().map(str::to_owned),
                scope.schema_url().map(str::to_owned),
            ),
            names: (
                histogram.name.to_owned(),
                histogram.description.to_owned(),
                histogram.unit.to_owned(),
            ),
            data: if exponential.is_empty() {
                Data::Histogram {
                    delta,
                    times,
                    points: explicit,
                }
            } else {
                Data::Exponential {
                    delta,
                    times,
                    points: exponential,
                }
            },
        }
    }
}

impl Metric {
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let data = self.data.into_python(py)?;
        Ok((self.scope, self.names, data)
            .into_pyobject(py)?
            .into_any()
            .unbind())
    }
}
