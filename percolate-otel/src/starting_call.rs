//! [`StartingCall`]: a call whose recording is being decided, as a sampler of the SDK sees it.
//!
//! Its details are evaluated at most once, and before the decision only for such a sampler.

use opentelemetry::KeyValue;
use opentelemetry::trace::TraceState;

use crate::details::{Details, Names};
use crate::site::{Parent, Site};

/// A call whose recording is being decided.
pub(crate) struct StartingCall<'a> {
    pub(crate) site: &'static Site,
    pub(crate) names: Names<'a>,
    pub(crate) parent: Parent,
    evaluate: &'a mut dyn FnMut(&mut Details),
    /// The details, if a sampler needed them.
    details: Option<Details>,
    /// The attributes that the sampler added.
    pub(crate) attributes: Vec<KeyValue>,
    /// The trace state that the sampler returned.
    pub(crate) trace_state: Option<TraceState>,
}

impl<'a> StartingCall<'a> {
    pub(crate) fn new(
        site: &'static Site,
        names: Names<'a>,
        parent: Parent,
        evaluate: &'a mut dyn FnMut(&mut Details),
    ) -> Self {
        Self {
            site,
            names,
            parent,
            evaluate,
            details: None,
            attributes: Vec::new(),
            trace_state: None,
        }
    }

    /// Whether a sampler needed more than the trace id.
    pub(crate) fn was_described(&self) -> bool {
        self.details.is_some()
    }

    /// Returns the details.
    pub(crate) fn into_details(self) -> (Details, Vec<KeyValue>) {
        let details = self.details.unwrap_or_else(|| {
            let mut details = Details::default();
            (self.evaluate)(&mut details);
            details
        });
        (details, self.attributes)
    }
}

#[cfg(feature = "pipeline")]
mod sampled {
    use opentelemetry::Context;
    use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
    use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};

    use super::StartingCall;
    use crate::api_span::without_span;
    use crate::attributes::ON_SPANS;
    use crate::call_values::{self, at_start, own_at_start};
    use crate::details::Details;
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
            let details = self.details.get_or_insert_with(|| {
                let mut details = Details::default();
                (self.evaluate)(&mut details);
                details
            });
            let values = at_start(self.site, self.names.into()).with_details(details);
            let own = own_at_start(self.site, details);
            let mut attributes = Vec::with_capacity(10);
            call_values::collect(self.site, ON_SPANS, &values, own, &mut attributes);
            let name = span_name(self.site, self.names, details.query_summary.as_deref());
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
            self.attributes = result.attributes;
            self.trace_state = Some(result.trace_state);
            true
        }
    }
}
