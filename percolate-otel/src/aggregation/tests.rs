//! The own aggregation against the instruments of the SDK, and with many threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use proptest::prelude::*;

use super::cell::{CellCounts, CellExemplar};
use super::histograms::Histograms;
use super::options::OwnAggregation;
use super::pool::{CellPool, MAX_CELLS};
use crate::call_values::CallEnd;
use crate::conventions::JobStatus;
use crate::details::Names;
use crate::metrics::{Instruments, STORAGE_BOUNDS};
use crate::outcome::{ErrorInfo, Outcome};
use crate::series::SeriesTable;
use crate::site::Site;

crate::db_site!(static GET = "get", system = "shelf");
crate::db_site!(static SCAN = "scan", system = "shelf");
crate::job_site!(static REBUILD = "index.rebuild");

/// A point of a histogram, by what identifies it.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    count: u64,
    sum: f64,
    minimum: f64,
    maximum: f64,
    bounds: Vec<f64>,
    buckets: Vec<u64>,
}

type Found = BTreeMap<(String, String), Point>;

fn identity(
    name: &str,
    attributes: impl Iterator<Item = opentelemetry::KeyValue>,
) -> (String, String) {
    let mut attributes: Vec<_> = attributes.collect();
    attributes.sort_by(|left, right| left.key.cmp(&right.key));
    (name.to_owned(), format!("{attributes:?}"))
}

/// Keeps the histograms of the last export.
#[derive(Debug, Clone, Default)]
struct Exported(Arc<Mutex<Found>>);

impl PushMetricExporter for Exported {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut found = Found::new();
        let metrics = metrics
            .scope_metrics()
            .flat_map(opentelemetry_sdk::metrics::data::ScopeMetrics::metrics);
        for metric in metrics {
            match metric.data() {
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                    for point in histogram.data_points().filter(|point| point.count() > 0) {
                        let known = identity(metric.name(), point.attributes().cloned());
                        found.insert(
                            known,
                            Point {
                                count: point.count(),
                                sum: point.sum(),
                                minimum: point.min().expect("recorded"),
                                maximum: point.max().expect("recorded"),
                                bounds: point.bounds().collect(),
                                buckets: point.bucket_counts().collect(),
                            },
                        );
                    }
                }
                #[expect(clippy::cast_precision_loss, reason = "few rows")]
                AggregatedMetrics::U64(MetricData::Histogram(histogram)) => {
                    for point in histogram.data_points().filter(|point| point.count() > 0) {
                        let known = identity(metric.name(), point.attributes().cloned());
                        found.insert(
                            known,
                            Point {
                                count: point.count(),
                                sum: point.sum() as f64,
                                minimum: point.min().expect("recorded") as f64,
                                maximum: point.max().expect("recorded") as f64,
                                bounds: point.bounds().collect(),
                                buckets: point.bucket_counts().collect(),
                            },
                        );
                    }
                }
                _ => {}
            }
        }
        *self.0.lock().expect("not poisoned") = found;
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

fn histograms() -> Histograms {
    Histograms::new(OwnAggregation::default())
}

/// The same calls with both aggregations.
struct Both {
    own: SeriesTable,
    sdk: SeriesTable,
    provider: SdkMeterProvider,
    exported: Exported,
}

impl Both {
    fn new() -> Self {
        let exported = Exported::default();
        let reader = PeriodicReader::builder(exported.clone())
            .with_interval(Duration::from_secs(3600))
            .build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let instruments = || Some(Instruments::new(&provider, None));
        Self {
            own: SeriesTable::new(instruments(), Some(histograms())),
            sdk: SeriesTable::new(instruments(), None),
            exported,
            provider: provider.clone(),
        }
    }

    fn call(&self, call: &Call) {
        let names = Names {
            target: Some(["books", "pages"][usize::from(call.target % 2)]),
            server_address: Some(["here", "there"][usize::from(call.target / 2)]),
            ..Names::default()
        };
        let outcome = Outcome {
            returned_rows: call.rows,
            error: call.error.map(|error| ErrorInfo {
                error_type: error.into(),
                status_code: None,
            }),
            ..Outcome::default()
        };
        let status = match &outcome.error {
            Some(_) => JobStatus::Failed,
            None => JobStatus::Success,
        };
        let end = CallEnd::new(&outcome, status, Duration::from_nanos(call.nanos));
        for table in [&self.own, &self.sdk] {
            let series = table.find(call.site(), names);
            table.measure(series, end, || None);
        }
    }

    fn own(&self) -> Found {
        let mut found = Found::new();
        for histogram in self.own.collect() {
            assert!(histogram.start <= histogram.time);
            for point in histogram.points {
                let known = identity(histogram.name, point.attributes.into_iter());
                let point = Point {
                    count: point.count,
                    sum: point.sum,
                    minimum: point.minimum,
                    maximum: point.maximum,
                    bounds: histogram.bounds.clone(),
                    buckets: point.buckets,
                };
                assert_eq!(found.insert(known, point), None, "a point twice");
            }
        }
        found
    }

    fn sdk(&self) -> Found {
        self.provider.force_flush().expect("exported");
        self.exported.0.lock().expect("not poisoned").clone()
    }

    fn assert_equal(&self) {
        let (own, sdk) = (self.own(), self.sdk());
        let names = |found: &Found| found.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&own), names(&sdk));
        for (known, point) in &own {
            let expected = &sdk[known];
            // The SDK adds up floats; the own aggregation adds up nanoseconds.
            let difference = (point.sum - expected.sum).abs();
            assert!(difference <= expected.sum.abs() * 1e-12, "{known:?}");
            let without_sum = |point: &Point| Point {
                sum: 0.0,
                ..point.clone()
            };
            assert_eq!(without_sum(point), without_sum(expected), "{known:?}");
        }
    }
}

#[derive(Debug, Clone)]
struct Call {
    site: u8,
    target: u8,
    nanos: u64,
    rows: Option<i64>,
    error: Option<&'static str>,
}

impl Call {
    fn site(&self) -> &'static Site {
        [GET, SCAN, REBUILD][usize::from(self.site)]
    }
}

fn call() -> impl Strategy<Value = Call> {
    let nanos = prop_oneof![
        0_u64..3_000,
        0_u64..20_000_000_000,
        Just(1_000),
        Just(2_500),
        Just(5_000_000_000),
    ];
    let error = prop_oneof![
        4 => Just(None),
        1 => Just(Some("NotFound")),
        1 => Just(Some("Corruption")),
    ];
    (
        0_u8..3,
        0_u8..4,
        nanos,
        proptest::option::of(0_i64..20_000),
        error,
    )
        .prop_map(|(site, target, nanos, rows, error)| Call {
            site,
            target,
            nanos,
            rows,
            error,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_point_equals_that_of_the_sdk(
        rounds in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(call(), 0..40), 1..4),
            1..4,
        )
    ) {
        let both = Both::new();
        for threads in rounds {
            // Each round has new threads, which go on in the cells of ended ones.
            std::thread::scope(|scope| {
                for calls in &threads {
                    let both = &both;
                    scope.spawn(move || calls.iter().for_each(|call| both.call(call)));
                }
            });
            both.assert_equal();
        }
    }
}

#[test]
fn threads_that_end_lose_nothing_and_their_cells_are_used_again() {
    let pool = CellPool::leak(2);
    for _ in 0..1000 {
        std::thread::spawn(|| pool.mine(0).expect("a cell").record(1, 7))
            .join()
            .expect("no panic");
    }
    let counts = pool.read();
    assert_eq!((counts.count(), counts.sum), (1000, 7000));
    assert_eq!((counts.minimum, counts.maximum), (7, 7));
    assert_eq!(pool.cells(), 1);
}

#[test]
fn more_threads_than_cells_share_one_and_lose_nothing() {
    let table = SeriesTable::new(
        Some(Instruments::new(&SdkMeterProvider::builder().build(), None)),
        Some(histograms()),
    );
    let threads = MAX_CELLS + 36;
    let barrier = std::sync::Barrier::new(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                barrier.wait();
                let outcome = Outcome::success();
                let end = CallEnd::new(&outcome, JobStatus::Success, Duration::from_micros(3));
                for _ in 0..100 {
                    let series = table.find(GET, Names::default());
                    table.measure(series, end, || None);
                }
                barrier.wait();
            });
        }
    });
    let histograms = table.collect();
    assert_eq!(histograms.len(), 1);
    assert_eq!(histograms[0].points[0].count, threads as u64 * 100);
}

#[test]
fn a_reader_sees_all_of_a_measurement_or_nothing() {
    let cell = super::cell::Cell::new(4);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..200_000_u64 {
                let (bucket, value) = ((n % 4) as usize, 1 + n % 4);
                let exemplar = CellExemplar {
                    trace_id: u128::from(n + 1) << 64 | u128::from(n + 1),
                    span_id: n + 1,
                    time: n + 1,
                    value,
                };
                if n % 3 == 0 {
                    cell.record_sampled(bucket, exemplar);
                } else {
                    cell.record(bucket, value);
                }
            }
        });
        let mut last = CellCounts::empty(4);
        while last.count() < 200_000 {
            let counts = cell.read();
            let weighted = counts.buckets.iter().zip(1_u64..);
            assert_eq!(
                counts.sum,
                weighted.map(|(count, value)| count * value).sum::<u64>()
            );
            assert!(counts.count() >= last.count());
            for exemplar in counts.exemplars.iter().flatten() {
                let id = u128::from(exemplar.span_id);
                assert_eq!(exemplar.trace_id, id << 64 | id);
                assert_eq!(exemplar.time, exemplar.span_id);
            }
            last = counts;
        }
    });
}

#[test]
fn an_exemplar_is_the_last_sampled_call_of_its_bucket() {
    let pool = CellPool::leak(3);
    let exemplar = |span_id: u64, time: u64| CellExemplar {
        trace_id: 9,
        span_id,
        time,
        value: 5,
    };
    let cell = pool.mine(0).expect("a cell");
    cell.record_sampled(0, exemplar(1, 10));
    cell.record(0, 1);
    cell.record_sampled(2, exemplar(2, 20));
    std::thread::spawn(move || {
        let cell = pool.mine(0).expect("a cell");
        cell.record_sampled(0, exemplar(3, 30));
        cell.record_sampled(2, exemplar(4, 15));
    })
    .join()
    .expect("no panic");
    let counts = pool.read();
    let spans: Vec<_> = counts
        .exemplars
        .iter()
        .map(|exemplar| exemplar.map(|exemplar| exemplar.span_id))
        .collect();
    assert_eq!(spans, [Some(3), None, Some(2)]);
    assert_eq!(counts.buckets, [3, 0, 2]);
}

#[test]
fn failed_calls_have_a_bounded_number_of_points() {
    let both = Both::new();
    for n in 0..300 {
        let outcome = Outcome {
            error: Some(ErrorInfo {
                error_type: format!("Error{n}").into(),
                status_code: None,
            }),
            ..Outcome::default()
        };
        let end = CallEnd::new(&outcome, JobStatus::Failed, Duration::from_micros(1));
        let series = both.own.find(GET, Names::default());
        both.own.measure(series, end, || None);
    }
    let found = both.own();
    assert_eq!(found.len(), 101);
    assert_eq!(found.values().map(|point| point.count).sum::<u64>(), 300);
    let overflow = found
        .keys()
        .filter(|(_, attributes)| attributes.contains("overflow"));
    assert_eq!(overflow.count(), 1);
}

#[test]
fn a_cell_has_the_documented_size() {
    let bytes = |buckets: usize| size_of::<super::cell::Cell>() + buckets * 8;
    let durations = bytes(STORAGE_BOUNDS.len() + 1);
    let rows = bytes(crate::metrics::ROW_BOUNDS.len() + 1);
    assert_eq!((durations, rows), (256, 184));
}
