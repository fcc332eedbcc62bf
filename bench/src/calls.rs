//! One call, written with each of the compared libraries.
//!
//! All of them record the same data as far as they can: span `get articles`, kind client, system,
//! operation, collection, namespace and returned rows. None is inlined into the loop, so that each
//! setting includes one function call.

use opentelemetry::trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use percolate_core::db_op;

use crate::bodies::{Body, Failure};
use crate::settings;

/// What a `get` returns.
pub(crate) type Found = Option<Vec<u8>>;

/// A variant of the call of `get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Not instrumented.
    Bare,
    /// percolate's annotation.
    Percolate,
    /// percolate's annotation with `leaf`.
    PercolateLeaf,
    /// `#[tracing::instrument]`.
    Instrument,
    /// The OpenTelemetry API: a span with attributes.
    Sdk,
    /// The OpenTelemetry API: a current span, and a histogram.
    SdkFull,
    /// fastrace's local spans.
    #[cfg(feature = "fastrace")]
    Fastrace,
    /// `#[autometrics]`.
    #[cfg(feature = "autometrics")]
    Autometrics,
}

impl Way {
    /// The function to call for a `get`.
    pub(crate) fn get<B: Body<Out = Found>>(self) -> fn(&B, &str, usize) -> Result<Found, Failure> {
        match self {
            Self::Bare => bare,
            Self::Percolate => percolate_get,
            Self::PercolateLeaf => percolate_leaf,
            Self::Instrument => instrument,
            Self::Sdk => sdk,
            Self::SdkFull => sdk_full,
            #[cfg(feature = "fastrace")]
            Self::Fastrace => fastrace,
            #[cfg(feature = "autometrics")]
            Self::Autometrics => autometrics,
        }
    }
}

#[inline(never)]
pub(crate) fn bare<B: Body>(body: &B, _collection: &str, turn: usize) -> Result<B::Out, Failure> {
    body.run(turn)
}

const NAMESPACE: &str = "demo";

#[inline(never)]
#[db_op(get, collection, namespace = NAMESPACE)]
fn percolate_get<B: Body<Out = Found>>(
    body: &B,
    collection: &str,
    turn: usize,
) -> Result<Found, Failure> {
    body.run(turn)
}

#[inline(never)]
#[db_op(get, collection, namespace = NAMESPACE, leaf)]
fn percolate_leaf<B: Body<Out = Found>>(
    body: &B,
    collection: &str,
    turn: usize,
) -> Result<Found, Failure> {
    body.run(turn)
}

#[inline(never)]
#[tracing::instrument(
    name = "get",
    skip_all,
    fields(
        otel.name = %format_args!("get {collection}"),
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "get",
        db.collection.name = collection,
        db.namespace = NAMESPACE,
        db.response.returned_rows = tracing::field::Empty,
    )
)]
fn instrument<B: Body<Out = Found>>(
    body: &B,
    collection: &str,
    turn: usize,
) -> Result<Found, Failure> {
    let out = body.run(turn);
    if let Ok(found) = &out {
        tracing::Span::current().record("db.response.returned_rows", i64::from(found.is_some()));
    }
    out
}

fn attributes(collection: &str) -> [KeyValue; 4] {
    [
        KeyValue::new("db.system.name", "rocksdb"),
        KeyValue::new("db.operation.name", "get"),
        KeyValue::new("db.collection.name", collection.to_owned()),
        KeyValue::new("db.namespace", NAMESPACE),
    ]
}

#[inline(never)]
fn sdk<B: Body<Out = Found>>(body: &B, collection: &str, turn: usize) -> Result<Found, Failure> {
    let tracer = settings::tracer();
    let mut span = tracer
        .span_builder(format!("get {collection}"))
        .with_kind(SpanKind::Client)
        .with_attributes(attributes(collection))
        .start(tracer);
    let out = body.run(turn);
    if let Ok(found) = &out {
        span.set_attribute(KeyValue::new(
            "db.response.returned_rows",
            i64::from(found.is_some()),
        ));
    }
    span.end();
    out
}

#[inline(never)]
fn sdk_full<B: Body<Out = Found>>(
    body: &B,
    collection: &str,
    turn: usize,
) -> Result<Found, Failure> {
    let tracer = settings::tracer();
    let started = std::time::Instant::now();
    let span = tracer
        .span_builder(format!("get {collection}"))
        .with_kind(SpanKind::Client)
        .with_attributes(attributes(collection))
        .start(tracer);
    let context = Context::current_with_span(span);
    let current = context.clone().attach();
    let out = body.run(turn);
    drop(current);
    let span = context.span();
    if let Ok(found) = &out {
        span.set_attribute(KeyValue::new(
            "db.response.returned_rows",
            i64::from(found.is_some()),
        ));
    }
    span.end();
    settings::histogram().record(started.elapsed().as_secs_f64(), &attributes(collection));
    out
}

#[cfg(feature = "fastrace")]
#[inline(never)]
fn fastrace<B: Body<Out = Found>>(
    body: &B,
    collection: &str,
    turn: usize,
) -> Result<Found, Failure> {
    use ::fastrace::local::LocalSpan;

    let _span = LocalSpan::enter_with_local_parent("get").with_properties(|| {
        [
            ("db.system.name", "rocksdb".into()),
            ("db.operation.name", "get".into()),
            (
                "db.collection.name",
                std::borrow::Cow::Owned(collection.to_owned()),
            ),
            ("db.namespace", NAMESPACE.into()),
        ]
    });
    let out = body.run(turn);
    if let Ok(found) = &out {
        LocalSpan::add_property(|| {
            (
                "db.response.returned_rows",
                if found.is_some() { "1" } else { "0" },
            )
        });
    }
    out
}

#[cfg(feature = "autometrics")]
#[inline(never)]
#[::autometrics::autometrics]
fn autometrics<B: Body<Out = Found>>(
    body: &B,
    _collection: &str,
    turn: usize,
) -> Result<Found, Failure> {
    body.run(turn)
}

#[cfg(feature = "store")]
pub(crate) use of_the_store::{percolate_batch, percolate_put, percolate_scan};

#[cfg(feature = "store")]
mod of_the_store {
    use percolate_core::db_op;

    use super::{Body, Failure, NAMESPACE};
    use crate::bodies::ROWS;

    #[inline(never)]
    #[db_op(put, collection, namespace = NAMESPACE)]
    pub(crate) fn percolate_put<B: Body<Out = ()>>(
        body: &B,
        collection: &str,
        turn: usize,
    ) -> Result<(), Failure> {
        body.run(turn)
    }

    #[inline(never)]
    #[db_op(scan, collection, namespace = NAMESPACE, rows = |rows| *rows)]
    pub(crate) fn percolate_scan<B: Body<Out = usize>>(
        body: &B,
        collection: &str,
        turn: usize,
    ) -> Result<usize, Failure> {
        body.run(turn)
    }

    #[inline(never)]
    #[db_op(batch_write, collection, namespace = NAMESPACE, batch_size = ROWS, affected_rows = ROWS)]
    pub(crate) fn percolate_batch<B: Body<Out = ()>>(
        body: &B,
        collection: &str,
        turn: usize,
    ) -> Result<(), Failure> {
        body.run(turn)
    }
}
