//! `system = expr`: one annotated function is called on stores of different database systems.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use percolate_otel::layer::Rule;
use percolate_otel::testing::{
    ABSENT, Capture, CapturedSpan, Spans, check_conventions, check_conventions_async,
};
use percolate_otel::{ConventionLayer, LinkTarget, Probe, ProbeReport, set_probe};
use percolate_otel::{assert_span, db_op, db_ops};

const DURATION: &str = "db.client.operation.duration";

struct Store {
    system: &'static str,
    evaluated: Cell<usize>,
}

impl Store {
    fn new(system: &'static str) -> Self {
        Self {
            system,
            evaluated: Cell::new(0),
        }
    }

    /// A text that does not outlive the expression.
    fn system(&self) -> String {
        self.evaluated.set(self.evaluated.get() + 1);
        self.system.to_owned()
    }
}

#[db_ops(namespace = "demo", system = self.system())]
impl Store {
    #[db_op(get, cf)]
    fn get(&self, cf: &str) -> Option<usize> {
        (cf.len() < self.system.len()).then_some(1)
    }

    #[db_op(put, cf)]
    async fn put(&self, cf: &str) -> Result<(), std::io::Error> {
        std::future::ready(()).await;
        match cf {
            "broken" => Err(std::io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    #[db_op(delete, cf)]
    fn delete<'a>(&'a self, cf: &'a str) -> impl Future<Output = bool> + 'a {
        std::future::ready(cf.len() < self.system.len())
    }

    #[db_op(scan, cf, rows = stream)]
    fn scan(&self, cf: &str) -> impl Iterator<Item = u8> + use<> {
        (0..u8::from(cf.len() < self.system.len())).chain(0..2)
    }

    #[db_op(search, cf, rows = stream)]
    fn search(&self, cf: &str) -> impl Stream<Item = u8> + use<> {
        stream::iter([u8::from(cf.len() < self.system.len())])
    }

    #[db_op(query, collection = "users", query_text = sql)]
    fn query(&self, sql: &str) -> usize {
        sql.len() / self.system.len()
    }

    #[db_op(flush, system = "sled")]
    fn flush(&self) -> usize {
        self.system.len()
    }

    #[db_op(compact, system = "redb")]
    fn compact() {}
}

/// Calls every shape of function on a store.
async fn all_shapes(store: &Store) {
    store.get("articles");
    store.put("articles").await.expect("it succeeds");
    store.put("broken").await.expect_err("it fails");
    store.delete("articles").await;
    assert!(store.scan("articles").count() >= 2);
    assert_eq!(store.search("articles").count().await, 1);
    store.query("SELECT a FROM users");
    // The future is dropped before its end.
    drop(store.delete("articles"));
}

/// Returns how many spans there are with each operation, collection and system.
fn counted(spans: &Spans) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for span in spans.iter() {
        let [operation, collection, system] =
            ["db.operation.name", "db.collection.name", "db.system.name"]
                .map(|name| text(span, name));
        let of = (format!("{operation} {collection}"), system);
        *counts.entry(of).or_default() += 1;
    }
    counts
}

fn text(span: &CapturedSpan, name: &str) -> String {
    let value = span.attribute(name);
    value.map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn every_shape_of_function_has_the_system_of_its_store_on_spans_and_metrics() {
    let captures = [Capture::new(), Capture::builder().compact_records().build()];
    for capture in captures {
        let (rocksdb, slatedb) = (Store::new("rocksdb"), Store::new("slatedb"));
        capture
            .instrument(async {
                all_shapes(&rocksdb).await;
                all_shapes(&slatedb).await;
                all_shapes(&rocksdb).await;
            })
            .await;
        let names = [
            ("get articles", 1),
            ("put articles", 1),
            ("put broken", 1),
            ("delete articles", 2),
            ("scan articles", 1),
            ("search articles", 1),
            ("query users", 1),
        ];
        let expected: BTreeMap<_, _> = [("rocksdb", 2), ("slatedb", 1)]
            .into_iter()
            .flat_map(|(system, times)| {
                names.map(|(name, calls)| ((name.to_owned(), system.to_owned()), calls * times))
            })
            .collect();
        assert_eq!(counted(&capture.spans()), expected);
        // Once for each call, also if its details are needed.
        assert_eq!((rocksdb.evaluated.get(), slatedb.evaluated.get()), (16, 8));

        let metrics = capture.metrics();
        for (name, calls) in names {
            let (operation, collection) = name.split_once(' ').expect("two words");
            for (system, times) in [("rocksdb", 2), ("slatedb", 1)] {
                let attributes = [
                    ("db.operation.name", operation),
                    ("db.collection.name", collection),
                    ("db.system.name", system),
                    ("db.namespace", "demo"),
                ];
                let count = metrics.count(DURATION, &attributes);
                assert_eq!(count, calls * times, "{name} {system}");
            }
        }
        // Two outcomes of `delete`, for each of the two systems.
        assert_eq!(metrics.metric(DURATION).points().len(), 16);
    }
}

#[test]
fn a_method_may_replace_the_system_of_its_block() {
    let capture = Capture::new();
    capture.run(|| {
        Store::new("slatedb").flush();
        Store::compact();
    });
    assert_span!(capture.spans(), "flush demo", "db.system.name" = "sled");
    assert_span!(capture.spans(), "compact demo", "db.system.name" = "redb");
}

#[test]
fn a_system_may_be_a_constant_a_parameter_or_a_field() {
    const SYSTEM: &str = "redb";
    #[db_op(get, cf, system = SYSTEM)]
    fn of_constant(cf: &str) {}
    #[db_op(put, cf, system = system)]
    fn of_parameter(cf: &str, system: String) {
        drop(system);
    }
    #[db_op(delete, cf, system = store.system)]
    fn of_field(cf: &str, store: &Store) -> usize {
        store.system.len()
    }
    let capture = Capture::new();
    capture.run(|| {
        of_constant("a");
        of_parameter("a", "lmdb".to_owned());
        of_field("a", &Store::new("slatedb"));
    });
    let spans = capture.spans();
    assert_span!(spans, "get a", "db.system.name" = "redb");
    assert_span!(spans, "put a", "db.system.name" = "lmdb");
    assert_span!(spans, "delete a", "db.system.name" = "slatedb");
}

#[test]
fn the_text_of_a_query_is_read_in_the_dialect_of_its_store() {
    let sql = "SELECT \"name\" FROM users";
    for builder in [Capture::builder(), Capture::builder().compact_records()] {
        let capture = builder.build();
        capture.run(|| {
            Store::new("mysql").query(sql);
            Store::new("postgresql").query(sql);
        });
        let spans = capture.spans();
        let found: Vec<_> = spans
            .iter()
            .map(|span| (text(span, "db.system.name"), text(span, "db.query.text")))
            .collect();
        let expected = [
            ("mysql".to_owned(), "SELECT ? FROM users".to_owned()),
            ("postgresql".to_owned(), sql.to_owned()),
        ];
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn stores_of_two_systems_follow_the_conventions() {
    check_conventions_async(|_| async {
        all_shapes(&Store::new("rocksdb")).await;
        all_shapes(&Store::new("slatedb")).await;
    })
    .await;
    check_conventions(|_| Store::new("slatedb").flush());
}

#[test]
fn an_empty_system_is_left_out_and_reported() {
    let capture = Capture::builder()
        .conventions(ConventionLayer::new())
        .build();
    capture.run(|| Store::new("").get("articles"));
    assert_span!(capture.spans(), "get articles", "db.system.name" = ABSENT);
    let points = capture.metrics();
    let [point] = points.metric(DURATION).points() else {
        panic!("not one point: {}", points.text());
    };
    assert_eq!(point.attribute("db.system.name"), None);
    let report = capture.report();
    let missing = report.of(Rule::RequiredAttributeNotPresent);
    assert!(!missing.is_empty(), "{report}");
}

#[test]
fn leaf_calls_have_the_counters_and_links_of_their_system_only() {
    #[derive(Debug)]
    struct Reads(AtomicI64);

    impl Probe for Reads {
        fn begin(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn end(&self, report: &mut ProbeReport<'_>) {
            report.count("app.reads", 7);
            report.link(|since_start| {
                assert!(since_start > Duration::ZERO);
                LINKED.link()
            });
        }
    }

    #[db_op(get, cf, leaf, system = system)]
    fn get(cf: &str, system: &str) {}

    static LINKED: LazyLock<LinkTarget> = LazyLock::new(LinkTarget::new);
    static READS: Reads = Reads(AtomicI64::new(0));
    assert!(set_probe("slatedb", &READS));
    let capture = Capture::builder().compact_records().build();
    capture.run(|| {
        get("a", "rocksdb");
        get("b", "slatedb");
    });
    let spans = capture.spans();
    assert_span!(spans, "get a", "app.reads" = ABSENT);
    assert_span!(spans, "get b", "app.reads" = 7);
    let linked = LINKED.link().expect("there is a link");
    let linked = (linked.trace_id(), linked.span_id());
    assert_eq!(spans.span("get b").links(), [linked]);
    assert!(spans.span("get a").links().is_empty());
    assert_eq!(READS.0.load(Ordering::Relaxed), 1);
}
