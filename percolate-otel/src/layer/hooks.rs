//! The hooks that `tracing` calls: a span gets its state when it is created, and is checked when it
//! is closed. No lock is held while code outside of the Layer runs.

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::check::check;
use super::convention_layer::ConventionLayer;
use super::filter::is_error_event;
use super::finding_log::log;
use super::finding_slot::FindingSlot;
use super::level::Level;
use super::name_parts::NameParts;
use super::profile::Profile;
use super::span_finding::span_finding;
use super::span_state::SpanState;
use super::visitor::Visitor;

impl<S> Layer<S> for ConventionLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let _ = self.site(metadata);
        // `never` would disable the call site for all other layers too.
        Interest::always()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(site) = self.site(attributes.metadata()) else {
            return;
        };
        let Some(span) = ctx.span(id) else { return };
        let mut state = SpanState::new(site);
        let mut parts = NameParts::new();
        let mut visitor = Visitor::at_start(&mut state, &mut parts);
        attributes.record(&mut visitor);
        visitor.finish();
        // Another ConventionLayer on the same subscriber may have set a state: the outermost one
        // checks.
        span.extensions_mut().replace(state);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(state) = span.extensions_mut().get_mut::<SpanState>() {
            values.record(&mut Visitor::later(state));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        if !is_error_event(event.metadata()) {
            return;
        }
        let Some(span) = ctx.event_span(event) else {
            return;
        };
        if let Some(state) = span.extensions_mut().get_mut::<SpanState>() {
            state.error_event();
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let state = span.extensions_mut().remove::<SpanState>();
        if let Some(state) = state {
            self.close(&state);
        }
    }
}

impl ConventionLayer {
    /// Checks a finished span and counts its findings.
    fn close(&self, state: &SpanState) {
        let settings = &self.shared.settings;
        #[cfg(feature = "pipeline")]
        if state.error != 0 && state.operation != 0 && state.site.is_ours {
            self.shared
                .metrics
                .span_failed(state.operation, state.error);
        }
        let mut news: Vec<FindingSlot> = Vec::new();
        check(
            state,
            settings.profile == Profile::Strict,
            &mut |case, subject| {
                if settings.ignored.contains(&case.rule()) {
                    return;
                }
                let new = state.site.findings.add(case, subject, state.seen);
                if settings.profile == Profile::Log && case.level() > Level::Information {
                    news.extend(new);
                }
            },
        );
        for slot in &news {
            log(&span_finding(state.site, slot, &self.shared.registry));
        }
    }
}
