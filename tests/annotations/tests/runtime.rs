//! Metrics and records of annotated calls: metrics are exact and bounded, and agree with the spans.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use percolate_otel::runtime::{self, MeterProviderHandle, Runtime, RuntimeConfig, Sampler};
use percolate_otel::testing::{Capture, FinishedSpans, Instrument, MetricCallback};
use percolate_otel::{ADVISED_BOUNDS, ConventionLayer, QueueWait, STORAGE_BOUNDS};
use percolate_otel::{background_job, db_op};
use tracing_subscriber::layer::SubscriberExt as _;

#[db_op(get, collection, system = "rocksdb")]
fn get(collection: &str, found: bool) -> Option<u64> {
    found.then_some(1)
}

#[db_op(get, collection, slow = "1ms", system = "rocksdb")]
fn get_slowly(collection: &str, takes: Duration) -> Option<u64> {
    std::thread::sleep(takes);
    (!collection.is_empty()).then_some(1)
}

#[db_op(put, collection, system = "rocksdb")]
fn put(collection: &str) -> std::io::Result<()> {
    _ = collection;
    Err(std::io::ErrorKind::StorageFull.into())
}

#[background_job(index.build, target)]
fn build(target: &str, inside: impl FnOnce()) {
    _ = target;
    inside();
}

/// Collected points of one metric: attributes as text, and their count.
type Points = BTreeMap<String, u64>;

/// Returns the histogram points of a collection.
fn points_of(metrics: &ResourceMetrics) -> Points {
    let mut points = Points::new();
    for metric in metrics
        .scope_metrics()
        .flat_map(opentelemetry_sdk::metrics::data::ScopeMetrics::metrics)
    {
        if metric.name() != "db.client.operation.duration" {
            continue;
        }
        let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() else {
            continue;
        };
        for point in histogram.data_points() {
            let mut attributes: Vec<_> = point
                .attributes()
                .map(|kv| format!("{}={}", kv.key, kv.value))
                .collect();
            attributes.sort();
            points.insert(attributes.join(" "), point.count());
        }
    }
    points
}

/// A runtime whose metrics are collected on request.
struct Measured {
    provider: SdkMeterProvider,
    collections: Arc<Mutex<Vec<Points>>>,
    _scope: runtime::ScopeGuard,
}

fn measured(temporality: Temporality) -> Measured {
    let collections = Arc::<Mutex<Vec<Points>>>::default();
    let kept = Arc::clone(&collections);
    let exporter = MetricCallback::new(move |metrics| {
        kept.lock()
            .expect("no test panics here")
            .push(points_of(metrics));
    });
    let reader = PeriodicReader::builder(exporter.temporality(temporality))
        .with_interval(Duration::from_hours(1))
        .build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let runtime = Runtime::build(RuntimeConfig {
        meter_provider: Some(MeterProviderHandle::new(provider.clone())),
        ..RuntimeConfig::default()
    })
    .expect("threads start");
    Measured {
        provider,
        collections,
        _scope: runtime::scope(Some(runtime)),
    }
}

impl Measured {
    fn collect(&self) -> Points {
        self.provider.force_flush().expect("it collects");
        self.collections
            .lock()
            .expect("no test panics here")
            .pop()
            .unwrap_or_default()
    }
}

fn get_of(collection: &str) -> String {
    format!("db.collection.name={collection} db.operation.name=get db.system.name=rocksdb")
}

#[test]
fn delta_temporality_loses_nothing_when_collections_change() {
    let measured = measured(Temporality::Delta);
    (0..3).for_each(|_| _ = get("articles", true));
    assert_eq!(measured.collect(), Points::from([(get_of("articles"), 3)]));
    get("authors", true);
    assert_eq!(measured.collect(), Points::from([(get_of("authors"), 1)]));
    (0..2).for_each(|_| _ = get("articles", true));
    assert_eq!(measured.collect(), Points::from([(get_of("articles"), 2)]));
}

#[test]
fn a_failed_call_has_one_duration_point_and_no_rows_point() {
    let capture = Capture::new();
    capture.run(|| _ = put("articles"));
    let metrics = capture.metrics();
    assert_eq!(
        metrics
            .metric("db.client.operation.duration")
            .points()
            .len(),
        1
    );
    assert!(
        metrics
            .find("db.client.response.returned_rows")
            .is_none_or(|rows| rows.points().is_empty())
    );
}

#[test]
fn cumulative_temporality_keeps_counting() {
    let measured = measured(Temporality::Cumulative);
    get("articles", true);
    measured.collect();
    get("authors", true);
    get("articles", true);
    assert_eq!(
        measured.collect(),
        Points::from([(get_of("articles"), 2), (get_of("authors"), 1)])
    );
}

#[test]
fn series_are_bounded_and_further_calls_are_counted_in_the_overflow_series() {
    let measured = measured(Temporality::Cumulative);
    for n in 0..2500 {
        get(&format!("collection {n}"), true);
    }
    let points = measured.collect();
    assert_eq!(points.values().sum::<u64>(), 2500);
    let overflow = points
        .iter()
        .filter(|(name, _)| name.contains("otel.metric.overflow=true"));
    assert!(overflow.map(|(_, count)| count).sum::<u64>() >= 500);
    assert!(points.len() <= 2002, "{}", points.len());
}

#[test]
fn addresses_are_on_spans_only_and_do_not_exhaust_the_series() {
    #[db_op(get, cf, server_address = address, system = "rocksdb")]
    fn get_from(cf: &str, address: &str) -> Option<u8> {
        (cf.len() + address.len() > 1).then_some(1)
    }
    let measured = measured(Temporality::Cumulative);
    for n in 0..3000 {
        get_from("articles", &format!("host-{n}"));
    }
    get_from("authors", "host-2999");
    let points = measured.collect();
    let counts: Vec<_> = points.values().copied().collect();
    assert_eq!(counts, [3000, 1], "{points:?}");
    assert!(points.keys().all(|name| !name.contains("overflow")));
    drop(measured);

    let capture = Capture::builder()
        .compact_records()
        .conventions(ConventionLayer::new())
        .build();
    capture.run(|| (0..2010).for_each(|n| _ = get_from("articles", &format!("host-{n}"))));
    let spans = capture.spans();
    let spans = spans.all("get articles");
    let last = spans.last().expect("2010 spans");
    assert_eq!(last.attribute("server.address"), Some(&"host-2009".into()));
}

#[test]
fn spans_of_overflowing_collections_still_have_their_own_names() {
    // The default layer would report that the names have too many values.
    let capture = Capture::builder()
        .compact_records()
        .conventions(ConventionLayer::new())
        .build();
    capture.run(|| (0..2010).for_each(|n| _ = get(&format!("collection {n}"), true)));
    let spans = capture.spans();
    let last = spans.span("get collection 2009");
    assert_eq!(
        last.attribute("db.collection.name"),
        Some(&"collection 2009".into())
    );
}

#[test]
fn both_recording_paths_create_the_same_span() {
    let record = |capture: &Capture| {
        capture.run(|| {
            build("hnsw", || {
                get("articles", true);
                _ = put("articles");
            });
        });
        capture.spans().tree_with(&[
            "db.system.name",
            "db.operation.name",
            "db.collection.name",
            "db.response.returned_rows",
            "error.type",
            "job.type",
            "job.target",
            "job.status",
        ])
    };
    let foreign = record(&Capture::new());
    let own = record(&Capture::builder().compact_records().build());
    assert_eq!(foreign, own);
    assert!(own.starts_with("index.build hnsw [internal]"), "{own}");
}

#[test]
fn under_percolates_own_pipeline_a_call_is_exported_once() {
    let capture = Capture::builder().compact_records().build();
    capture.run(|| _ = get("articles", true));
    assert_eq!(capture.spans().len(), 1);
    assert_eq!(capture.spans().span("get articles").scope(), "percolate");
}

#[test]
fn the_metric_has_the_duration_of_the_span() {
    let capture = Capture::builder().compact_records().build();
    capture.run(|| _ = get_slowly("articles", Duration::from_millis(5)));
    let span = capture
        .spans()
        .span("get articles")
        .duration()
        .as_secs_f64();
    let metric = capture.metrics().sum("db.client.operation.duration", &[]);
    assert!((span - metric).abs() < 1e-8, "{span} {metric}");
}

#[test]
fn instruments_have_the_names_units_and_bounds_of_the_conventions() {
    let capture = Capture::new();
    capture.run(|| {
        get("articles", true);
        build("hnsw", || ());
        QueueWait::begin("reports").end();
    });
    let metrics = capture.metrics();
    for (name, unit, instrument) in [
        ("db.client.operation.duration", "s", Instrument::Histogram),
        (
            "db.client.response.returned_rows",
            "{row}",
            Instrument::Histogram,
        ),
        ("job.duration", "s", Instrument::Histogram),
        ("job.active", "{job}", Instrument::UpDownCounter),
        ("job.queue.length", "{job}", Instrument::UpDownCounter),
        ("job.queue.wait", "s", Instrument::Histogram),
    ] {
        let metric = metrics.metric(name);
        assert_eq!(
            (metric.unit(), metric.instrument(), metric.scope()),
            (unit, instrument, "percolate"),
            "{name}"
        );
    }
    assert_eq!(
        metrics.metric("db.client.operation.duration").points()[0].bounds(),
        STORAGE_BOUNDS
    );
    assert!(
        ADVISED_BOUNDS
            .iter()
            .all(|bound| STORAGE_BOUNDS.contains(bound)),
        "the storage bounds include the advised bounds"
    );
}

#[test]
fn running_jobs_are_counted_while_they_run() {
    let capture = Capture::new();
    let active = || {
        capture
            .metrics()
            .sum("job.active", &[("job.type", "index.build")])
    };
    capture.run(|| build("hnsw", || assert!((active() - 1.0).abs() < f64::EPSILON)));
    assert!(active().abs() < f64::EPSILON);
}

#[test]
fn a_job_counts_in_its_queue_until_it_is_taken_or_dropped() {
    let capture = Capture::new();
    let queue = [("job.queue.name", "reports")];
    let length = || capture.metrics().sum("job.queue.length", &queue);
    let (taken, dropped) =
        capture.run(|| (QueueWait::begin("reports"), QueueWait::begin("reports")));
    assert!((length() - 2.0).abs() < f64::EPSILON);
    // Outside the capture: the wait is reported to the runtime in which it began.
    taken.end();
    drop(dropped);
    assert!(length().abs() < f64::EPSILON);
    assert_eq!(capture.metrics().count("job.queue.wait", &queue), 1);
}

/// The events about unsampled calls, as text.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Events {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() != "duration_s" {
                    _ = write!(self.0, "{}={value:?} ", field.name());
                }
            }
        }
        let mut text = Text(format!(
            "{} {} ",
            event.metadata().level(),
            event.metadata().target()
        ));
        event.record(&mut text);
        self.0.lock().expect("no test panics here").push(text.0);
    }
}

#[test]
fn the_first_call_of_a_function_in_an_overflow_series_is_reported() {
    let events = Events::default();
    let measured = measured(Temporality::Cumulative);
    let subscriber = tracing_subscriber::registry().with(events.clone());
    let subscriber = tracing::subscriber::set_default(subscriber);
    get(&"a".repeat(1024), true);
    for name in ["b", "c"] {
        get(&name.repeat(1025), true);
    }
    for n in 0..2500 {
        _ = put(&format!("collection {n}"));
    }
    drop(subscriber);
    assert_eq!(measured.collect().values().sum::<u64>(), 2503);
    let mut reported = events.0.lock().expect("no test panics here").clone();
    reported.retain(|text| text.starts_with("WARN percolate::telemetry "));
    let [long, many] = &reported[..] else {
        panic!("{reported:?}");
    };
    assert!(
        long.contains("`get`") && long.contains("1024 bytes"),
        "{long}"
    );
    assert!(
        many.contains("`put`") && many.contains("2000 metric series"),
        "{many}"
    );
}

#[test]
fn slow_and_failed_unsampled_calls_are_reported_and_fast_ones_are_not() {
    let (events, finished) = (Events::default(), FinishedSpans::default());
    let runtime = Runtime::build(RuntimeConfig {
        sampler: Sampler::AlwaysOff,
        sink: runtime::sdk_sink(vec![Arc::new(finished.clone())]),
        export_reported_roots: true,
        ..RuntimeConfig::default()
    })
    .expect("threads start");
    let _scope = runtime::scope(Some(runtime));
    let _subscriber =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(events.clone()));
    let began = Instant::now();
    get_slowly("quick", Duration::ZERO);
    let is_fast = began.elapsed() < Duration::from_millis(1);
    get_slowly("articles", Duration::from_millis(2));
    _ = put("articles");
    let reported = events.0.lock().expect("no test panics here").clone();
    let (quick, reported): (Vec<_>, Vec<_>) =
        reported.iter().partition(|text| text.contains("quick"));
    assert!(!is_fast || quick.is_empty(), "{quick:?}");
    assert_eq!(reported.len(), 2, "{reported:?}");
    assert!(
        reported[0].starts_with("WARN percolate::unsampled "),
        "{}",
        reported[0]
    );
    assert!(
        reported[0].contains(r#"db.operation.name="get""#)
            && reported[0].contains(r#"percolate.reason="slow""#)
    );
    assert!(
        reported[1].contains(r#"percolate.reason="failed""#) && reported[1].contains("error.type="),
        "{}",
        reported[1]
    );
    assert!(runtime.flush(Duration::from_secs(10)));
    let spans = finished.get();
    let slow = spans
        .iter()
        .find(|span| span.name == "get articles")
        .expect("the slow root is exported");
    assert!(
        slow.end_time
            .duration_since(slow.start_time)
            .expect("in order")
            >= Duration::from_millis(2)
    );
    assert!(
        reported[0].contains(&slow.span_context.trace_id().to_string()),
        "the event has the trace id of the span"
    );
}

#[test]
fn a_tracing_opentelemetry_layer_samples_for_itself() {
    let capture = Capture::builder().sampler(Sampler::AlwaysOff).build();
    capture.run(|| _ = get("articles", true));
    assert!(capture.spans().is_empty());
    assert_eq!(
        capture.metrics().count("db.client.operation.duration", &[]),
        1
    );
}
