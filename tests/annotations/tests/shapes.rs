//! Every kind of function under an annotation, and its span and metric: name, kind, attributes with
//! their types, status and parent.

#![expect(unsafe_code, reason = "an `unsafe fn` is one of the shapes")]
#![expect(
    clippy::ignored_unit_patterns,
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "the shape of the function is what is tested"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use opentelemetry::Value;
use percolate_otel::layer::Rule;
use percolate_otel::testing::{ABSENT, Capture, Spans};
use percolate_otel::{ConventionLayer, JobOutcome, JobStatus, Parent};
use percolate_otel::{assert_span, background_job, db_op, db_ops, record};

type Row = (String, Vec<u8>);

#[derive(Debug)]
enum StoreError {
    Missing,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("user 7 is missing")
    }
}

impl Error for StoreError {}

fn spans_of<R>(body: impl FnOnce() -> R) -> Spans {
    let capture = Capture::new();
    capture.run(body);
    capture.spans()
}

fn spans_of_async(future: impl Future) -> Spans {
    let capture = Capture::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(capture.instrument(future));
    capture.spans()
}

// ---- plain functions ----

#[test]
fn a_function_that_returns_rows_counts_them() {
    #[db_op(scan, table, system = "rocksdb")]
    fn scan(table: &str, rows: usize) -> Vec<usize> {
        (0..rows).collect()
    }
    let spans = spans_of(|| scan("articles", 3));
    assert_span!(spans, "scan articles", kind: Client, root: true, error: false,
        "db.system.name" = "rocksdb", "db.operation.name" = "scan", "db.collection.name" = "articles",
        "db.response.returned_rows" = 3, "error.type" = ABSENT, "db.namespace" = ABSENT);
}

#[test]
fn early_return_and_question_mark_leave_the_body_and_not_the_call() {
    #[db_op(get, cf, system = "rocksdb")]
    fn get(cf: &str, key: &str) -> Result<Option<u64>, Box<dyn Error>> {
        if key.is_empty() {
            return Ok(None);
        }
        let value = key.parse::<u64>()?;
        Ok(Some(value))
    }
    let spans = spans_of(|| {
        assert!(matches!(get("empty", ""), Ok(None)));
        assert!(matches!(get("number", "7"), Ok(Some(7))));
        assert!(get("word", "x").is_err());
    });
    assert_span!(spans, "get empty", error: false, "db.response.returned_rows" = 0);
    assert_span!(spans, "get number", error: false, "db.response.returned_rows" = 1);
    assert_span!(spans, "get word", error: true, "error.type" = "core::num::error::ParseIntError",
        "db.response.returned_rows" = ABSENT);
}

#[test]
fn a_nested_call_is_a_child() {
    #[db_op(get, "inner", system = "rocksdb")]
    fn get() {}
    #[db_op(query, collection = none, system = "rocksdb")]
    fn query() {
        get();
    }
    spans_of(query).assert_tree(
        "
        query [client]
          get inner [client]
        ",
    );
}

#[test]
fn names_and_counts_may_come_from_self() {
    struct Store {
        name: String,
        keys: Vec<u8>,
    }
    impl Store {
        fn namespace(&self) -> Option<String> {
            Some(self.name.clone())
        }

        #[db_op(
            batch_write,
            collection? = self.keys.first().map(|_| "one"),
            namespace = self.namespace(),
            server_address = "/data",
            batch_size = self.keys.len(),
            affected_rows = self.keys.len(),
            fields(app.keys = self.keys.len(), app.name = self.name, app.hot = true, app.share = 0.5, app.none = None::<i64>),
        system = "rocksdb",
        )]
        fn commit(self) -> Result<(), StoreError> {
            drop(self);
            Ok(())
        }
    }
    let spans = spans_of(|| {
        Store {
            name: "demo".into(),
            keys: vec![1, 2],
        }
        .commit()
    });
    assert_span!(
        spans,
        "batch_write one",
        "db.namespace" = "demo",
        "server.address" = "/data",
        "db.operation.batch.size" = 2,
        "db.response.affected_rows" = 2,
        "db.response.returned_rows" = ABSENT,
        "app.keys" = 2,
        "app.name" = "demo",
        "app.hot" = true,
        "app.share" = 0.5,
        "app.none" = ABSENT
    );
    let spans = spans_of(|| {
        Store {
            name: "demo".into(),
            keys: vec![],
        }
        .commit()
    });
    assert_span!(
        spans,
        "batch_write demo",
        "db.collection.name" = ABSENT,
        "db.operation.batch.size" = 0
    );
}

#[test]
fn a_failed_call_affects_no_rows() {
    #[db_op(put, cf, affected_rows = 1, system = "rocksdb")]
    fn put(cf: &str) -> Result<(), StoreError> {
        Err(StoreError::Missing)
    }
    let spans = spans_of(|| put("a"));
    let span = assert_span!(spans, "put a", error: true, "db.response.affected_rows" = ABSENT);
    let error_type = span.attribute("error.type").map(ToString::to_string);
    assert!(error_type.is_some_and(|name| name.ends_with("::StoreError")));
}

#[test]
fn a_panic_ends_the_call_and_continues() {
    #[db_op(get, cf, system = "rocksdb")]
    fn get(cf: &str) -> Option<u8> {
        panic!("no {cf}")
    }
    let spans = spans_of(|| std::panic::catch_unwind(|| get("a")).expect_err("it panics"));
    assert_span!(spans, "get a", error: true, "error.type" = "panic");
}

#[test]
fn every_receiver_generic_and_qualifier_is_kept() {
    trait Named {
        fn name(&self) -> &str;
    }
    impl Named for &str {
        fn name(&self) -> &str {
            self
        }
    }
    struct Store<'a, T, const N: usize>(&'a [T; N]);
    impl<'a, T: Clone, const N: usize> Store<'a, T, N> {
        #[db_op(get, collection = cf.name(), system = "rocksdb")]
        fn by_ref<'b, C>(&'b self, cf: C, at: usize) -> Option<&'b T>
        where
            C: Named + 'b,
        {
            self.0.get(at)
        }
        #[db_op(get, "by_mut", system = "rocksdb")]
        fn by_mut(&mut self) -> &mut Self {
            self
        }
        #[db_op(get, "by_box", system = "rocksdb")]
        fn by_box(self: Box<Self>) -> &'a [T; N] {
            self.0
        }
        #[db_op(get, "by_value", system = "rocksdb")]
        fn by_value(mut self, other: &'a [T; N]) -> Option<T> {
            self.0 = other;
            self.0.first().cloned()
        }
        #[db_op(get, "unsafely", system = "rocksdb")]
        unsafe fn unsafely(&self, at: usize) -> Option<&T> {
            // SAFETY: the caller guarantees that the index is in bounds.
            Some(unsafe { self.0.get_unchecked(at) })
        }
        #[db_op(get, "from_c", system = "rocksdb")]
        extern "C" fn from_c(at: u32) -> u32 {
            at
        }
        #[db_op(scan, cf, system = "rocksdb")]
        fn opaque(
            &self,
            cf: impl AsRef<str>,
            (from, _): (usize, usize),
        ) -> impl Iterator<Item = &T> {
            self.0.iter().skip(from)
        }
        #[db_op(scan, "tried", system = "rocksdb")]
        fn tried(&self, at: &str) -> Result<impl Iterator<Item = &T>, Box<dyn Error>> {
            let at: usize = at.parse()?;
            Ok(self.0.iter().skip(at))
        }
    }
    let rows = [1, 2, 3];
    let spans = spans_of(|| {
        let mut store = Store(&rows);
        assert_eq!(store.by_ref("by_ref", 1), Some(&2));
        store.by_mut();
        // SAFETY: the slice has three elements.
        assert_eq!(unsafe { store.unsafely(1) }, Some(&2));
        assert_eq!(Store::<u8, 1>::from_c(1), 1);
        assert_eq!(store.opaque(String::from("opaque"), (1, 0)).count(), 2);
        assert_eq!(store.tried("2").expect("a number").count(), 1);
        Box::new(Store(&rows)).by_box();
        store.by_value(&rows)
    });
    assert_eq!(
        spans.names(),
        [
            "get by_ref",
            "get by_mut",
            "get unsafely",
            "get from_c",
            "scan opaque",
            "scan tried",
            "get by_box",
            "get by_value",
        ]
    );
    assert_span!(spans, "get by_ref", "db.response.returned_rows" = 1);
    assert_span!(spans, "scan opaque", "db.response.returned_rows" = ABSENT);
}

#[test]
fn recursion_nests() {
    #[db_op(get, "tree", system = "rocksdb")]
    fn depth(left: usize) -> usize {
        if left == 0 { 0 } else { 1 + depth(left - 1) }
    }
    spans_of(|| assert_eq!(depth(2), 2)).assert_tree(
        "
        get tree [client]
          get tree [client]
            get tree [client]
        ",
    );
}

#[test]
fn mutable_and_destructured_arguments_are_kept() {
    struct Key {
        cf: String,
        id: u64,
    }
    #[db_op(get, cf, fields(app.id = id), system = "rocksdb")]
    fn get(Key { cf, id }: Key, mut sum: u64) -> u64 {
        sum += id;
        drop(cf);
        sum
    }
    let spans = spans_of(|| {
        assert_eq!(
            get(
                Key {
                    cf: "users".into(),
                    id: 4
                },
                1
            ),
            5
        );
    });
    assert_span!(
        spans,
        "get users",
        "app.id" = 4,
        "db.response.returned_rows" = ABSENT
    );
}

#[test]
fn the_values_of_a_call_are_dropped_inside_it() {
    struct Guard;
    impl Drop for Guard {
        #[db_op(delete, "guard", system = "rocksdb")]
        fn drop(&mut self) {}
    }
    #[db_op(get, "local", system = "rocksdb")]
    fn local() -> u8 {
        let _guard = Guard;
        1
    }
    #[db_op(get, "moved", system = "rocksdb")]
    fn moved(guard: Guard) {
        let _ = &guard;
    }
    spans_of(|| {
        local();
        moved(Guard);
    })
    .assert_tree(
        "
        get local [client]
          delete guard [client]
        get moved [client]
          delete guard [client]
        ",
    );
}

#[test]
fn a_generic_value_is_read_only_through_its_bounds() {
    use percolate_otel::{ErrorType, Rows};
    #[db_op(scan, "known", system = "rocksdb")]
    fn known<T: Rows, E: ErrorType>(value: Result<T, E>) -> Result<T, E> {
        value
    }
    #[db_op(scan, "unknown", system = "rocksdb")]
    fn unknown<T, E>(value: Result<T, E>) -> Result<T, E> {
        value
    }
    let spans = spans_of(|| {
        let _ = known::<_, io::Error>(Ok(vec![1, 2]));
        let _ = unknown::<_, io::Error>(Ok(vec![1, 2]));
    });
    assert_span!(spans, "scan known", "db.response.returned_rows" = 2);
    assert_span!(spans, "scan unknown", "db.response.returned_rows" = ABSENT);
}

#[test]
fn an_annotated_function_may_contain_another() {
    #[db_op(query, "outer", system = "rocksdb")]
    fn outer() -> usize {
        #[db_op(get, "inner", fields(app.of = "inner"), system = "rocksdb")]
        fn inner() -> usize {
            record!(app.depth = 2);
            2
        }
        let depth = inner();
        record!(app.depth = depth - 1);
        depth
    }
    let spans = spans_of(|| assert_eq!(outer(), 2));
    assert_span!(spans, "query outer", "app.depth" = 1, "app.of" = ABSENT);
    assert_span!(spans, "get inner", "app.depth" = 2, "app.of" = "inner", parent: "query outer");
}

#[test]
fn a_function_from_a_macro_can_be_annotated() {
    macro_rules! getter {
        ($vis:vis $name:ident($cf:ident: $from:ty) -> $to:ty, $namespace:literal, $rows:expr, $body:block) => {
            #[db_op(get, $cf, namespace = $namespace, rows = $rows, system = "rocksdb")]
            $vis fn $name($cf: $from) -> $to $body
        };
    }
    getter!(pub(crate) get(cf: &str) -> Option<u8>, "made", 7, { cf.bytes().next() });
    let spans = spans_of(|| get("a"));
    assert_span!(
        spans,
        "get a",
        "db.namespace" = "made",
        "db.response.returned_rows" = 7
    );
}

// ---- the keys ----

#[test]
fn closures_read_the_value_of_a_success() {
    #[db_op(multi_get, cf, rows = |out| out.iter().flatten().count(), system = "rocksdb")]
    fn multi_get(cf: &str) -> Result<Vec<Option<u8>>, StoreError> {
        Ok(vec![Some(1), None, Some(3)])
    }
    #[db_op(delete, cf, rows = none, affected_rows = |out| *out, system = "rocksdb")]
    fn delete(cf: &str) -> u64 {
        2
    }
    let spans = spans_of(|| (multi_get("a"), delete("b")));
    assert_span!(spans, "multi_get a", "db.response.returned_rows" = 2);
    assert_span!(
        spans,
        "delete b",
        "db.response.affected_rows" = 2,
        "db.response.returned_rows" = ABSENT
    );
}

#[test]
fn a_parent_that_is_an_expression_is_decided_at_each_call() {
    #[background_job("cache.warm", target, parent = parent)]
    fn of_parameter(target: &str, parent: Parent) {}

    struct Queue {
        waits: bool,
    }
    impl Queue {
        fn parent(&self) -> Parent {
            if self.waits {
                Parent::Child
            } else {
                Parent::Link
            }
        }

        #[background_job("cache.fill", "all", parent = self.parent())]
        async fn of_method(&self) {}
    }

    #[db_op(put, cf, system = "rocksdb")]
    fn put(cf: &str) {
        of_parameter("child", Parent::Child);
        of_parameter("link", Parent::Link);
        of_parameter("root", Parent::Root);
        for waits in [true, false] {
            let ready = Queue { waits }.of_method().now_or_never();
            ready.expect("the job does not wait");
        }
    }
    let spans = spans_of(|| put("a"));
    spans.assert_tree(
        "
        put a [client]
          cache.warm child [internal]
          cache.fill all [internal]
        cache.warm link [internal]
          ~ link to put a
        cache.warm root [internal]
        cache.fill all [internal]
          ~ link to put a
        ",
    );
}

#[test]
fn the_other_keys_of_an_operation_take_effect() {
    #[db_op(
        "range_delete",
        collection = "cf",
        name = "drop a range",
        system = "redb",
        kind = internal,
        level = "debug",
        slow = "5ms",
        parent = root,
        error_type = |_| "Refused",
        leaf,
    )]
    fn range_delete() -> Result<(), String> {
        Err("row 7".into())
    }
    #[db_op(query, collection = none, query_text = sql, query_summary = "SELECT users", metrics = off, system = "rocksdb")]
    fn query(sql: &str) {
        let _ = range_delete();
    }
    // A custom name differs from the name in the conventions.
    let conventions = ConventionLayer::builder()
        .ignore(Rule::SpanNameMismatch)
        .build();
    let capture = Capture::builder().conventions(conventions).build();
    capture.run(|| query("SELECT * FROM users WHERE id = ?"));
    let spans = capture.spans();
    assert_span!(spans, "drop a range", kind: Internal, root: true, error: true, "db.system.name" = "redb",
        "db.operation.name" = "range_delete", "error.type" = "Refused");
    assert_span!(
        spans,
        "SELECT users",
        "db.query.text" = "SELECT * FROM users WHERE id = ?",
        "db.query.summary" = "SELECT users"
    );
    let metrics = capture.metrics();
    assert_eq!(
        metrics.count(
            "db.client.operation.duration",
            &[("db.operation.name", "range_delete")]
        ),
        1
    );
    assert_eq!(
        metrics.count(
            "db.client.operation.duration",
            &[("db.operation.name", "query")]
        ),
        0
    );
}

#[test]
fn record_adds_an_attribute_that_the_annotation_declares() {
    #[db_op(get, cf, fields(app.tenant = "t"), system = "rocksdb")]
    fn get(cf: &str) -> Option<u8> {
        record!(app.cached = true);
        let found = cf.len();
        let seen = || percolate_otel::record!(app.found = found, app.tenant = "u");
        seen();
        None
    }
    let spans = spans_of(|| get("users"));
    assert_span!(
        spans,
        "get users",
        "app.cached" = true,
        "app.found" = 5,
        "app.tenant" = "u"
    );
}

#[test]
fn the_defaults_of_a_block_apply_to_its_methods() {
    struct Store;
    #[db_ops(namespace = self.namespace(), system = "redb", error_type = |_| "Bad")]
    impl Store {
        fn namespace(&self) -> &'static str {
            "demo"
        }
        #[db_op(get, cf)]
        fn get(&self, cf: &str) -> Result<(), ()> {
            Err(())
        }
        #[db_op(put, cf, namespace = none, system = "sled",)]
        fn put(&self, cf: &str) {}
    }
    let spans = spans_of(|| {
        Store.put("a");
        Store.get("a")
    });
    assert_span!(
        spans,
        "get a",
        "db.namespace" = "demo",
        "db.system.name" = "redb",
        "error.type" = "Bad"
    );
    assert_span!(
        spans,
        "put a",
        "db.namespace" = ABSENT,
        "db.system.name" = "sled"
    );
}

// ---- async ----

#[test]
fn an_async_function_covers_its_awaits() {
    #[db_op(get, "inner", system = "rocksdb")]
    async fn inner() -> Option<u8> {
        tokio::task::yield_now().await;
        None
    }
    #[db_op(query, cf, system = "rocksdb")]
    async fn outer(cf: &str) -> Result<Option<u8>, Box<dyn Error + Send + Sync>> {
        tokio::task::yield_now().await;
        if cf.is_empty() {
            return Ok(None);
        }
        let _: u8 = "3".parse()?;
        Ok(inner().await)
    }
    let spans = spans_of_async(outer("users"));
    spans.assert_tree(
        "
        query users [client]
          get inner [client]
        ",
    );
    assert_span!(spans, "query users", "db.response.returned_rows" = 0);
}

#[test]
fn a_dropped_future_is_cancelled() {
    #[db_op(get, "never", system = "rocksdb")]
    async fn never() {
        std::future::pending::<()>().await;
    }
    let spans = spans_of(|| assert!(never().now_or_never().is_none()));
    assert_span!(spans, "get never", error: true, "error.type" = "cancelled");
}

#[test]
fn a_future_stays_send_and_its_arguments_may_be_consumed() {
    struct Store(Vec<u8>);
    impl Store {
        #[db_op(batch_write, collection = cf, batch_size = values.len(), affected_rows = |written| *written, system = "rocksdb")]
        async fn put(&mut self, cf: String, values: Vec<u8>) -> Result<usize, io::Error> {
            drop(cf);
            tokio::task::yield_now().await;
            let written = values.len();
            self.0 = values;
            Ok(written)
        }
    }
    fn send<F: Future + Send>(future: F) -> F {
        future
    }
    let spans = spans_of_async(async { send(Store(vec![]).put("a".into(), vec![1, 2])).await });
    assert_span!(
        spans,
        "batch_write a",
        "db.operation.batch.size" = 2,
        "db.response.affected_rows" = 2
    );
}

#[test]
fn a_function_that_returns_a_future_is_covered_to_its_end() {
    #[db_op(get, cf, system = "rocksdb")]
    fn opaque(cf: &str) -> impl Future<Output = Option<u8>> + Send + use<> {
        let found = (!cf.is_empty()).then_some(1);
        async move {
            tokio::task::yield_now().await;
            found
        }
    }
    #[db_op(get, cf, system = "rocksdb")]
    fn boxed<'a>(
        cf: &'a str,
        fail: bool,
    ) -> Pin<Box<dyn Future<Output = Result<&'a str, StoreError>> + Send + 'a>> {
        if fail {
            return Box::pin(async { Err(StoreError::Missing) });
        }
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(cf)
        })
    }
    let spans = spans_of_async(async {
        opaque("a").await;
        let _ = boxed("b", false).await;
        let _ = boxed("c", true).await;
    });
    assert_span!(spans, "get a", "db.response.returned_rows" = 1);
    assert_span!(spans, "get b", error: false, "db.response.returned_rows" = ABSENT);
    assert_span!(spans, "get c", error: true);
}

#[test]
fn async_traits_of_both_kinds_are_covered() {
    #[async_trait::async_trait]
    trait Boxed {
        async fn get(&self, cf: &str) -> Result<Option<u8>, StoreError>;
        #[db_op(put, cf, system = "rocksdb")]
        async fn put(&self, cf: &str) {
            let _ = self.get("inner").await;
        }
    }
    trait Native {
        fn get(&self, cf: &str) -> impl Future<Output = Option<u8>> + Send;
    }
    struct Store;
    #[async_trait::async_trait]
    #[db_ops(system = "sled")]
    impl Boxed for Store {
        #[db_op(get, cf)]
        async fn get(&self, cf: &str) -> Result<Option<u8>, StoreError> {
            tokio::task::yield_now().await;
            Ok(Some(1))
        }
    }
    #[db_ops(system = "redb")]
    #[async_trait::async_trait]
    impl Boxed for u8 {
        #[db_op(get, cf)]
        async fn get(&self, cf: &str) -> Result<Option<u8>, StoreError> {
            Err(StoreError::Missing)
        }
    }
    impl Native for Store {
        #[db_op(get, cf, system = "rocksdb")]
        async fn get(&self, cf: &str) -> Option<u8> {
            None
        }
    }
    let spans = spans_of_async(async {
        Boxed::put(&Store, "outer").await;
        let _ = Boxed::get(&3, "failed").await;
        Native::get(&Store, "native").await;
    });
    spans.assert_tree_with(
        &["db.system.name", "db.response.returned_rows"],
        r#"
        put outer [client]
          | db.system.name = "rocksdb"
          get inner [client]
            | db.response.returned_rows = 1
            | db.system.name = "sled"
        get failed [client, error]
          | db.system.name = "redb"
        get native [client]
          | db.response.returned_rows = 0
          | db.system.name = "rocksdb"
        "#,
    );
}

#[test]
fn a_panic_in_a_future_ends_the_call_and_continues() {
    #[db_op(get, "a", system = "rocksdb")]
    async fn get() -> Option<u8> {
        tokio::task::yield_now().await;
        panic!("no value")
    }
    let spans = spans_of_async(std::panic::AssertUnwindSafe(get()).catch_unwind());
    assert_span!(spans, "get a", error: true, "error.type" = "panic");
}

#[test]
fn calls_that_are_awaited_together_do_not_mix() {
    #[db_op(get, "row", system = "rocksdb")]
    async fn row() {
        tokio::task::yield_now().await;
    }
    #[db_op(query, cf, system = "rocksdb")]
    async fn query(cf: &str) {
        tokio::task::yield_now().await;
        row().await;
        row().await;
    }
    let spans = spans_of_async(async { futures_util::join!(query("a"), query("b")) });
    spans.assert_tree(
        "
        query a [client]
          get row [client]
          get row [client]
        query b [client]
          get row [client]
          get row [client]
        ",
    );
}

#[test]
fn a_future_may_move_between_threads() {
    #[db_op(get, cf, system = "rocksdb")]
    async fn get(cf: String) -> usize {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        cf.len()
    }
    let capture = Capture::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let tasks = (0..6).map(|_| tokio::spawn(capture.instrument(get("a".into()))));
        assert_eq!(futures_util::future::join_all(tasks).await.len(), 6);
    });
    assert_eq!(capture.spans().all("get a").len(), 6);
}

#[test]
fn spans_of_others_nest_in_both_directions() {
    use tracing::Instrument as _;
    #[db_op(get, cf, system = "rocksdb")]
    async fn get(cf: &str) {
        async { tokio::task::yield_now().await }
            .instrument(tracing::info_span!("inside"))
            .await;
    }
    let spans = spans_of_async(async { get("a").instrument(tracing::info_span!("request")).await });
    spans.assert_tree(
        "
        request [internal]
          get a [client]
            inside [internal]
        ",
    );
}

// ---- rows that are read later ----

fn rows() -> Vec<Result<Row, StoreError>> {
    let row = |name: &str| Ok((name.to_owned(), vec![]));
    vec![row("a"), row("b"), Err(StoreError::Missing), row("c")]
}

#[test]
fn an_iterator_ends_its_call_when_it_is_exhausted_or_dropped() {
    #[db_op(scan, cf, rows = stream, system = "rocksdb")]
    fn scan<'a>(
        cf: &str,
        rows: &'a [u8],
    ) -> impl DoubleEndedIterator<Item = &'a u8> + ExactSizeIterator + use<'a> {
        rows.iter()
    }
    let capture = Capture::new();
    capture.run(|| {
        let mut all = scan("all", &[1, 2, 3]);
        assert_eq!((all.len(), all.next_back()), (3, Some(&3)));
        assert_eq!(capture.spans().len(), 0);
        assert_eq!(all.by_ref().count(), 2);
        assert_eq!(capture.spans().len(), 1);
        assert_eq!(all.next(), None);
        assert_eq!(scan("some", &[1, 2, 3]).next(), Some(&1));
    });
    let spans = capture.spans();
    assert_span!(spans, "scan all", error: false, "db.response.returned_rows" = 3);
    assert_span!(spans, "scan some", error: false, "db.response.returned_rows" = 1);
}

#[test]
fn an_error_as_an_item_or_as_the_result_fails_the_call() {
    #[db_op(scan, cf, rows = stream, error_type = |_| "Missing", system = "rocksdb")]
    fn scan(cf: &str) -> Result<Box<dyn Iterator<Item = Result<Row, StoreError>>>, StoreError> {
        if cf == "none" {
            return Err(StoreError::Missing);
        }
        Ok(Box::new(rows().into_iter()))
    }
    let spans = spans_of(|| {
        assert_eq!(scan("items").expect("an iterator").flatten().count(), 3);
        assert!(scan("none").is_err());
    });
    assert_span!(spans, "scan items", error: true, "db.response.returned_rows" = 3, "error.type" = "Missing");
    assert_span!(spans, "scan none", error: true, "db.response.returned_rows" = ABSENT);
}

#[test]
fn calls_while_a_row_is_read_are_children() {
    #[db_op(get, "row", system = "rocksdb")]
    fn get() {}
    #[db_op(scan, "lazy", rows = stream, system = "rocksdb")]
    fn scan() -> impl Iterator<Item = ()> {
        (0..2).map(|_| get())
    }
    #[db_op(query, "between", system = "rocksdb")]
    fn between() {}
    spans_of(|| scan().for_each(|()| between())).assert_tree(
        "
        scan lazy [client]
          get row [client]
          get row [client]
        query between [client]
        query between [client]
        ",
    );
}

#[test]
fn a_stream_is_counted_in_a_box_or_a_result() {
    #[db_op(scan, "opaque", rows = stream, system = "rocksdb")]
    fn opaque() -> impl Stream<Item = u8> {
        stream::iter([1, 2])
    }
    #[db_op(scan, "boxed", rows = stream, system = "rocksdb")]
    fn boxed<'a>() -> Pin<Box<dyn Stream<Item = Result<Row, StoreError>> + Send + 'a>> {
        stream::iter(rows()).boxed()
    }
    #[db_op(scan, "later", rows = stream, system = "rocksdb")]
    async fn later() -> Result<impl Stream<Item = u8>, StoreError> {
        tokio::task::yield_now().await;
        Ok(stream::iter([1]))
    }
    #[async_trait::async_trait]
    trait Scan {
        async fn scan(&self) -> stream::BoxStream<'static, u8>;
    }
    #[async_trait::async_trait]
    impl Scan for () {
        #[db_op(scan, "trait", rows = stream, system = "rocksdb")]
        async fn scan(&self) -> stream::BoxStream<'static, u8> {
            stream::iter([1, 2, 3]).boxed()
        }
    }
    let spans = spans_of_async(async {
        opaque().collect::<Vec<_>>().await;
        boxed().collect::<Vec<_>>().await;
        later().await.expect("a stream").collect::<Vec<_>>().await;
        ().scan().await.next().await;
    });
    assert_span!(spans, "scan opaque", "db.response.returned_rows" = 2);
    assert_span!(spans, "scan boxed", error: true, "db.response.returned_rows" = 3);
    assert_span!(spans, "scan later", "db.response.returned_rows" = 1);
    assert_span!(spans, "scan trait", error: false, "db.response.returned_rows" = 1);
}

#[test]
fn a_panic_while_a_row_is_read_ends_the_call_as_a_panic() {
    #[db_op(scan, "torn", rows = stream, system = "rocksdb")]
    fn scan() -> impl Iterator<Item = u8> {
        (0..3).inspect(|row| assert!(*row < 1, "torn"))
    }
    let spans =
        spans_of(|| std::panic::catch_unwind(|| scan().count()).expect_err("the second row"));
    assert_span!(spans, "scan torn", error: true, "error.type" = "panic");
}

// ---- jobs ----

#[test]
fn a_dropped_job_is_cancelled_and_not_failed() {
    #[background_job(wal.flush, target = "wal")]
    async fn flush() {
        std::future::pending::<()>().await;
    }
    let spans = spans_of(|| assert!(flush().now_or_never().is_none()));
    assert_span!(spans, "wal.flush wal", error: false, "job.status" = "cancelled", "error.type" = ABSENT);
}

#[test]
fn a_job_that_stops_early_is_cancelled_and_not_failed() {
    struct Stopped;
    impl JobOutcome for Stopped {
        fn job_status(&self) -> JobStatus {
            JobStatus::Cancelled
        }
    }
    #[background_job(index.build, "graph")]
    fn build() -> Result<Stopped, StoreError> {
        Ok(Stopped)
    }
    let capture = Capture::new();
    capture.run(|| build().is_ok());
    assert_eq!(capture.spans().all("index.build graph").len(), 1);
    for span in capture.spans().iter() {
        assert_eq!(
            span.attribute("job.status")
                .map(ToString::to_string)
                .as_deref(),
            Some("cancelled")
        );
        assert!(!span.is_error() && span.attribute("error.type").is_none());
    }
    let cancelled = [("job.type", "index.build"), ("job.status", "cancelled")];
    assert_eq!(capture.metrics().count("job.duration", &cancelled), 1);
}

#[test]
fn a_job_is_named_by_its_type_and_target() {
    struct Report(usize);
    impl JobOutcome for Report {
        fn job_status(&self) -> JobStatus {
            if self.0 > 0 {
                JobStatus::Partial
            } else {
                JobStatus::Success
            }
        }
    }
    #[background_job(index.field.rebuild, schema)]
    fn rebuild(schema: &str, refused: usize) -> Result<Report, StoreError> {
        Ok(Report(refused))
    }
    #[background_job(index.build, target = "hnsw", batch_size = |n| *n)]
    async fn build() -> Result<usize, StoreError> {
        Ok(12)
    }
    #[background_job("report.render")]
    fn render() -> Result<(), io::Error> {
        Err(io::ErrorKind::TimedOut.into())
    }
    let spans = spans_of(|| {
        assert!(rebuild("users", 0).is_ok());
        assert!(rebuild("posts", 2).is_ok());
        build().now_or_never();
        render()
    });
    assert_span!(spans, "index.field.rebuild users", kind: Internal, root: true, error: false,
        "job.type" = "index.field.rebuild", "job.target" = "users", "job.status" = "success");
    assert_span!(spans, "index.field.rebuild posts", error: false, "job.status" = "partial");
    let build = assert_span!(spans, "index.build hnsw", "job.batch_size" = 12);
    assert!(matches!(
        build.attribute("job.duration_ms"),
        Some(Value::I64(0..))
    ));
    assert_span!(spans, "report.render", error: true, "error.type" = "TimedOut", "job.status" = "failed",
        "job.target" = ABSENT);
}

#[test]
fn every_call_is_measured() {
    #[db_op(get, cf, system = "rocksdb")]
    fn get(cf: &str) -> BTreeMap<u8, u8> {
        BTreeMap::new()
    }
    #[background_job(wal.flush, "wal")]
    fn flush() {}
    let capture = Capture::new();
    capture.run(|| {
        get("a");
        get("a");
        flush();
    });
    let metrics = capture.metrics();
    assert_eq!(
        metrics.count(
            "db.client.operation.duration",
            &[("db.collection.name", "a")]
        ),
        2
    );
    assert_eq!(
        metrics.count(
            "job.duration",
            &[("job.type", "wal.flush"), ("job.status", "success")]
        ),
        1
    );
}

#[test]
fn the_type_of_a_job_can_be_decided_at_run_time() {
    #[background_job("queue.run", type = kind, target = none)]
    fn run(kind: &str) -> Result<(), StoreError> {
        kind.is_empty().then_some(()).ok_or(StoreError::Missing)
    }
    let capture = Capture::new();
    capture.run(|| {
        run("report.render").expect_err("it fails");
        run("").expect("it succeeds");
    });
    let spans = capture.spans();
    assert_span!(spans, "report.render", error: true, "job.type" = "report.render");
    assert_span!(spans, "queue.run", "job.type" = "queue.run");
    let metrics = capture.metrics();
    let of = |kind| metrics.count("job.duration", &[("job.type", kind)]);
    assert_eq!((of("report.render"), of("queue.run")), (1, 1));
    let active = metrics.metric("job.active");
    assert_eq!(active.points().len(), 2, "{active:?}");
}

// ---- values, and where they are recorded ----

#[test]
fn names_that_are_empty_are_left_out() {
    #[db_op(scan, cf, namespace = cf, server_address = cf, system = "rocksdb")]
    fn scan(cf: &str) {}
    #[background_job(index.build, target)]
    fn build(target: &str) {}
    // An empty collection is left out, and reported as missing.
    let conventions = ConventionLayer::builder()
        .ignore(Rule::ConditionallyRequiredAttributeNotPresent)
        .build();
    let capture = Capture::builder().conventions(conventions).build();
    capture.run(|| {
        scan("");
        build("");
    });
    let spans = capture.spans();
    assert_span!(
        spans,
        "scan",
        "db.collection.name" = ABSENT,
        "db.namespace" = ABSENT,
        "server.address" = ABSENT
    );
    assert_span!(spans, "index.build", "job.target" = ABSENT);
}

#[test]
fn an_integer_beyond_64_bits_with_a_sign_is_a_decimal_string() {
    #[db_op(get, "a", fields(app.hash = u64::MAX, app.size = 7_u64, app.wide = -1_i128), system = "rocksdb")]
    fn get() {
        record!(app.other = u64::MAX - 1, app.id = u128::MAX);
    }
    let spans = spans_of(get);
    assert_span!(
        spans,
        "get a",
        "app.hash" = "18446744073709551615",
        "app.size" = 7,
        "app.wide" = -1,
        "app.other" = "18446744073709551614",
        "app.id" = "340282366920938463463374607431768211455"
    );
}

#[test]
fn an_optional_result_that_failed_is_a_failure() {
    #[db_op(get, cf, system = "rocksdb")]
    fn next(cf: &str, row: Option<Result<u8, StoreError>>) -> Option<Result<u8, StoreError>> {
        row
    }
    let spans = spans_of(|| {
        next("some", Some(Ok(1)));
        next("end", None);
        next("failed", Some(Err(StoreError::Missing)));
    });
    assert_span!(spans, "get some", error: false, "db.response.returned_rows" = 1);
    assert_span!(spans, "get end", error: false, "db.response.returned_rows" = 0);
    assert_span!(spans, "get failed", error: true, "error.type" = "shapes::StoreError",
        "db.response.returned_rows" = ABSENT);
}

#[test]
fn a_batch_of_one_operation_has_no_size() {
    #[db_op(batch_write, cf, batch_size = size, system = "rocksdb")]
    fn write(cf: &str, size: usize) {}
    #[db_op(batch_write, cf, batch_size = |size| *size, system = "rocksdb")]
    fn counted(cf: &str, size: usize) -> usize {
        size
    }
    #[background_job(index.build, target, batch_size = size)]
    fn build(target: &str, size: usize) {}
    let spans = spans_of(|| {
        for (cf, size) in [("none", 0), ("one", 1), ("two", 2)] {
            write(cf, size);
        }
        counted("counted", 1);
        build("one", 1);
    });
    assert_span!(spans, "batch_write none", "db.operation.batch.size" = 0);
    assert_span!(spans, "batch_write one", "db.operation.batch.size" = ABSENT);
    assert_span!(spans, "batch_write two", "db.operation.batch.size" = 2);
    assert_span!(
        spans,
        "batch_write counted",
        "db.operation.batch.size" = ABSENT
    );
    assert_span!(spans, "index.build one", "job.batch_size" = 1);
}

// ---- panics ----

/// Runs its function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn panics(body: impl FnOnce()) {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    assert!(caught.is_err());
}

#[db_op(scan, cf, rows = stream, system = "rocksdb")]
fn scan_rows(cf: &str, panics_at: usize) -> impl Iterator<Item = usize> + use<> {
    (0..5).inspect(move |row| assert!(*row != panics_at, "a broken row"))
}

#[test]
fn only_a_panic_inside_a_call_is_its_error() {
    let spans = spans_of(|| {
        panics(|| {
            let mut rows = scan_rows("its own", 2);
            rows.by_ref().for_each(drop);
        });
        panics(|| {
            let mut rows = scan_rows("of its reader", 9);
            rows.next();
            panic!("the reader");
        });
        panics(|| {
            let _cleanup = OnDrop(|| {
                let mut rows = scan_rows("in a destructor", 9);
                rows.next();
                rows.next();
            });
            panic!("another");
        });
        panics(|| {
            let mut future = Box::pin(wait("of its caller"));
            assert!(future.as_mut().now_or_never().is_none());
            panic!("the caller");
        });
        panics(|| {
            let _cleanup = OnDrop(|| drop(wait("in a destructor")));
            panic!("another");
        });
    });
    assert_span!(spans, "scan its own", error: true, "error.type" = "panic",
        "db.response.returned_rows" = ABSENT);
    assert_span!(spans, "scan of its reader", error: false, "db.response.returned_rows" = 1);
    assert_span!(spans, "scan in a destructor", error: false, "db.response.returned_rows" = 2);
    assert_span!(spans, "get of its caller", error: true, "error.type" = "cancelled");
}

#[db_op(get, cf, system = "rocksdb")]
async fn wait(cf: &str) {
    std::future::pending::<()>().await;
}

#[test]
fn annotated_functions_return_what_is_unwind_safe() {
    fn unwind_safe<T: std::panic::UnwindSafe>(value: T) -> T {
        value
    }
    #[db_op(get, "a", system = "rocksdb")]
    async fn get() -> u8 {
        1
    }
    #[db_op(scan, "a", rows = stream, system = "rocksdb")]
    fn scan() -> impl Iterator<Item = u8> {
        0..3_u8
    }
    assert_eq!(unwind_safe(get()).now_or_never(), Some(1));
    assert_eq!(unwind_safe(scan()).count(), 3);
}

#[test]
fn a_function_that_tracks_its_caller_still_does() {
    #[track_caller]
    #[db_op(get, "a", system = "rocksdb")]
    fn location() -> u32 {
        let caller = std::panic::Location::caller();
        caller.line()
    }
    let spans = spans_of(|| assert_eq!(location(), line!()));
    assert_span!(spans, "get a", error: false);
}

// ---- macros ----

macro_rules! engine {
    ($get:literal, $system:literal, $name:expr, $level:literal, $slow:literal, $rows:expr, $cf:expr) => {
        #[db_op($get, $cf, system = $system, name = $name, level = $level, slow = $slow, rows = $rows)]
        fn of_fragments() -> Vec<u8> {
            vec![1, 2]
        }
    };
}
engine!(
    "get",
    "kv",
    "get articles",
    "debug",
    "5ms",
    |rows| rows.len() + 1,
    "articles"
);

#[test]
fn fragments_of_macros_are_literals_and_closures() {
    let spans = spans_of(of_fragments);
    assert_span!(
        spans,
        "get articles",
        "db.system.name" = "kv",
        "db.operation.name" = "get",
        "db.collection.name" = "articles",
        "db.response.returned_rows" = 3
    );
}
