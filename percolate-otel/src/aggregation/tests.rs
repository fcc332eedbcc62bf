//! The own aggregation against the instruments of the SDK, and with many threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, ExponentialBucket, ExponentialHistogramDataPoint, HistogramDataPoint,
    MetricData, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, PeriodicReader, SdkMeterProvider, Stream,
};
use proptest::prelude::*;

use super::cell::{Cell, Layout};
use super::counts::{BucketCounts, CellCounts};
use super::data::{HistogramData, PointBuckets};
use super::exemplars::CellExemplar;
use super::exponential_counts::Exponential;
use super::histograms::Histograms;
use super::options::{Buckets, OwnAggregation};
use super::pool::{CellPool, MAX_CELLS};
use super::readers::Temporality;
use super::unit::Unit;
use crate::conventions::JobStatus;
use crate::details::Names;
use crate::metrics::{Instruments, STORAGE_BOUNDS};
use crate::outcome::{ErrorInfo, Outcome};
use crate::series::SeriesTable;
use crate::site::Site;

crate::db_site!(static GET = "get", system = "shelf");
crate::db_site!(static SCAN = "scan", system = "shelf");
crate::job_site!(static REBUILD = "index.rebuild");

/// The defaults of the SDK.
const EXPONENTIAL: Buckets = Buckets::Exponential {
    max_size: 160,
    max_scale: 20,
};

/// A point of a histogram, by what identifies it.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    count: u64,
    sum: f64,
    minimum: f64,
    maximum: f64,
    buckets: PointBuckets,
    temporality: Temporality,
    start: SystemTime,
    end: SystemTime,
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

/// A number of the SDK's data.
trait Number: Copy {
    fn float(self) -> f64;
}

impl Number for f64 {
    fn float(self) -> f64 {
        self
    }
}

impl Number for u64 {
    #[expect(clippy::cast_precision_loss, reason = "few rows")]
    fn float(self) -> f64 {
        self as f64
    }
}

/// Keeps the histograms of the last export.
#[derive(Debug, Clone)]
struct Exported {
    found: Arc<Mutex<Found>>,
    temporality: Temporality,
}

impl Exported {
    fn explicit<T: Number>(point: &HistogramDataPoint<T>, times: Times) -> Point {
        let buckets = PointBuckets::Explicit {
            bounds: point.bounds().collect(),
            counts: point.bucket_counts().collect(),
        };
        times.point(
            point.count(),
            (point.sum(), point.min(), point.max()),
            buckets,
        )
    }

    fn exponential<T: Number>(point: &ExponentialHistogramDataPoint<T>, times: Times) -> Point {
        let counts = |bucket: &ExponentialBucket| bucket.counts().collect::<Vec<_>>();
        assert!(counts(point.negative_bucket()).is_empty());
        let buckets = PointBuckets::Exponential {
            scale: point.scale(),
            zeros: point.zero_count(),
            offset: point.positive_bucket().offset(),
            counts: counts(point.positive_bucket()),
        };
        times.point(
            point.count() as u64,
            (point.sum(), point.min(), point.max()),
            buckets,
        )
    }

    fn points<T: Number>(data: &MetricData<T>) -> Vec<(Vec<opentelemetry::KeyValue>, Point)> {
        match data {
            MetricData::Histogram(histogram) => {
                let times = Times {
                    temporality: histogram.temporality(),
                    start: histogram.start_time(),
                    end: histogram.time(),
                };
                let points = histogram.data_points().filter(|point| point.count() > 0);
                points
                    .map(|point| {
                        let attributes = point.attributes().cloned().collect();
                        (attributes, Self::explicit(point, times))
                    })
                    .collect()
            }
            MetricData::ExponentialHistogram(histogram) => {
                let times = Times {
                    temporality: histogram.temporality(),
                    start: histogram.start_time(),
                    end: histogram.time(),
                };
                let points = histogram.data_points().filter(|point| point.count() > 0);
                points
                    .map(|point| {
                        let attributes = point.attributes().cloned().collect();
                        (attributes, Self::exponential(point, times))
                    })
                    .collect()
            }
            MetricData::Gauge(_) | MetricData::Sum(_) => Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Times {
    temporality: opentelemetry_sdk::metrics::Temporality,
    start: SystemTime,
    end: SystemTime,
}

impl Times {
    fn point<T: Number>(
        self,
        count: u64,
        (sum, minimum, maximum): (T, Option<T>, Option<T>),
        buckets: PointBuckets,
    ) -> Point {
        let temporality = match self.temporality {
            opentelemetry_sdk::metrics::Temporality::Cumulative => Temporality::Cumulative,
            _ => Temporality::Delta,
        };
        Point {
            count,
            sum: sum.float(),
            minimum: minimum.expect("recorded").float(),
            maximum: maximum.expect("recorded").float(),
            buckets,
            temporality,
            start: self.start,
            end: self.end,
        }
    }
}

impl PushMetricExporter for Exported {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut found = Found::new();
        for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
            let points = match metric.data() {
                AggregatedMetrics::F64(data) => Self::points(data),
                AggregatedMetrics::U64(data) => Self::points(data),
                AggregatedMetrics::I64(_) => Vec::new(),
            };
            for (attributes, point) in points {
                found.insert(identity(metric.name(), attributes.into_iter()), point);
            }
        }
        *self.found.lock().expect("not poisoned") = found;
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> opentelemetry_sdk::metrics::Temporality {
        match self.temporality {
            Temporality::Cumulative => opentelemetry_sdk::metrics::Temporality::Cumulative,
            Temporality::Delta => opentelemetry_sdk::metrics::Temporality::Delta,
        }
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
    last: Mutex<Option<[SystemTime; 2]>>,
}

impl Both {
    fn new() -> Self {
        Self::with(OwnAggregation::default())
    }

    /// The first reader is compared with the SDK.
    fn with(options: OwnAggregation) -> Self {
        let exported = Exported {
            found: Arc::default(),
            temporality: options.readers[0],
        };
        let reader = PeriodicReader::builder(exported.clone())
            .with_interval(Duration::from_secs(3600))
            .build();
        let mut provider = SdkMeterProvider::builder().with_reader(reader);
        if let Buckets::Exponential {
            max_size,
            max_scale,
        } = options.operations
        {
            provider = provider.with_view(move |instrument: &Instrument| {
                let aggregation = Aggregation::Base2ExponentialHistogram {
                    max_size,
                    max_scale,
                    record_min_max: true,
                };
                let is_histogram = instrument.kind() == InstrumentKind::Histogram;
                let stream = || {
                    Stream::builder()
                        .with_aggregation(aggregation)
                        .build()
                        .expect("valid")
                };
                is_histogram.then(stream)
            });
        }
        let provider = provider.build();
        let instruments = || Some(Instruments::new(&provider.meter(""), None));
        Self {
            own: SeriesTable::new(instruments(), Some(Histograms::new(options)), Vec::new()),
            sdk: SeriesTable::new(instruments(), None, Vec::new()),
            exported,
            provider: provider.clone(),
            last: Mutex::default(),
        }
    }

    fn call(&self, call: &Call) {
        let names = Names {
            target: Some(["books", "pages"][usize::from(call.target % 2)]),
            server_address: Some(["here", "there"][usize::from(call.target / 2)]),
            system: (call.target == 3).then_some("slatedb"),
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
        let waited = Duration::from_nanos(call.nanos);
        for table in [&self.own, &self.sdk] {
            let series = table.find(call.site(), &names);
            table.measure(series, &outcome, (status, call.nanos), None);
            if call.site == 2 {
                table.queue_wait(
                    &Arc::from(["reports", "mails"][usize::from(call.target % 2)]),
                    waited,
                );
            }
        }
    }

    fn own(&self, reader: usize) -> Found {
        points_of(self.own.collect(reader))
    }

    fn sdk(&self) -> Found {
        self.provider.force_flush().expect("exported");
        std::mem::take(&mut *self.exported.found.lock().expect("not poisoned"))
    }

    fn assert_equal(&self) {
        let (own, sdk) = (self.own(0), self.sdk());
        let names = |found: &Found| found.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&own), names(&sdk));
        for (known, point) in &own {
            let expected = &sdk[known];
            // The SDK adds up floats; the own aggregation adds up nanoseconds.
            let difference = (point.sum - expected.sum).abs();
            assert!(difference <= expected.sum.abs() * 1e-12, "{known:?}");
            let comparable = |point: &Point| Point {
                sum: 0.0,
                start: SystemTime::UNIX_EPOCH,
                end: SystemTime::UNIX_EPOCH,
                ..point.clone()
            };
            assert_eq!(comparable(point), comparable(expected), "{known:?}");
        }
        self.assert_intervals([&own, &sdk]);
    }

    /// Asserts that delta intervals follow on one another, and that cumulative ones have one start.
    fn assert_intervals(&self, found: [&Found; 2]) {
        let mut last = self.last.lock().expect("not poisoned");
        let first = found.map(|found| found.values().next());
        let [Some(own), Some(sdk)] = first else {
            // An interval without a call has no point that shows its times.
            if self.exported.temporality == Temporality::Delta {
                *last = None;
            }
            return;
        };
        if let Some(expected) = *last {
            assert_eq!(own.start, expected[0]);
            // The SDK has separate times for each instrument.
            let apart = |left: SystemTime, right: SystemTime| {
                let apart = left.duration_since(right);
                apart.unwrap_or_else(|error| error.duration())
            };
            assert!(apart(sdk.start, expected[1]) < Duration::from_secs(1));
        }
        for point in found[0].values() {
            assert!(point.start < point.end);
            assert_eq!((point.start, point.end), (own.start, own.end));
        }
        *last = Some(match own.temporality {
            Temporality::Cumulative => [own.start, sdk.start],
            Temporality::Delta => [own.end, sdk.end],
        });
    }
}

/// Returns the points of histograms by what identifies them.
fn points_of(histograms: Vec<HistogramData>) -> Found {
    let mut found = Found::new();
    for histogram in histograms {
        for point in histogram.points {
            let known = identity(histogram.name, point.attributes.into_iter());
            let point = Point {
                count: point.count,
                sum: point.sum,
                minimum: point.minimum,
                maximum: point.maximum,
                buckets: point.buckets,
                temporality: histogram.temporality,
                start: histogram.start,
                end: histogram.time,
            };
            assert_eq!(found.insert(known, point), None, "a point twice");
        }
    }
    found
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

fn options() -> impl Strategy<Value = OwnAggregation> {
    let buckets = prop_oneof![
        Just(None),
        Just(Some(EXPONENTIAL)),
        Just(Some(Buckets::Exponential {
            max_size: 5,
            max_scale: 3
        })),
    ];
    let readers = prop::sample::select(vec![
        vec![Temporality::Cumulative],
        vec![Temporality::Delta],
        vec![Temporality::Delta, Temporality::Cumulative],
        vec![Temporality::Cumulative, Temporality::Delta],
    ]);
    (buckets, readers).prop_map(|(buckets, readers)| {
        let explicit = OwnAggregation::default();
        let Some(buckets) = buckets else {
            return OwnAggregation {
                readers,
                ..explicit
            };
        };
        OwnAggregation {
            operations: buckets.clone(),
            jobs: buckets.clone(),
            queue_waits: buckets.clone(),
            rows: buckets,
            readers,
            ..explicit
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_point_equals_that_of_the_sdk(
        options in options(),
        rounds in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(call(), 0..40), 1..4),
            1..4,
        )
    ) {
        let both = Both::with(options);
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

fn example(site: u8, nanos: u64) -> Call {
    Call {
        site,
        target: 0,
        nanos,
        rows: None,
        error: None,
    }
}

#[test]
fn readers_of_both_temporalities_each_collect_every_call() {
    let both = Both::with(OwnAggregation {
        readers: vec![
            Temporality::Delta,
            Temporality::Cumulative,
            Temporality::Delta,
        ],
        ..OwnAggregation::default()
    });
    let counts = |reader| {
        let found = both.own(reader);
        found
            .values()
            .map(|point| (point.count, point.minimum))
            .collect::<Vec<_>>()
    };
    both.call(&example(0, 1_000));
    assert_eq!(counts(0), [(1, 0.000_001)]);
    both.call(&example(0, 2_000));
    both.call(&example(0, 3_000));
    assert_eq!(counts(0), [(2, 0.000_002)]);
    assert_eq!(counts(0), []);
    assert_eq!(counts(1), [(3, 0.000_001)]);
    assert_eq!(counts(1), [(3, 0.000_001)]);
    assert_eq!(counts(2), [(3, 0.000_001)]);
    assert_eq!(counts(2), []);
    assert_eq!(counts(3), [], "there is no such reader");
}

#[test]
fn a_delta_collection_takes_each_value_once_while_threads_record() {
    const THREADS: u64 = 3;
    const CALLS: u64 = 30_000;
    for operations in [Buckets::Explicit(vec![0.000_001]), EXPONENTIAL] {
        let table = SeriesTable::new(
            Some(Instruments::new(
                &SdkMeterProvider::builder().build().meter(""),
                None,
            )),
            Some(Histograms::new(OwnAggregation {
                operations,
                readers: vec![Temporality::Delta],
                ..OwnAggregation::default()
            })),
            Vec::new(),
        );
        let has_collected = AtomicBool::new(false);
        let taken = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        let outcome = Outcome::success();
                        for n in 0..CALLS {
                            // The second half comes after a collection, however the threads run.
                            while n == CALLS / 2 && !has_collected.load(Ordering::Relaxed) {
                                std::thread::yield_now();
                            }
                            let end = (JobStatus::Success, 500 + n % 1000);
                            let series = table.find(GET, &Names::default());
                            table.measure(series, &outcome, end, None);
                        }
                    })
                })
                .collect();
            let mut taken = Vec::new();
            while !writers
                .iter()
                .all(std::thread::ScopedJoinHandle::is_finished)
            {
                taken.extend(points_of(table.collect(0)).into_values());
                has_collected.fetch_or(!taken.is_empty(), Ordering::Relaxed);
            }
            taken.extend(points_of(table.collect(0)).into_values());
            taken
        });
        assert!(taken.len() > 1, "collected while threads recorded");
        let total: u64 = taken.iter().map(|point| point.count).sum();
        assert_eq!(total, THREADS * CALLS);
        let sum: f64 = taken.iter().map(|point| point.sum).sum();
        let calls = 0..CALLS;
        let expected: u64 = THREADS * calls.map(|n| 500 + n % 1000).sum::<u64>();
        let expected = Duration::from_nanos(expected).as_secs_f64();
        assert!((sum - expected).abs() < expected * 1e-12);
        for point in taken {
            let count = point.count.float();
            assert!(
                point.minimum * count <= point.sum * (1.0 + 1e-12),
                "{point:?}"
            );
            assert!(
                point.sum <= point.maximum * count * (1.0 + 1e-12),
                "{point:?}"
            );
        }
    }
}

#[test]
fn exponential_cells_have_the_exemplars_of_the_powers_of_two() {
    let options = Exponential {
        max_size: 160,
        max_scale: 20,
        unit: Unit::Nanoseconds,
    };
    for is_taken in [false, true] {
        let cell = Cell::new(Layout::Exponential(options), is_taken);
        for (id, value) in [(1, 1_000), (2, 1_020), (3, 5_000)] {
            cell.record_sampled(
                0,
                CellExemplar {
                    trace_id: 9,
                    span_id: id,
                    stamp: id,
                    value,
                },
            );
        }
        let spans = |counts: CellCounts| {
            let exemplars = counts.exemplars.into_iter().flatten();
            exemplars
                .map(|exemplar| exemplar.span_id)
                .collect::<Vec<_>>()
        };
        assert_eq!(spans(cell.collect()), [2, 3]);
        let again = if is_taken { vec![] } else { vec![2, 3] };
        assert_eq!(spans(cell.collect()), again);
    }
}

#[test]
fn threads_that_end_lose_nothing_and_their_cells_are_used_again() {
    let pool = CellPool::leak(Layout::Explicit(2), false);
    for _ in 0..1000 {
        std::thread::spawn(|| pool.mine(0).expect("a cell").record(1, 7))
            .join()
            .expect("no panic");
    }
    let counts = pool.of_cells();
    assert_eq!((counts.count(), counts.sum), (1000, 7000));
    assert_eq!((counts.minimum, counts.maximum), (7, 7));
    assert_eq!(pool.cells(), 1);
}

#[test]
fn more_threads_than_cells_share_one_and_lose_nothing() {
    let table = SeriesTable::new(
        Some(Instruments::new(
            &SdkMeterProvider::builder().build().meter(""),
            None,
        )),
        Some(histograms()),
        Vec::new(),
    );
    let threads = MAX_CELLS + 36;
    let barrier = std::sync::Barrier::new(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                barrier.wait();
                let outcome = Outcome::success();
                for _ in 0..100 {
                    let series = table.find(GET, &Names::default());
                    table.measure(series, &outcome, (JobStatus::Success, 3000), None);
                }
                barrier.wait();
            });
        }
    });
    let histograms = table.collect(0);
    assert_eq!(histograms.len(), 1);
    assert_eq!(histograms[0].points[0].count, threads as u64 * 100);
}

fn explicit(counts: &CellCounts) -> &[u64] {
    match &counts.buckets {
        BucketCounts::Explicit(buckets) => buckets,
        BucketCounts::Exponential(_) => panic!("expected explicit buckets"),
    }
}

#[test]
fn a_reader_sees_all_of_a_measurement_or_nothing() {
    let cell = Cell::new(Layout::Explicit(4), false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..200_000_u64 {
                let (bucket, value) = ((n % 4) as usize, 1 + n % 4);
                let exemplar = CellExemplar {
                    trace_id: u128::from(n + 1) << 64 | u128::from(n + 1),
                    span_id: n + 1,
                    stamp: n + 1,
                    value,
                };
                if n % 3 == 0 {
                    cell.record_sampled(bucket, exemplar);
                } else {
                    cell.record(bucket, value);
                }
            }
        });
        let mut last = Layout::Explicit(4).empty();
        while last.count() < 200_000 {
            let counts = cell.collect();
            let weighted = explicit(&counts).iter().zip(1_u64..);
            assert_eq!(
                counts.sum,
                weighted.map(|(count, value)| count * value).sum::<u64>()
            );
            assert!(counts.count() >= last.count());
            for exemplar in counts.exemplars.iter().flatten() {
                let id = u128::from(exemplar.span_id);
                assert_eq!(exemplar.trace_id, id << 64 | id);
                assert_eq!(exemplar.stamp, exemplar.span_id);
            }
            last = counts;
        }
    });
}

#[test]
fn an_exemplar_is_the_last_sampled_call_of_its_bucket() {
    let pool = CellPool::leak(Layout::Explicit(3), false);
    let exemplar = |span_id: u64, stamp: u64| CellExemplar {
        trace_id: 9,
        span_id,
        stamp,
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
    let counts = pool.of_cells();
    let spans: Vec<_> = counts
        .exemplars
        .iter()
        .map(|exemplar| exemplar.map(|exemplar| exemplar.span_id))
        .collect();
    assert_eq!(spans, [Some(3), None, Some(2)]);
    assert_eq!(explicit(&counts), [3, 0, 2]);
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
        let series = both.own.find(GET, &Names::default());
        let end = (JobStatus::Failed, 1000);
        both.own.measure(series, &outcome, end, None);
    }
    let found = both.own(0);
    assert_eq!(found.len(), 101);
    assert_eq!(found.values().map(|point| point.count).sum::<u64>(), 300);
    let overflow = found
        .keys()
        .filter(|(_, attributes)| attributes.contains("overflow"));
    assert_eq!(overflow.count(), 1);
}

#[test]
fn the_overflow_of_a_site_is_measured_for_each_of_a_few_systems() {
    let both = Both::new();
    let call = |target: &str, system: &str| {
        let names = Names {
            target: Some(target),
            system: Some(system),
            ..Names::default()
        };
        let end = (JobStatus::Success, 1000);
        let series = both.own.find(GET, &names);
        both.own.measure(series, &Outcome::default(), end, None);
    };
    let overflow = || -> Vec<(String, u64)> {
        let found = both.own(0).into_iter();
        let overflow = found.filter(|((_, attributes), _)| attributes.contains("overflow"));
        overflow
            .map(|((_, attributes), point)| (attributes, point.count))
            .collect()
    };
    for n in 0..1500 {
        call(&format!("collection {n}"), "rocksdb");
        call(&format!("collection {n}"), "slatedb");
    }
    let [(rocksdb, 500), (slatedb, 500)] = &overflow()[..] else {
        panic!("{:?}", overflow());
    };
    assert!(rocksdb.contains("rocksdb"), "{rocksdb}");
    assert!(slatedb.contains("slatedb"), "{slatedb}");
    // A name that varies does not add a series for each of its values.
    for n in 0..100 {
        call("articles", &format!("system{n}"));
    }
    call("articles", &"s".repeat(2000));
    assert_eq!(overflow().len(), 9, "{:?}", overflow());
    let is_other = |(attributes, _): &(String, u64)| attributes.contains("shelf");
    let others: Vec<_> = overflow().into_iter().filter(is_other).collect();
    assert!(matches!(others[..], [(_, 95)]), "{others:?}");
    let all = both.own(0);
    assert_eq!(all.values().map(|point| point.count).sum::<u64>(), 3101);
}

#[test]
fn a_cell_has_the_documented_size() {
    let cumulative = |buckets: usize| size_of::<Cell>() + buckets * 8;
    let durations = cumulative(STORAGE_BOUNDS.len() + 1);
    let rows = cumulative(crate::metrics::ROW_BOUNDS.len() + 1);
    assert_eq!((durations, rows), (256, 184));

    let other = |buckets: usize| size_of::<Cell>() + size_of::<super::cell::OtherCell>() + buckets;
    let delta = other(2 * (STORAGE_BOUNDS.len() + 1) * 8);
    let (exponential, delta_exponential) = (other(160 * 8), other(2 * 160 * 8));
    assert_eq!((delta, exponential, delta_exponential), (688, 1600, 2880));
}
