//! Which spans of annotated calls a subscriber with [`SampledSpans`] creates.

use std::sync::{Arc, Mutex};

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::details::Names;
use crate::layer::SampledSpans;
use crate::operation::{SyncCall, enter};
use crate::outcome::Outcome;
use crate::runtime;
use crate::site::Parent;

crate::__private::site!(READ, db, INFO, 0, [], { name: "get" });
crate::__private::site!(NOTED, db, INFO, 0, ["app.tier"], { name: "scan", late: 1 });
crate::__private::site!(SAVE, job, INFO, 0, [], { name: "index.save" });

/// Keeps the names of spans.
#[derive(Clone, Default)]
struct Created(Arc<Mutex<Vec<&'static str>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Created {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut names = self.0.lock().expect("no test panicked");
        names.push(attributes.metadata().name());
    }
}

impl Created {
    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().expect("no test panicked"))
    }
}

fn call(site: &'static crate::Site, parent: Parent) {
    let mut call = SyncCall::idle();
    enter(&mut call, site, Names::default(), parent, &mut |_| {});
    tracing::info_span!("inner").in_scope(|| {});
    call.finish(Outcome::success());
}

/// One call of each kind below a parent with these flags.
fn calls(flags: TraceFlags) {
    let parent = SpanContext::new(
        TraceId::from(7_u128),
        SpanId::from(9_u64),
        flags,
        true,
        TraceState::default(),
    );
    let context = opentelemetry::Context::new().with_remote_span_context(parent);
    let _current = context.attach();
    call(&READ, Parent::Child);
    call(&NOTED, Parent::Child);
    call(&SAVE, Parent::Link);
}

#[test]
fn calls_below_an_unsampled_parent_create_no_spans() {
    let _scope = runtime::scope(None);
    let exported = Created::default();
    let subscriber = tracing_subscriber::registry()
        .with(SampledSpans)
        .with(exported.clone());
    tracing::subscriber::with_default(subscriber, || {
        calls(TraceFlags::SAMPLED);
        let all = ["get", "inner", "scan", "inner", "index.save", "inner"];
        assert_eq!(exported.take(), all);
        calls(TraceFlags::default());
        // A linked job is the root of its own trace, about which the layer decides.
        assert_eq!(exported.take(), ["inner", "inner", "index.save", "inner"]);
        calls(TraceFlags::SAMPLED);
        assert_eq!(exported.take(), all);
    });
}
