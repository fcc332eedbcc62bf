//! Where `tracing` events inside and outside annotated calls are exported.

use opentelemetry::Value;
use opentelemetry::trace::SpanId;
use opentelemetry_sdk::trace::SpanData;
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::testing::FinishedSpans;
use crate::{Environment, Telemetry, db_op};

#[db_op(get, "inner", leaf, system = "kv")]
fn leaf() {
    info!("in the leaf");
}

#[db_op(scan, "outer", system = "kv")]
fn scan() {
    info!(rows = 3_u64, cold = true, "in the scan");
    info_span!("decode").in_scope(|| info!("in the span inside"));
    leaf();
}

#[db_op(get, "later", system = "kv")]
async fn later() {
    info!("before");
    tokio::task::yield_now().await;
    info!("after");
}

fn spans(span_events: bool, work: impl FnOnce()) -> Vec<SpanData> {
    let finished = FinishedSpans::default();
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .span_events(span_events)
        .span_processor(finished.clone())
        .metrics([])
        .build()
        .expect("a pipeline");
    let subscriber = tracing_subscriber::registry().with(guard.layer());
    {
        let _entered = guard.enter();
        tracing::subscriber::with_default(subscriber, work);
    }
    guard
        .shutdown(std::time::Duration::from_secs(10))
        .expect("the pipeline ends");
    finished.get()
}

fn request() {
    info_span!("request").in_scope(|| {
        info!("at the start");
        scan();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(later());
        info!("at the end");
    });
    info!("outside");
}

fn events<'a>(spans: &'a [SpanData], name: &str) -> Vec<&'a str> {
    let span = spans.iter().find(|span| span.name == name);
    let span = span.unwrap_or_else(|| panic!("no span {name} in {spans:?}"));
    assert_ne!(span.span_context.span_id(), SpanId::INVALID);
    span.events.iter().map(|event| &*event.name).collect()
}

#[test]
fn an_event_inside_a_call_is_not_an_event_of_the_span_around_it() {
    let spans = spans(false, request);
    assert_eq!(spans.len(), 5);
    assert_eq!(events(&spans, "request"), ["at the start", "at the end"]);
    assert_eq!(events(&spans, "decode"), ["in the span inside"]);
    for name in ["scan outer", "get inner", "get later"] {
        assert!(events(&spans, name).is_empty(), "{name}");
    }
}

#[test]
fn with_span_events_an_event_inside_a_call_is_an_event_of_its_span() {
    let spans = spans(true, request);
    assert_eq!(events(&spans, "request"), ["at the start", "at the end"]);
    assert_eq!(events(&spans, "scan outer"), ["in the scan"]);
    assert_eq!(events(&spans, "decode"), ["in the span inside"]);
    assert_eq!(events(&spans, "get inner"), ["in the leaf"]);
    assert_eq!(events(&spans, "get later"), ["before", "after"]);
    let scan = spans.iter().find(|span| span.name == "scan outer");
    let event = &scan.expect("it was recorded").events[0];
    let attribute = |key: &str| {
        let pair = event
            .attributes
            .iter()
            .find(|pair| pair.key.as_str() == key);
        pair.map(|pair| pair.value.clone())
    };
    assert_eq!(attribute("rows"), Some(Value::I64(3)));
    assert_eq!(attribute("cold"), Some(Value::Bool(true)));
    assert_eq!(attribute("level"), Some(Value::from("INFO")));
}

#[test]
fn the_events_of_a_call_are_bounded_and_the_rest_is_counted() {
    #[db_op(get, "loud", system = "kv")]
    fn loud() {
        for _ in 0..200 {
            info!("again");
        }
    }
    let spans = spans(true, loud);
    assert_eq!(spans[0].events.len(), 128);
    assert_eq!(spans[0].events.dropped_count, 72);
}
