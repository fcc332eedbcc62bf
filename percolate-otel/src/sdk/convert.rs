//! From a [`CallRecord`] to the SDK's `SpanData`, off the calling thread.

use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{Link, SpanKind, Status};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::attributes::ON_SPANS;
use crate::call_events::CallEvents;
use crate::call_values::{self, CallEnd, at_start};
use crate::clock::Anchor;
use crate::metrics;
use crate::record::{CallRecord, RecordExtras};
use crate::site::Kind;

fn span_events(call: Option<&CallEvents>) -> SpanEvents {
    let mut events = SpanEvents::default();
    if let Some(call) = call {
        events.events.clone_from(&call.events);
        events.dropped_count = call.dropped;
    }
    events
}

/// Converts records, with one anchor from clock readings to the wall clock.
#[derive(Debug)]
pub(super) struct Converter {
    scope: InstrumentationScope,
    anchor: Anchor,
}

impl Converter {
    pub(super) fn new() -> Self {
        Self {
            scope: metrics::scope(),
            anchor: Anchor::new(),
        }
    }

    /// Follows the wall clock.
    pub(super) fn follow_clock(&mut self) {
        self.anchor.follow();
    }

    pub(super) fn convert(&self, record: CallRecord) -> SpanData {
        let CallRecord {
            series,
            identity,
            started,
            nanos,
            status,
            returned_rows,
            extras,
        } = record;
        let extras = extras.map(|extras| *extras).unwrap_or_default();
        let RecordExtras {
            details,
            names: owned,
            sampled,
            shared,
            probed,
            affected_rows,
            events,
            error,
        } = &extras;
        let site = series.site;
        let names = match owned {
            Some(owned) => owned.as_names().into(),
            None => series.name_values(),
        };
        let summary = details.query_summary.as_deref();
        let name = match owned {
            Some(owned) => series.span_name(owned.as_names(), summary),
            None => series.span_name(series.names(), summary),
        };
        let values = at_start(site, names)
            .with_details(details)
            .with_end(CallEnd {
                returned_rows,
                affected_rows: *affected_rows,
                batch_size: None,
                error: error.as_ref(),
                status,
                nanos,
            });
        let custom = &details.custom;
        let mut attributes =
            Vec::with_capacity(10 + custom.len() + sampled.len() + probed.counts.len());
        call_values::collect(site, ON_SPANS, &values, custom, &mut attributes);
        if !sampled.is_empty() {
            attributes.retain(|own| sampled.iter().all(|added| added.key != own.key));
            attributes.extend(sampled.iter().cloned());
        }
        attributes.extend(
            probed
                .counts
                .iter()
                .map(|(name, value)| opentelemetry::KeyValue::new(*name, *value)),
        );
        let mut dropped = 0;
        if let Some(shared) = shared {
            dropped = shared.add_to(site.def.custom, &mut attributes);
        }
        let mut links = SpanLinks::default();
        links.links.extend(
            identity
                .link()
                .into_iter()
                .chain(&probed.links)
                .cloned()
                .map(Link::with_context),
        );
        let start_time = self.anchor.wall_clock(started);
        SpanData {
            span_context: identity.span_context(),
            parent_span_id: identity.parent_span_id(),
            parent_span_is_remote: identity.parent_is_remote(),
            span_kind: match site.def.kind {
                Kind::Client => SpanKind::Client,
                Kind::Internal => SpanKind::Internal,
            },
            name,
            start_time,
            end_time: start_time + Duration::from_nanos(nanos),
            attributes,
            dropped_attributes_count: dropped,
            events: span_events(events.as_deref()),
            links,
            status: match error {
                Some(_) => Status::error(""),
                None => Status::Unset,
            },
            instrumentation_scope: self.scope.clone(),
        }
    }
}
