//! Where the values of a call's attributes come from: its site, names and details at the start, its
//! outcome at the end.
//!
//! [`visit`] is the only way from a call to attributes. The `tracing` span, the SDK's span, the
//! span of the OpenTelemetry API and the metric are visitors of it.

use std::time::Duration;

use opentelemetry::KeyValue;

use crate::attributes::{self, AttributeValue, CallValues};
use crate::conventions::JobStatus;
use crate::details::{Details, FieldValue, Names};
use crate::outcome::{ErrorInfo, Outcome};
use crate::site::{Kind, Site};

/// The names of a call as attribute values.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NameValues<'a> {
    pub(crate) operation: Option<AttributeValue<'a>>,
    pub(crate) system: Option<AttributeValue<'a>>,
    pub(crate) target: Option<AttributeValue<'a>>,
    pub(crate) namespace: Option<AttributeValue<'a>>,
    pub(crate) server_address: Option<AttributeValue<'a>>,
}

impl<'a> From<Names<'a>> for NameValues<'a> {
    fn from(names: Names<'a>) -> Self {
        Self {
            operation: names.operation.map(AttributeValue::Str),
            system: names.system.map(AttributeValue::Str),
            target: names.target.map(AttributeValue::Str),
            namespace: names.namespace.map(AttributeValue::Str),
            server_address: names.server_address.map(AttributeValue::Str),
        }
    }
}

/// What is known when a call ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallEnd<'a> {
    pub(crate) returned_rows: Option<i64>,
    pub(crate) affected_rows: Option<i64>,
    /// The batch size, if it is read from the returned value.
    pub(crate) batch_size: Option<i64>,
    pub(crate) error: Option<&'a ErrorInfo>,
    pub(crate) status: JobStatus,
    pub(crate) nanos: u64,
}

impl<'a> CallEnd<'a> {
    /// `nanos` is the duration of the call in nanoseconds.
    #[inline]
    pub(crate) fn new(outcome: &'a Outcome, status: JobStatus, nanos: u64) -> Self {
        Self {
            returned_rows: outcome.returned_rows,
            affected_rows: outcome.affected_rows,
            batch_size: outcome.batch_size,
            error: outcome.error.as_ref(),
            status,
            nanos,
        }
    }
}

impl CallEnd<'_> {
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    pub(crate) fn is_success(&self) -> bool {
        self.error.is_none() && self.status == JobStatus::Success
    }
}

/// The values that are known when a call starts.
#[inline]
pub(crate) fn at_start<'a>(site: &'static Site, names: NameValues<'a>) -> CallValues<'a> {
    let def = site.def;
    CallValues {
        span_kind: Some(match def.kind {
            Kind::Client => "client",
            Kind::Internal => "internal",
        }),
        system: names.system.or(def.system.map(AttributeValue::Static)),
        operation: names.operation.or(Some(AttributeValue::Static(def.name))),
        target: names.target,
        namespace: names.namespace,
        server_address: names.server_address,
        ..CallValues::default()
    }
}

impl<'a> CallValues<'a> {
    /// Adds the details of a recorded call.
    #[inline]
    pub(crate) fn with_details(mut self, details: &'a Details) -> Self {
        self.batch_size = details.batch_size;
        self.query_summary = details.query_summary.as_deref();
        self.query_text = details.query_text.as_deref();
        self
    }

    /// Adds what is known when the call ends.
    #[inline]
    pub(crate) fn with_end(mut self, end: CallEnd<'a>) -> Self {
        if let Some(error) = end.error {
            self.span_status = Some("ERROR");
            self.status_code = error.status_code.as_ref();
            self.error_type = Some(&error.error_type);
        }
        self.batch_size = end.batch_size.or(self.batch_size);
        self.returned_rows = end.returned_rows;
        self.affected_rows = end.affected_rows;
        self.job_status = Some(end.status.as_str());
        self.duration_ms = i64::try_from(end.nanos / 1_000_000).ok();
        self
    }
}

/// The values that are known when a call ends, and not those of its start.
#[inline]
pub(crate) fn at_end(end: CallEnd<'_>) -> CallValues<'_> {
    CallValues::default().with_end(end)
}

/// Visits the attributes of a call that `site` declares and that are in `mask`, then the
/// annotation's own: the place among the site's fields, the name and the value.
pub(crate) fn visit<'a>(
    site: &'static Site,
    mask: u32,
    values: &CallValues<'a>,
    custom: impl IntoIterator<Item = &'a (usize, FieldValue)>,
    mut visitor: impl FnMut(usize, &'static str, AttributeValue<'a>),
) {
    attributes::visit(
        site.def.attributes & mask,
        values,
        &mut |bit, name, value| {
            if let Some(place) = site.field_index(bit) {
                visitor(place, name, value);
            }
        },
    );
    for (index, value) in custom {
        let value = match value {
            FieldValue::None => continue,
            FieldValue::I64(value) => AttributeValue::I64(*value),
            FieldValue::F64(value) => AttributeValue::F64(*value),
            FieldValue::Bool(value) => AttributeValue::Bool(*value),
            FieldValue::Str(value) => AttributeValue::Str(value),
        };
        if let (Some(place), Some(name)) = (site.custom_index(*index), site.def.custom.get(*index))
        {
            visitor(place, name, value);
        }
    }
}

/// Returns those of the annotation's own attributes that spans have from their start.
pub(crate) fn own_at_start<'a>(
    site: &'static Site,
    details: &'a Details,
) -> impl Iterator<Item = &'a (usize, FieldValue)> {
    let custom = details.custom.iter();
    custom.filter(|(index, _)| !site.is_late(*index))
}

/// Returns those of the annotation's own attributes that spans get when the call ends.
pub(crate) fn own_at_end<'a>(
    site: &'static Site,
    details: &'a Details,
) -> impl Iterator<Item = &'a (usize, FieldValue)> {
    let custom = details.custom.iter();
    custom.filter(|(index, _)| site.is_late(*index))
}

/// Collects the attributes that [`visit`] visits.
pub(crate) fn collect<'a>(
    site: &'static Site,
    mask: u32,
    values: &CallValues<'a>,
    custom: impl IntoIterator<Item = &'a (usize, FieldValue)>,
    attributes: &mut Vec<KeyValue>,
) {
    visit(site, mask, values, custom, |_, name, value| {
        attributes.push(KeyValue::new(name, value));
    });
}
