//! The report of a Python application: an HTML page with the Rust spans and metrics of the wheel, and
//! the finished spans of the application's provider, which `percolate_rocks._bridge` passes on.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::sampler::attribute;

/// What a report is created from.
#[derive(Debug, FromPyObject)]
pub(crate) struct ReportSettings<'py>(PathBuf, Bound<'py, PyDict>);

impl ReportSettings<'_> {
    /// Returns the path, and the attributes of the resource.
    pub(crate) fn read(self) -> (PathBuf, Vec<KeyValue>) {
        (self.0, attributes(&self.1))
    }
}

/// Returns attributes of Python. Those of other types are left out, as the SDK does.
fn attributes(attributes: &Bound<'_, PyDict>) -> Vec<KeyValue> {
    let pairs = attributes.iter().filter_map(|(key, value)| {
        let key: String = key.extract().ok()?;
        Some(KeyValue::new(Key::from(key), attribute(&value).ok()?))
    });
    pairs.collect()
}

/// A finished span of the application, in the order in which `_bridge` passes its parts.
#[derive(Debug, FromPyObject)]
pub(crate) struct FinishedSpan<'py>(
    String,
    /// The trace id and the span id.
    (u128, u64),
    /// The span id of the parent, and whether it is in another process.
    Option<(u64, bool)>,
    u8,
    /// Nanoseconds since the Unix epoch.
    (u64, u64),
    Bound<'py, PyDict>,
    /// The code and the description of the status.
    (u8, Option<String>),
    /// The names, times and attributes of events.
    Vec<(String, u64, Bound<'py, PyDict>)>,
);

impl FinishedSpan<'_> {
    pub(crate) fn read(self) -> SpanData {
        let Self(name, (trace_id, span_id), parent, kind, (start, end), given, status, events) =
            self;
        let events = events
            .into_iter()
            .map(|(name, at, given)| Event::new(name, time(at), attributes(&given), 0));
        let mut span_events = SpanEvents::default();
        span_events.events = events.collect();
        let (parent, parent_span_is_remote) = parent.unwrap_or_default();
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(trace_id),
                SpanId::from(span_id),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote,
            span_kind: match kind {
                1 => SpanKind::Server,
                2 => SpanKind::Client,
                3 => SpanKind::Producer,
                4 => SpanKind::Consumer,
                _ => SpanKind::Internal,
            },
            name: name.into(),
            start_time: time(start),
            end_time: time(end),
            attributes: attributes(&given),
            dropped_attributes_count: 0,
            events: span_events,
            links: SpanLinks::default(),
            status: match status {
                (2, description) => Status::error(description.unwrap_or_default()),
                (1, _) => Status::Ok,
                _ => Status::Unset,
            },
            instrumentation_scope: InstrumentationScope::default(),
        }
    }
}

fn time(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}
