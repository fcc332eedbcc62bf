//! Shared by all set-ups: the work of an application, and its expected trace.

#![allow(dead_code, reason = "each of the tests uses some of it")]

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use percolate_library_test::renamed::count_words;
use percolate_library_test::{Store, StoreError, warm};

/// Keeps finished spans.
#[derive(Debug, Default, Clone)]
pub(crate) struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanProcessor for Kept {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().expect("no test panics here").push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Kept {
    /// Removes the finished spans, and returns them in the order of their start.
    pub(crate) fn take(&self) -> Vec<SpanData> {
        let mut spans = std::mem::take(&mut *self.0.lock().expect("no test panics here"));
        spans.sort_by_key(|span| span.start_time);
        spans
    }
}

/// The work of an application. Its results are the same with every set-up.
pub(crate) fn work() {
    let store = Store::new("catalogue");
    assert_eq!(
        store.get("poems", "if"),
        Err(StoreError::NoCollection("poems".to_owned()))
    );
    assert_eq!(
        store.put_all("novels", &[("emma", "1815"), ("dune", "1965")]),
        2
    );
    assert_eq!(warm(&store, "novels"), 2);
    let found = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("it starts")
        .block_on(store.get_all("novels", &["emma"]));
    assert_eq!(found, Ok(vec!["1815".to_owned()]));
    assert_eq!(count_words("novels", "it is a truth"), 4);
}

/// The trace of [`work`], as [`describe`] prints it.
pub(crate) const TRACE: &str = r#"get poems [client, error]
  db.collection.name = "poems"
  db.namespace = "catalogue"
  db.operation.name = "get"
  db.system.name = "kv"
  error.type = "NoCollection"
batch_write novels [client]
  db.collection.name = "novels"
  db.namespace = "catalogue"
  db.operation.batch.size = 2
  db.operation.name = "batch_write"
  db.response.affected_rows = 2
  db.system.name = "kv"
  kv.is_new = true
  kv.load = 0.5
  kv.written = 2
cache.warm novels [internal]
  job.batch_size = 2
  job.status = "success"
  job.target = "novels"
  job.type = "cache.warm"
  scan novels [client]
    db.collection.name = "novels"
    db.namespace = "catalogue"
    db.operation.name = "scan"
    db.response.returned_rows = 2
    db.system.name = "kv"
  get novels [client]
    db.collection.name = "novels"
    db.namespace = "catalogue"
    db.operation.name = "get"
    db.response.returned_rows = 1
    db.system.name = "kv"
  get novels [client]
    db.collection.name = "novels"
    db.namespace = "catalogue"
    db.operation.name = "get"
    db.response.returned_rows = 1
    db.system.name = "kv"
multi_get novels [client]
  db.collection.name = "novels"
  db.namespace = "catalogue"
  db.operation.name = "multi_get"
  db.response.returned_rows = 1
  db.system.name = "kv"
  get novels [client]
    db.collection.name = "novels"
    db.namespace = "catalogue"
    db.operation.name = "get"
    db.response.returned_rows = 1
    db.system.name = "kv"
search novels [client]
  db.collection.name = "novels"
  db.operation.name = "search"
  db.response.returned_rows = 4
  db.system.name = "kv"
"#;

/// Prints spans with their depth in the tree, kind, status and the attributes of the conventions
/// and the library.
pub(crate) fn describe(spans: &[SpanData]) -> String {
    let mut text = String::new();
    let ids: Vec<SpanId> = spans
        .iter()
        .map(|span| span.span_context.span_id())
        .collect();
    assert!(ids.iter().all(|id| *id != SpanId::INVALID));
    for span in spans {
        let mut depth = 0;
        let mut parent = span.parent_span_id;
        while parent != SpanId::INVALID {
            depth += 1;
            let found = spans
                .iter()
                .find(|other| other.span_context.span_id() == parent)
                .expect("the parent was exported");
            assert_eq!(found.span_context.trace_id(), span.span_context.trace_id());
            parent = found.parent_span_id;
        }
        let kind = match span.span_kind {
            SpanKind::Client => "client",
            SpanKind::Internal => "internal",
            _ => "other",
        };
        let status = match span.status {
            Status::Unset => "",
            Status::Ok => ", ok",
            Status::Error { .. } => ", error",
        };
        let indent = "  ".repeat(depth);
        writeln!(text, "{indent}{} [{kind}{status}]", span.name).expect("a string grows");
        let mut attributes: Vec<String> = span
            .attributes
            .iter()
            .filter(|it| {
                ["db.", "job.", "error.", "kv."]
                    .iter()
                    .any(|start| it.key.as_str().starts_with(start))
            })
            .filter(|it| it.key.as_str() != "job.duration_ms")
            .map(|it| format!("{} = {}", it.key, typed(&it.value)))
            .collect();
        attributes.sort();
        for attribute in attributes {
            writeln!(text, "{indent}  {attribute}").expect("a string grows");
        }
    }
    text
}

/// Checks that the exporter received no attribute twice.
pub(crate) fn assert_each_attribute_once(span: &SpanData) {
    let mut keys: Vec<&str> = span.attributes.iter().map(|it| it.key.as_str()).collect();
    keys.sort_unstable();
    let all = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), all, "{} has an attribute twice", span.name);
}

fn typed(value: &opentelemetry::Value) -> String {
    use opentelemetry::Value;
    match value {
        Value::Bool(value) => format!("{value}"),
        Value::I64(value) => format!("{value}"),
        Value::F64(value) => format!("{value:?}"),
        Value::String(value) => format!("{:?}", value.as_str()),
        other => format!("{other:?}"),
    }
}
