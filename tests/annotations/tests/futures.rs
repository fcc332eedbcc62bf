//! Functions that return a future which they do not await: by type, boxed, behind an alias or an
//! associated type, and as a value.

use std::future::Future;
use std::num::ParseIntError;
use std::pin::Pin;
use std::time::Duration;

use percolate_otel::testing::{ABSENT, Capture, Spans};
use percolate_otel::{assert_span, background_job, db_op};

#[derive(Debug)]
struct StoreError(#[expect(dead_code, reason = "the cause of the error")] String);

impl From<ParseIntError> for StoreError {
    fn from(error: ParseIntError) -> Self {
        Self(error.to_string())
    }
}

fn spans_of(future: impl Future) -> Spans {
    let capture = Capture::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(capture.instrument(future));
    capture.spans()
}

#[db_op(get, "inner", system = "rocksdb")]
async fn inner() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

// Bodies that leave the types of their value to the signature.
mod inferred {
    use super::{Future, ParseIntError, Pin, StoreError, background_job, db_op};

    #[db_op(put, "ok", system = "rocksdb")]
    pub(super) fn ok() -> impl Future<Output = Result<(), StoreError>> {
        async move { Ok(()) }
    }

    #[db_op(get, "none", system = "rocksdb")]
    pub(super) fn none() -> impl Future<Output = Result<Option<u64>, StoreError>> + Send {
        async { Ok(None) }
    }

    #[db_op(get, "converted", system = "rocksdb")]
    pub(super) fn converted(text: &str) -> impl Future<Output = Result<u64, StoreError>> {
        let text = text.to_owned();
        async move {
            let value: u64 = text.parse()?;
            Ok(value)
        }
    }

    #[db_op(get, "parsed", system = "rocksdb")]
    pub(super) fn parsed(text: &'static str) -> impl Future<Output = Result<u64, ParseIntError>> {
        async move {
            let value = text.parse()?;
            Ok(value)
        }
    }

    #[db_op(scan, "collected", system = "rocksdb")]
    pub(super) fn collected() -> impl Future<Output = Vec<u8>> {
        async { (0..3).collect() }
    }

    #[db_op(get, "dyn", system = "rocksdb")]
    pub(super) fn dynamic() -> impl Future<Output = Result<u8, Box<dyn std::error::Error>>> {
        async { Err("no")? }
    }

    #[db_op(put, "boxed", system = "rocksdb")]
    pub(super) fn boxed() -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>> {
        Box::pin(async move { Ok(()) })
    }

    #[db_op(put, "boxed early", system = "rocksdb")]
    pub(super) fn early(now: bool) -> Pin<Box<dyn Future<Output = Result<u8, StoreError>> + Send>> {
        if now {
            return Box::pin(async { Ok(1) });
        }
        Box::pin(async move { Ok("2".parse()?) })
    }

    #[background_job(index.build, "job")]
    pub(super) fn job() -> impl Future<Output = Result<(), StoreError>> {
        async move {
            let _: u8 = "x".parse()?;
            Ok(())
        }
    }
}

#[test]
fn the_signature_of_a_returned_future_types_its_body() {
    let spans = spans_of(async {
        inferred::ok().await.expect("it succeeds");
        inferred::none().await.expect("it succeeds");
        inferred::converted("x").await.expect_err("not a number");
        inferred::parsed("7").await.expect("a number");
        inferred::collected().await;
        inferred::dynamic().await.expect_err("it fails");
        inferred::boxed().await.expect("it succeeds");
        inferred::early(false).await.expect("it succeeds");
        inferred::early(true).await.expect("it succeeds");
        inferred::job().await.expect_err("not a number");
    });
    assert_eq!(spans.len(), 10);
    assert_span!(spans, "put ok", error: false);
    assert_span!(spans, "get none", error: false, "db.response.returned_rows" = 0);
    assert_span!(spans, "get converted", error: true, "error.type" = "futures::StoreError");
    assert_span!(spans, "get parsed", error: false);
    assert_span!(spans, "scan collected", "db.response.returned_rows" = 1);
    assert_span!(spans, "get dyn", error: true, "error.type" = "_OTHER");
    assert_span!(spans, "put boxed", error: false);
    assert_span!(spans, "index.build job", error: true, "job.status" = "failed");
}

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

trait Service {
    type Future<'a>
    where
        Self: 'a;

    fn call<'a>(&'a self, name: &'a str) -> Self::Future<'a>;
}

struct Engine;

impl Service for Engine {
    type Future<'a> = Pending<'a, Result<Vec<u64>, StoreError>>;

    #[db_op(scan, name, rows = |rows| rows.len() + 1, system = "rocksdb")]
    fn call<'a>(&'a self, name: &'a str) -> Self::Future<'a> {
        Box::pin(async move {
            inner().await;
            Ok(vec![name.parse()?])
        })
    }
}

#[test]
fn a_boxed_future_behind_an_alias_ends_the_call_when_it_is_ready() {
    #[db_op(get, cf, system = "rocksdb")]
    fn get(cf: &str) -> Pending<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            inner().await;
            Ok(cf.parse()?)
        })
    }
    #[background_job(index.build, "local")]
    fn build<'a>() -> Local<'a, Result<(), StoreError>> {
        Box::pin(async { Ok("x".parse::<u8>().map(drop)?) })
    }
    #[db_op(get, "dropped", system = "rocksdb")]
    fn dropped() -> Pending<'static, ()> {
        Box::pin(inner())
    }
    let spans = spans_of(async {
        get("x").await.expect_err("not a number");
        build().await.expect_err("not a number");
        Engine.call("7").await.expect("a number");
        drop(dropped());
    });
    spans.assert_tree(
        "
        get x [client, error]
          get inner [client]
        index.build local [internal, error]
        scan 7 [client]
          get inner [client]
        get dropped [client, error]
        ",
    );
    let get = assert_span!(spans, "get x", "error.type" = "futures::StoreError");
    assert!(get.duration() >= Duration::from_millis(5), "{get:?}");
    assert_span!(spans, "scan 7", "db.response.returned_rows" = 2);
    assert_span!(spans, "get dropped", "error.type" = "cancelled");
}

#[test]
fn a_type_that_is_not_a_future_ends_the_call_at_once() {
    type Answer<T> = Result<Vec<T>, StoreError>;
    struct Page(Vec<u8>);
    impl percolate_otel::Rows for Page {
        fn rows(&self) -> Option<usize> {
            Some(self.0.len())
        }
    }
    #[db_op(scan, "alias", system = "rocksdb")]
    fn alias(ok: bool) -> Answer<u64> {
        if ok {
            Ok(vec![1, 2])
        } else {
            Err(StoreError(String::new()))
        }
    }
    #[db_op(scan, "own", rows = |page| page.0.len() + 1, fields(app.size = size), system = "rocksdb")]
    fn own(size: u8) -> Page {
        Page(vec![0; size.into()])
    }
    #[db_op(scan, "generic", system = "rocksdb")]
    fn generic<T>(value: T) -> T {
        value
    }
    #[db_op(scan, "opaque", system = "rocksdb")]
    fn opaque() -> impl std::fmt::Debug {
        [1_u64, 2, 3]
    }
    let spans = spans_of(async {
        alias(true).expect("it succeeds");
        alias(false).expect_err("it fails");
        assert_eq!(own(4).0.len(), 4);
        generic(Page(vec![1]));
        let _ = opaque();
    });
    spans.assert_tree(
        "
        scan alias [client]
        scan alias [client, error]
        scan own [client]
        scan generic [client]
        scan opaque [client]
        ",
    );
    assert_span!(
        spans,
        "scan own",
        "db.response.returned_rows" = 5,
        "app.size" = 4
    );
    assert_span!(spans, "scan generic", "db.response.returned_rows" = ABSENT);
}

#[test]
fn a_returned_future_can_be_a_value() {
    #[background_job(index.build, "spawned", future = returned)]
    fn spawn() -> tokio::task::JoinHandle<()> {
        tokio::spawn(async { tokio::time::sleep(Duration::from_mins(10)).await })
    }
    #[db_op(get, "opaque", future = returned, system = "rocksdb")]
    fn opaque() -> impl Future<Output = ()> {
        inner()
    }
    #[db_op(get, "boxed", future = returned, system = "rocksdb")]
    fn boxed() -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(inner())
    }
    let spans = spans_of(async {
        spawn().abort();
        drop(opaque());
        boxed().await;
    });
    spans.assert_tree(
        "
        index.build spawned [internal]
        get opaque [client]
        get boxed [client]
        get inner [client]
        ",
    );
}
