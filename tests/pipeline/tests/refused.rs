//! Outgoing context inside an unsampled trace: the caller's trace id with the id of the current
//! operation, or the one trace id of an unsampled root.

use percolate_core::background_job;
use percolate_core::otel::{
    Environment, Otlp, Sampler, Telemetry, TraceContext, TraceParent, attach_trace_context,
};
use percolate_pipeline_tests::{Answer, Collector};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt as _;

const REFUSED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02";

#[background_job(index.build, target = "hnsw")]
fn build<R>(body: impl FnOnce() -> R) -> R {
    body()
}

fn outgoing() -> Option<TraceParent> {
    TraceContext::current().and_then(|context| context.parent())
}

/// Runs `body` in a pipeline that samples no root, then asserts that nothing was exported.
fn in_an_unsampling_pipeline(body: impl FnOnce()) {
    let collector = Collector::grpc(Answer::Accept);
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .otlp(Otlp::to(collector.endpoint()))
        .sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
        .build()
        .expect("the pipeline can be built");
    let scope = guard.enter();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(guard.layer()), body);
    drop(scope);
    guard
        .shutdown(std::time::Duration::from_secs(20))
        .expect("the collector answers");
    assert_eq!(collector.spans().len(), 0);
}

#[test]
fn an_unsampled_callers_trace_is_sent_with_ids_of_the_operations_inside_it() {
    in_an_unsampling_pipeline(|| {
        let caller: TraceParent = REFUSED.parse().expect("a traceparent");
        let _guard = attach_trace_context(Some(caller.into()));
        let sent = info_span!("request").in_scope(|| {
            [
                build(outgoing),
                build(|| info_span!("call").in_scope(outgoing)),
            ]
        });
        for parent in sent {
            let parent = parent.expect("outgoing context has the decision");
            assert_eq!(parent.trace_id(), caller.trace_id());
            assert_eq!(parent.flags(), caller.flags());
            assert_ne!(parent.span_id(), caller.span_id());
        }
    });
}

#[test]
fn an_unsampled_root_has_one_trace_id_at_every_depth() {
    in_an_unsampling_pipeline(|| {
        let sent = build(|| {
            let inside = info_span!("call").in_scope(|| (outgoing(), build(outgoing)));
            [outgoing(), inside.0, inside.1]
        });
        assert!(sent[0].is_some_and(|parent| !parent.is_sampled()));
        assert_eq!(sent, [sent[0]; 3]);
    });
}

#[test]
fn another_root_inside_an_unsampled_trace_is_sampled_independently() {
    in_an_unsampling_pipeline(|| {
        let _guard = attach_trace_context(REFUSED.parse().ok());
        let own = info_span!(parent: None, "housekeeping")
            .in_scope(outgoing)
            .expect("outgoing context has the decision");
        assert_ne!(own.to_string(), REFUSED);
        assert!(!own.is_sampled());
    });
}
