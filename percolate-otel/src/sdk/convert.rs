//! From a [`CallRecord`] to the SDK's `SpanData`: where names become attributes, off the calling thread.

use std::borrow::Cow;

use opentelemetry::trace::{Link, SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::clock::Anchor;
use crate::conventions::attribute;
use crate::metrics;
use crate::record::{CallRecord, RecordExtras};
use crate::site::{Kind, SiteKind, span_name};

/// Converts records, with one line from clock readings to the wall clock.
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
            duration,
            status,
            returned_rows,
            extras,
        } = record;
        let RecordExtras {
            details,
            names: owned,
            probed,
            affected_rows,
            error,
        } = extras.map(|extras| *extras).unwrap_or_default();
        let def = series.site.def;
        // A series is kept for ever: what it holds is named, not copied.
        let kept = |name: &'static str| Cow::Borrowed(name);
        let (target, namespace, server_address) = match owned {
            Some(owned) => (
                owned.target.map(Cow::Owned),
                owned.namespace.map(Cow::Owned),
                owned.server_address.map(Cow::Owned),
            ),
            None => (
                series.target.as_deref().map(kept),
                series.namespace.as_deref().map(kept),
                series.server_address.as_deref().map(kept),
            ),
        };
        let name = if series.is_overflow || details.query_summary.is_some() {
            span_name(
                series.site,
                def.name,
                target.as_deref(),
                details.query_summary.as_deref(),
            )
        } else {
            Cow::Borrowed(&*series.span_name)
        };
        let mut attributes = Attributes(Vec::with_capacity(10 + details.custom.len()));
        let batch_size = details.batch_size;
        match def.site_kind {
            SiteKind::Db => {
                attributes.push(attribute::DB_SYSTEM_NAME, Some(def.system));
                attributes.push(attribute::DB_OPERATION_NAME, Some(def.name));
                attributes.push(attribute::DB_COLLECTION_NAME, target);
                attributes.push(attribute::DB_NAMESPACE, namespace);
                attributes.push(attribute::SERVER_ADDRESS, server_address);
                attributes.push(attribute::DB_OPERATION_BATCH_SIZE, batch_size);
                attributes.push(attribute::DB_QUERY_SUMMARY, details.query_summary);
                attributes.push(attribute::DB_QUERY_TEXT, details.query_text);
                attributes.push(attribute::DB_RESPONSE_RETURNED_ROWS, returned_rows);
                attributes.push(attribute::DB_RESPONSE_AFFECTED_ROWS, affected_rows);
            }
            SiteKind::Job => {
                attributes.push(attribute::JOB_TYPE, Some(def.name));
                attributes.push(attribute::JOB_TARGET, target);
                attributes.push(attribute::JOB_BATCH_SIZE, batch_size);
                attributes.push(attribute::JOB_STATUS, Some(status));
                attributes.push(
                    attribute::JOB_DURATION_MS,
                    Some(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
                );
            }
        }
        let mut span_status = Status::Unset;
        if let Some(error) = error {
            attributes.push(attribute::ERROR_TYPE, Some(error.error_type));
            attributes.push(attribute::DB_RESPONSE_STATUS_CODE, error.status_code);
            span_status = Status::Error {
                description: Cow::Borrowed(""),
            };
        }
        for (index, value) in details.custom {
            if let (Some(name), Some(value)) = (def.custom.get(index), value.into_otel()) {
                attributes.push(name, Some(value));
            }
        }
        for (name, value) in probed {
            attributes.push(name, Some(value));
        }
        let mut links = SpanLinks::default();
        links
            .links
            .extend(identity.link().cloned().map(Link::with_context));
        let start_time = self.anchor.wall_clock(started);
        SpanData {
            span_context: identity.span_context(),
            parent_span_id: identity.parent_span_id(),
            parent_span_is_remote: identity.parent_is_remote(),
            span_kind: match def.kind {
                Kind::Client => SpanKind::Client,
                Kind::Internal => SpanKind::Internal,
            },
            name,
            start_time,
            end_time: start_time + duration,
            attributes: attributes.0,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: span_status,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn push(&mut self, name: &'static str, value: Option<impl Into<opentelemetry::Value>>) {
        self.0.extend(value.map(|value| KeyValue::new(name, value)));
    }
}
