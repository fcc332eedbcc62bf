//! [`StartingCall`]: a call whose recording is being decided, as a sampler of the SDK sees it.
//!
//! Its details are evaluated at most once, and before the decision only for such a sampler.

use opentelemetry::KeyValue;
use opentelemetry::trace::TraceState;

use crate::details::{Details, Names};
use crate::shared_attributes::SharedAttributes;
use crate::site::{Parent, Site};

/// A call whose recording is being decided.
pub(crate) struct StartingCall<'a> {
    pub(crate) site: &'static Site,
    pub(crate) names: &'a Names<'a>,
    pub(crate) parent: Parent,
    /// The attributes of the context in which the call starts, if it can have a span.
    pub(crate) shared: Option<SharedAttributes>,
    evaluate: &'a mut dyn FnMut(&mut Details),
    /// What was needed for a sampler of the SDK, and what it returned.
    described: Option<Box<Described>>,
}

/// What a sampler of the SDK was called with, and what it returned.
#[derive(Debug, Default)]
struct Described {
    details: Details,
    /// The attributes that the sampler added.
    attributes: Vec<KeyValue>,
    /// The trace state that the sampler returned.
    trace_state: Option<TraceState>,
}

impl<'a> StartingCall<'a> {
    #[inline]
    pub(crate) fn new(
        site: &'static Site,
        names: &'a Names<'a>,
        parent: Parent,
        evaluate: &'a mut dyn FnMut(&mut Details),
    ) -> Self {
        Self {
            site,
            names,
            parent,
            shared: None,
            evaluate,
            described: None,
        }
    }

    /// Whether a sampler needed more than the trace id.
    pub(crate) fn was_described(&self) -> bool {
        self.described.is_some()
    }

    /// Takes the trace state that the sampler returned, if there was one.
    pub(crate) fn take_trace_state(&mut self) -> Option<TraceState> {
        self.described.as_mut()?.trace_state.take()
    }

    /// Returns the details, and the attributes that the sampler added.
    pub(crate) fn into_details(self) -> (Details, Vec<KeyValue>) {
        if let Some(described) = self.described {
            return (described.details, described.attributes);
        }
        (evaluated(self.site, self.names, self.evaluate), Vec::new())
    }
}

/// Evaluates the details of a call.
fn evaluated(
    site: &'static Site,
    names: &Names<'_>,
    evaluate: &mut dyn FnMut(&mut Details),
) -> Details {
    let mut details = Details::in_dialect(site.dialect(names));
    evaluate(&mut details);
    details
}

#[cfg(feature = "pipeline")]
mod sampled {
    use opentelemetry::Context;
    use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
    use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};

    use super::{Described, StartingCall, evaluated};
    use crate::api_span::without_span;
    use crate::attributes::ON_SPANS;
    use crate::call_values::{self, at_start, own_at_start};
    use crate::shared_attributes::SharedAttributes;
    use crate::site::{Kind, Parent, span_name};

    impl StartingCall<'_> {
        /// Returns whether `sampler` records the call in the trace `trace_id`, as a child of the
        /// span of `current` or as a root. Keeps the attributes and the trace state that it
        /// returns.
        #[cold]
        pub(crate) fn is_sampled_by(
            &mut self,
            sampler: &dyn ShouldSample,
            trace_id: TraceId,
            current: &Context,
            is_root: bool,
        ) -> bool {
            let described = self.described.get_or_insert_with(|| {
                Box::new(Described {
                    details: evaluated(self.site, self.names, self.evaluate),
                    ..Described::default()
                })
            });
            let details = &described.details;
            let values = at_start(self.site, (*self.names).into()).with_details(details);
            let own = own_at_start(self.site, details);
            let mut attributes = Vec::with_capacity(10);
            call_values::collect(self.site, ON_SPANS, &values, own, &mut attributes);
            if let Some(shared) = SharedAttributes::of(current) {
                shared.add_to(self.site.def.custom, &mut attributes);
            }
            let name = span_name(self.site, *self.names, details.query_summary.as_deref());
            let kind = match self.site.def.kind {
                Kind::Client => SpanKind::Client,
                Kind::Internal => SpanKind::Internal,
            };
            let span = current.span();
            let caller = span.span_context();
            let is_linked = self.parent == Parent::Link && caller.is_valid();
            let links: Vec<Link> = is_linked
                .then(|| Link::with_context(caller.clone()))
                .into_iter()
                .collect();
            let root = is_root.then(|| without_span(current));
            let parent = root.as_ref().unwrap_or(current);
            let result =
                sampler.should_sample(Some(parent), trace_id, &name, &kind, &attributes, &links);
            if result.decision != SamplingDecision::RecordAndSample {
                return false;
            }
            described.attributes = result.attributes;
            described.trace_state = Some(result.trace_state);
            true
        }
    }
}
