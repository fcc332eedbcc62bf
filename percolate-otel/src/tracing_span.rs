//! The `tracing` span of a call: for layers of `tracing-subscriber`, among them those of `tracing-opentelemetry`.
//!
//! Its fields are exactly the attributes that the site declares, each in its place.

use std::time::Duration;

use tracing_core::field::Value as TracingValue;

use crate::details::{Details, FieldValue, Names};
use crate::outcome::Outcome;
use crate::runtime;
use crate::site::{Kind, Parent, Site, SiteKind, attr, span_name};

/// A span made by hand: for `tracing` layers alone, with the fields of an annotated call's span.
pub(crate) fn span_by_hand(
    site: &'static Site,
    operation: &'static str,
    names: Names<'_>,
    query: Option<(String, String)>,
) -> tracing::Span {
    if !site.is_watched() || runtime::is_refused() {
        return tracing::Span::none();
    }
    let (query_text, query_summary) = query.unzip();
    watched_span(
        site,
        operation,
        names,
        &Details {
            query_text,
            query_summary,
            ..Details::default()
        },
    )
}

/// Most attributes a site can have on a `tracing` span; further ones of its own are left out there.
const MAX_FIELDS: usize = 64;

/// The values of a site's `tracing` fields, each in its place.
struct Fields<'a> {
    values: [Option<&'a dyn TracingValue>; MAX_FIELDS],
    site: &'static Site,
}

impl<'a> Fields<'a> {
    fn new(site: &'static Site) -> Self {
        Self {
            values: [None; MAX_FIELDS],
            site,
        }
    }

    fn set(&mut self, bit: u32, value: Option<&'a dyn TracingValue>) {
        if let Some(place) = self
            .site
            .field_index(bit)
            .and_then(|index| self.values.get_mut(index))
        {
            *place = value;
        }
    }

    fn set_custom(&mut self, custom: &'a [(usize, FieldValue)]) {
        for (index, value) in custom {
            if let Some(place) = self
                .site
                .custom_index(*index)
                .and_then(|index| self.values.get_mut(index))
            {
                *place = as_tracing(value);
            }
        }
    }

    fn with<T>(&self, f: impl FnOnce(&tracing_core::field::ValueSet<'_>) -> T) -> Option<T> {
        let fields = self.site.metadata.fields();
        let values = self.values.get(..fields.len())?;
        Some(f(&fields.value_set_all(values)))
    }
}

fn as_tracing(value: &FieldValue) -> Option<&dyn TracingValue> {
    match value {
        FieldValue::None => None,
        FieldValue::I64(value) => Some(value),
        FieldValue::F64(value) => Some(value),
        FieldValue::Bool(value) => Some(value),
        FieldValue::Str(value) => Some(value),
    }
}

#[expect(
    clippy::ref_option,
    reason = "a field's value is a reference to where it is"
)]
fn optional<T: TracingValue>(value: &Option<T>) -> Option<&dyn TracingValue> {
    value.as_ref().map(|value| value as &dyn TracingValue)
}

pub(crate) fn watched_span(
    site: &'static Site,
    operation: &'static str,
    names: Names<'_>,
    details: &Details,
) -> tracing::Span {
    let def = site.def;
    let name = span_name(
        site,
        operation,
        names.target,
        details.query_summary.as_deref(),
    );
    let name: &str = &name;
    let kind = match def.kind {
        Kind::Client => "client",
        Kind::Internal => "internal",
    };
    let mut fields = Fields::new(site);
    fields.set(attr::OTEL_NAME, Some(&name));
    fields.set(attr::OTEL_KIND, Some(&kind));
    let target = optional(&names.target);
    match def.site_kind {
        SiteKind::Db => {
            fields.set(attr::SYSTEM, Some(&def.system));
            fields.set(attr::OPERATION, Some(&operation));
            fields.set(attr::COLLECTION, target);
            fields.set(attr::NAMESPACE, optional(&names.namespace));
            fields.set(attr::SERVER_ADDRESS, optional(&names.server_address));
            fields.set(attr::BATCH_SIZE, optional(&details.batch_size));
            fields.set(attr::QUERY_SUMMARY, optional(&details.query_summary));
            fields.set(attr::QUERY_TEXT, optional(&details.query_text));
        }
        SiteKind::Job => {
            fields.set(attr::JOB_TYPE, Some(&operation));
            fields.set(attr::JOB_TARGET, target);
            fields.set(attr::JOB_BATCH_SIZE, optional(&details.batch_size));
        }
    }
    fields.set_custom(&details.custom);
    if !site.is_enabled() {
        return tracing::Span::none();
    }
    let span = fields
        .with(|values| match def.parent {
            Parent::Child => tracing::Span::new(site.metadata, values),
            Parent::Link | Parent::Root => tracing::Span::new_root(site.metadata, values),
        })
        .unwrap_or_else(tracing::Span::none);
    if def.parent == Parent::Link {
        link_to_current(&span);
    }
    span
}

/// The `tracing` span's late fields.
pub(crate) fn record_end(site: &'static Site, span: &tracing::Span, end: &CallEnd<'_>) {
    if span.is_disabled() {
        return;
    }
    let mut fields = Fields::new(site);
    let error_type = end.outcome.error.as_ref().map(|error| &*error.error_type);
    let status_code = end
        .outcome
        .error
        .as_ref()
        .and_then(|error| error.status_code.as_deref());
    let duration_ms = i64::try_from(end.duration.as_millis()).unwrap_or(i64::MAX);
    if error_type.is_some() {
        fields.set(attr::OTEL_STATUS_CODE, Some(&"ERROR"));
    }
    fields.set(attr::ERROR_TYPE, optional(&error_type));
    match site.def.site_kind {
        SiteKind::Db => {
            fields.set(attr::STATUS_CODE, optional(&status_code));
            fields.set(attr::RETURNED_ROWS, optional(&end.outcome.returned_rows));
            fields.set(attr::AFFECTED_ROWS, optional(&end.outcome.affected_rows));
            fields.set(attr::BATCH_SIZE, optional(&end.outcome.batch_size));
        }
        SiteKind::Job => {
            fields.set(attr::JOB_STATUS, Some(&end.status));
            fields.set(attr::JOB_DURATION_MS, Some(&duration_ms));
            fields.set(attr::JOB_BATCH_SIZE, optional(&end.outcome.batch_size));
        }
    }
    fields.set_custom(end.late);
    fields.with(|values| span.record_all(values));
}

/// How a call ended.
pub(crate) struct CallEnd<'a> {
    pub(crate) outcome: &'a Outcome,
    pub(crate) status: &'static str,
    pub(crate) duration: Duration,
    pub(crate) late: &'a [(usize, FieldValue)],
}

/// Links a `tracing` span to the current OpenTelemetry span.
#[cfg(feature = "tracing-opentelemetry")]
fn link_to_current(span: &tracing::Span) {
    use opentelemetry::Context;
    use opentelemetry::trace::TraceContextExt as _;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    let linked = Context::map_current(|cx| cx.span().span_context().clone());
    if linked.is_valid() {
        span.add_link(linked);
    }
}

/// Links a `tracing` span to the current `tracing` span, which layers for OpenTelemetry export as a link.
#[cfg(not(feature = "tracing-opentelemetry"))]
fn link_to_current(span: &tracing::Span) {
    span.follows_from(tracing::Span::current());
}
