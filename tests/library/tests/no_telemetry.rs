//! An application without telemetry. Trace context still passes through it.

mod common;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use percolate_otel::{TraceContext, attach_trace_context};

#[test]
fn annotated_calls_work_and_the_callers_context_passes_through() {
    common::work();
    assert!(!Context::map_current(Context::has_active_span));
    let incoming: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        .parse()
        .expect("it is valid");
    let _guard = attach_trace_context(Some(incoming.clone()));
    common::work();
    assert_eq!(TraceContext::current(), Some(incoming));
    assert!(common::Kept::default().take().is_empty());
    assert_eq!(common::describe(&[]), "");
    assert!(!common::TRACE.is_empty());
}
