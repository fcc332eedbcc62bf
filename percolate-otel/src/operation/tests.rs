use std::future::Future as _;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, Key, Value};
use opentelemetry_sdk::trace::SpanData;

use super::*;
use crate::active::record;
use crate::in_call::run;
use crate::runtime::{Runtime, RuntimeConfig, Sampler, ScopeGuard, scope};
use crate::site::{Parent, attr};
use crate::testing::FinishedSpans;

crate::__private::site!(GET, db, INFO, attr::COLLECTION | attr::NAMESPACE | attr::RETURNED_ROWS, ["app.tier"], { name: "get", late: 1 });
crate::__private::site!(BUILD, job, INFO, attr::JOB_TARGET, [], { name: "index.build" });
crate::__private::site!(LINKED, job, INFO, attr::JOB_TARGET, [], { name: "index.save" });

/// A runtime scoped to this thread, whose spans are kept.
struct Scoped {
    finished: FinishedSpans,
    runtime: &'static Runtime,
    _scope: ScopeGuard,
}

impl Scoped {
    fn new(sampler: Sampler) -> Self {
        let finished = FinishedSpans::default();
        let runtime = Runtime::build(RuntimeConfig {
            sink: crate::runtime::sdk_sink(vec![Arc::new(finished.clone())]),
            sampler,
            ..RuntimeConfig::default()
        })
        .expect("threads start");
        Self {
            finished,
            runtime,
            _scope: scope(Some(runtime)),
        }
    }

    fn spans(&self) -> Vec<SpanData> {
        assert!(
            self.runtime.flush(Duration::from_secs(5)),
            "the flush comes to an end"
        );
        self.finished.get()
    }
}

/// Starts a call in a place of its own.
fn entered(
    site: &'static Site,
    names: Names<'_>,
    parent: Parent,
    details: &mut dyn FnMut(&mut Details),
) -> SyncCall {
    let mut call = SyncCall::idle();
    enter(&mut call, site, names, parent, details);
    call
}

fn get(inner: impl FnOnce()) {
    let names = Names {
        target: Some("articles"),
        namespace: Some("demo"),
        ..Names::default()
    };
    let mut call = entered(&GET, names, Parent::Child, &mut |details| {
        details.field(0, "hot");
    });
    inner();
    call.finish(Outcome {
        returned_rows: Some(1),
        ..Outcome::default()
    });
}

fn attribute(span: &SpanData, name: &'static str) -> Option<Value> {
    span.attributes
        .iter()
        .find(|kv| kv.key == Key::new(name))
        .map(|kv| kv.value.clone())
}

#[test]
fn a_sampled_call_has_a_span_with_all_attributes_of_the_annotation() {
    let scoped = Scoped::new(Sampler::default());
    get(|| {});
    let spans = scoped.spans();
    let span = &spans[0];
    assert_eq!(spans.len(), 1);
    assert_eq!(span.name, "get articles");
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(span.status, Status::Unset);
    assert_eq!(attribute(span, "db.system.name"), Some("rocksdb".into()));
    assert_eq!(
        attribute(span, "db.collection.name"),
        Some("articles".into())
    );
    assert_eq!(
        attribute(span, "db.response.returned_rows"),
        Some(Value::I64(1))
    );
    assert_eq!(attribute(span, "app.tier"), Some("hot".into()));
    assert_eq!(attribute(span, "error.type"), None);
}

#[test]
fn nested_calls_are_children_of_the_outer_call() {
    let scoped = Scoped::new(Sampler::default());
    get(|| get(|| {}));
    let spans = scoped.spans();
    let (inner, outer) = (&spans[0], &spans[1]);
    assert_eq!(inner.parent_span_id, outer.span_context.span_id());
    assert_eq!(inner.span_context.trace_id(), outer.span_context.trace_id());
    assert_eq!(outer.parent_span_id, SpanId::INVALID);
}

#[test]
fn an_unsampled_root_covers_the_calls_inside_it() {
    let scoped = Scoped::new(Sampler::AlwaysOff);
    get(|| {
        assert!(runtime::unsampled_root().is_some());
        get(|| {});
    });
    assert!(runtime::unsampled_root().is_none());
    assert_eq!(scoped.spans(), []);
}

#[test]
fn the_decision_of_a_remote_parent_is_kept() {
    let scoped = Scoped::new(Sampler::default());
    let remote = |flags| {
        let context = SpanContext::new(
            TraceId::from(7_u128),
            SpanId::from(9_u64),
            flags,
            true,
            TraceState::from_key_value([("vendor", "x")]).expect("valid"),
        );
        Context::current()
            .with_remote_span_context(context)
            .attach()
    };
    let refused = remote(TraceFlags::default());
    get(|| {});
    drop(refused);
    assert_eq!(scoped.spans(), []);
    let wanted = remote(TraceFlags::SAMPLED);
    get(|| {});
    drop(wanted);
    let spans = scoped.spans();
    assert_eq!(spans[0].parent_span_id, SpanId::from(9_u64));
    assert!(spans[0].parent_span_is_remote);
    assert_eq!(spans[0].span_context.trace_id(), TraceId::from(7_u128));
    assert_eq!(spans[0].span_context.trace_state().get("vendor"), Some("x"));
}

#[test]
fn a_linked_job_starts_a_trace_of_its_own() {
    let scoped = Scoped::new(Sampler::default());
    get(|| {
        entered(
            &LINKED,
            Names {
                operation: None,
                target: Some("articles"),
                ..Names::default()
            },
            Parent::Link,
            &mut |_| {},
        )
        .finish(Outcome::default());
    });
    let spans = scoped.spans();
    let (job, outer) = (&spans[0], &spans[1]);
    assert_ne!(job.span_context.trace_id(), outer.span_context.trace_id());
    assert_eq!(job.links.links[0].span_context, outer.span_context);
}

#[test]
fn a_refused_linked_job_covers_its_calls_inside_a_sampled_caller() {
    let _scoped = Scoped::new(Sampler::AlwaysOff);
    let caller = SpanContext::new(
        7_u128.into(),
        9_u64.into(),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let _caller = Context::current().with_remote_span_context(caller).attach();
    let mut job = entered(
        &LINKED,
        Names {
            operation: None,
            target: Some("articles"),
            ..Names::default()
        },
        Parent::Link,
        &mut |_| {},
    );
    // The sampler of this runtime ignores parents; what counts is which parent is seen.
    assert!(!Context::map_current(|cx| cx
        .span()
        .span_context()
        .is_valid()));
    assert!(runtime::unsampled_root().is_some());
    job.finish(Outcome::default());
    assert!(Context::map_current(|cx| cx
        .span()
        .span_context()
        .is_valid()));
}

#[test]
fn a_panic_ends_the_call_as_failed() {
    let scoped = Scoped::new(Sampler::default());
    let panicked = std::panic::catch_unwind(|| {
        let _call = entered(
            &BUILD,
            Names {
                operation: None,
                target: Some("hnsw"),
                ..Names::default()
            },
            Parent::Child,
            &mut |_| {},
        );
        std::panic::resume_unwind(Box::new("stop"));
    });
    assert!(panicked.is_err());
    let spans = scoped.spans();
    assert_eq!(spans[0].name, "index.build hnsw");
    assert_eq!(spans[0].span_kind, SpanKind::Internal);
    assert_eq!(attribute(&spans[0], "error.type"), Some("panic".into()));
    assert_eq!(attribute(&spans[0], "job.status"), Some("failed".into()));
    assert!(matches!(spans[0].status, Status::Error { .. }));
}

#[test]
fn a_dropped_future_is_cancelled_and_a_finished_one_is_not() {
    let scoped = Scoped::new(Sampler::default());
    let names = Names {
        operation: None,
        target: Some("hnsw"),
        ..Names::default()
    };
    let mut cx = TaskContext::from_waker(std::task::Waker::noop());
    {
        let mut pending = Box::pin(run(
            start(&BUILD, names, Parent::Child, &mut |_| {}),
            std::future::pending::<()>(),
        ));
        assert!(pending.as_mut().poll(&mut cx).is_pending());
    }
    let mut ready = Box::pin(run(
        start(&BUILD, names, Parent::Child, &mut |_| {}),
        std::future::ready(()),
    ));
    match ready.as_mut().poll(&mut cx) {
        Poll::Ready((call, ())) => call.finish(Outcome::default()),
        Poll::Pending => panic!("a ready future is ready"),
    }
    let spans = scoped.spans();
    assert_eq!(attribute(&spans[0], "job.status"), Some("cancelled".into()));
    assert_eq!(attribute(&spans[0], "error.type"), None);
    assert_eq!(attribute(&spans[1], "job.status"), Some("success".into()));
}

#[test]
fn a_value_recorded_inside_the_body_reaches_the_span() {
    let scoped = Scoped::new(Sampler::default());
    get(|| record(&GET, 0, &mut || "cold".into()));
    let spans = scoped.spans();
    assert_eq!(attribute(&spans[0], "app.tier"), Some("cold".into()));
}

#[test]
fn the_fields_of_a_site_are_its_attributes_in_order() {
    let fields: Vec<_> = GET
        .metadata
        .fields()
        .iter()
        .map(|field| field.name())
        .collect();
    assert_eq!(
        fields[GET.field_index(attr::COLLECTION).expect("declared")],
        "db.collection.name"
    );
    assert_eq!(fields[GET.custom_index(0).expect("declared")], "app.tier");
    assert_eq!(GET.field_index(attr::QUERY_TEXT), None);
}

#[test]
fn a_stopped_runtime_has_delivered_everything_and_counts_what_comes_later() {
    let scoped = Scoped::new(Sampler::default());
    get(|| {});
    assert!(scoped.runtime.stop(Duration::from_secs(5)));
    get(|| {});
    assert_eq!(scoped.spans().len(), 1);
    assert_eq!(scoped.runtime.dropped_spans(), 1);
    assert!(
        scoped.runtime.stop(Duration::from_secs(5)),
        "stopping again is nothing"
    );
}

#[test]
fn a_root_sets_the_random_flag_and_its_children_keep_it() {
    let scoped = Scoped::new(Sampler::default());
    get(|| get(|| {}));
    for span in scoped.spans() {
        assert_eq!(span.span_context.trace_flags(), TraceFlags::new(0x03));
    }
}
