//! An application with the OpenTelemetry SDK alone: a global tracer provider, and no `tracing`
//! subscriber.

mod common;

use std::sync::OnceLock;

use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample,
};
use percolate_library_test::{Store, warm_apart};

use common::Kept;

/// Samples all calls except those with the collection `noise`, which it reads from the initial
/// attributes.
#[derive(Debug, Clone)]
struct ByCollection;

impl ShouldSample for ByCollection {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_noise = attributes
            .iter()
            .any(|it| it.key.as_str() == "db.collection.name" && it.value.as_str() == "noise");
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        let mut result = sampler.should_sample(parent, id, name, kind, attributes, links);
        if is_noise {
            result.decision = SamplingDecision::Drop;
        }
        result
    }
}

/// Runs a test with the global provider, which the tests share. One test runs at a time.
fn with_provider(test: impl FnOnce(&Kept)) {
    static KEPT: OnceLock<Kept> = OnceLock::new();
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let kept = KEPT.get_or_init(|| {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder()
            .with_sampler(ByCollection)
            .with_span_processor(kept.clone())
            .build();
        global::set_tracer_provider(provider);
        kept
    });
    kept.take();
    test(kept);
}

fn remote(flags: TraceFlags) -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(7_u128),
        SpanId::from(9_u64),
        flags,
        true,
        TraceState::NONE,
    ))
}

#[test]
fn annotated_calls_are_spans_of_the_global_provider() {
    with_provider(|kept| {
        common::work();
        let spans = kept.take();
        assert_eq!(common::describe(&spans), common::TRACE);
        for span in &spans {
            assert_eq!(span.instrumentation_scope.name(), "percolate");
            assert!(span.end_time >= span.start_time);
            common::assert_each_attribute_once(span);
            let mut keys = span.attributes.iter().map(|it| it.key.as_str());
            assert!(!keys.any(|key| key.starts_with("otel.")));
        }
    });
}

#[test]
fn the_caller_is_the_parent_and_its_sampling_decision_applies() {
    with_provider(|kept| {
        let store = Store::new("catalogue");
        {
            let _caller = remote(TraceFlags::SAMPLED).attach();
            store.put_all("novels", &[]);
        }
        let spans = kept.take();
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0].parent_span_id, SpanId::from(9_u64));
        assert_eq!(spans[0].span_context.trace_id(), TraceId::from(7_u128));
        assert!(spans[0].parent_span_is_remote);
        let _caller = remote(TraceFlags::NOT_SAMPLED).attach();
        store.put_all("novels", &[]);
        assert!(kept.take().is_empty());
    });
}

#[test]
fn a_linked_job_is_the_root_of_its_own_trace() {
    with_provider(|kept| {
        let store = Store::new("catalogue");
        let _caller = remote(TraceFlags::SAMPLED).attach();
        store.put_all("novels", &[]);
        kept.take();
        warm_apart(&store, "novels");
        let spans = kept.take();
        let (job, scan) = (&spans[0], &spans[1]);
        assert_eq!(spans.len(), 2);
        assert_eq!(job.parent_span_id, SpanId::INVALID);
        assert_ne!(job.span_context.trace_id(), TraceId::from(7_u128));
        assert_eq!(
            job.links.links[0].span_context.span_id(),
            SpanId::from(9_u64)
        );
        assert_eq!(scan.parent_span_id, job.span_context.span_id());
    });
}

#[test]
fn the_attributes_of_the_context_are_on_the_spans_inside_and_seen_by_samplers() {
    with_provider(|kept| {
        let store = Store::new("catalogue");
        let attributes = [("tenant.id", "a"), ("db.collection.name", "noise")];
        percolate_otel::with_attributes(attributes, || {
            store.put_all("novels", &[]);
            let caller = remote(TraceFlags::SAMPLED);
            let caller = Context::map_current(|cx| {
                cx.with_remote_span_context(caller.span().span_context().clone())
            });
            let _attached = caller.attach();
            warm_apart(&store, "novels");
        });
        store.put_all("novels", &[]);
        let tenants: Vec<_> = kept
            .take()
            .into_iter()
            .map(|span| {
                let mut found = span.attributes.iter();
                let tenant = found.find(|kv| kv.key.as_str() == "tenant.id");
                (span.name, tenant.map(|kv| kv.value.as_str().into_owned()))
            })
            .collect();
        let (last, inside) = tenants.split_last().expect("three calls");
        assert_eq!(last.1, None);
        assert!(inside.len() >= 3, "{tenants:?}");
        let has_tenant = |(_, tenant): &(_, Option<String>)| tenant.as_deref() == Some("a");
        assert!(inside.iter().all(has_tenant), "{tenants:?}");
    });
}

#[test]
fn samplers_receive_the_initial_attributes_and_suppression_is_respected() {
    with_provider(|kept| {
        let store = Store::new("catalogue");
        store.put_all("noise", &[]);
        assert!(kept.take().is_empty());
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        store.put_all("novels", &[]);
        assert!(kept.take().is_empty());
    });
}
