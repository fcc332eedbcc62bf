//! Views of the Python application's meter provider, applied where Rust metrics are aggregated.
//!
//! `percolate_rocks._bridge` reads a view. This file matches instruments as the Python SDK does
//! (names and units by pattern, the rest exactly) and returns the streams of the Rust SDK, or the
//! buckets of percolate's own aggregation.

use opentelemetry::{InstrumentationScope, Key};
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, MeterProviderBuilder, Stream,
};
use percolate_core::otel::conventions::metric;
use percolate_core::otel::runtime::{Buckets, OwnAggregation, instrumentation_scope};
use pyo3::prelude::*;

/// A view as Python passes it.
#[derive(Debug, Clone, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct View {
    /// The kinds of instruments it matches.
    kinds: Vec<String>,
    /// The name and the unit are patterns with `*` and `?`, the others exact texts. `None` matches
    /// all.
    instrument: Option<String>,
    unit: Option<String>,
    meter: Option<String>,
    version: Option<String>,
    schema_url: Option<String>,
    /// The name of the stream, instead of the instrument's.
    name: Option<String>,
    description: Option<String>,
    /// The attributes to keep; `None` for all.
    attributes: Option<Vec<String>>,
    limit: Option<usize>,
    aggregation: Aggregating,
}

/// An aggregation as Python passes it.
#[derive(Debug, Clone, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Aggregating {
    /// `default`, `drop`, `sum`, `last_value`, `explicit` or `exponential`.
    kind: String,
    bounds: Option<Vec<f64>>,
    max_size: u32,
    max_scale: i8,
    record_min_max: bool,
}

impl Aggregating {
    /// Returns the aggregation; `None` for the default of the instrument.
    fn aggregation(&self) -> Option<Aggregation> {
        let record_min_max = self.record_min_max;
        Some(match self.kind.as_str() {
            "drop" => Aggregation::Drop,
            "sum" => Aggregation::Sum,
            "last_value" => Aggregation::LastValue,
            "explicit" => Aggregation::ExplicitBucketHistogram {
                boundaries: self.bounds.clone()?,
                record_min_max,
            },
            "exponential" => Aggregation::Base2ExponentialHistogram {
                max_size: self.max_size,
                max_scale: self.max_scale,
                record_min_max,
            },
            _ => return None,
        })
    }

    /// Returns the buckets of a histogram whose default is `default`; `None` if it has no buckets,
    /// or neither minimum nor maximum.
    fn buckets(&self, default: Buckets) -> Option<Buckets> {
        match self.aggregation() {
            None => Some(default),
            Some(Aggregation::ExplicitBucketHistogram {
                boundaries,
                record_min_max: true,
            }) if boundaries.iter().all(|bound| bound.is_finite()) => {
                Some(Buckets::Explicit(boundaries))
            }
            Some(Aggregation::Base2ExponentialHistogram {
                max_size: max_size @ 2..,
                max_scale,
                record_min_max: true,
            }) => Some(Buckets::Exponential {
                max_size,
                max_scale,
            }),
            Some(_) => None,
        }
    }
}

/// Returns percolate's own aggregation with the buckets of the views, for readers that are added
/// later. `None` if a view changes more than the buckets of a histogram, or if a histogram has two
/// streams.
pub(crate) fn own_aggregation(views: &[View], histograms: &Aggregating) -> Option<OwnAggregation> {
    let scope = instrumentation_scope();
    let buckets = |name: &'static str, unit: &str, default: Buckets| {
        let instrument = Subject {
            kind: InstrumentKind::Histogram,
            name,
            unit,
            scope: &scope,
        };
        let matches = |view: &&View| view.matches(&instrument) && view.stream(histograms).is_ok();
        let mut matching = views.iter().filter(matches);
        match (matching.next(), matching.next()) {
            (None, _) => histograms.buckets(default),
            (Some(view), None) if view.changes_only_buckets(name) => {
                let inherits = view.aggregation.kind == "default";
                let aggregation = if inherits {
                    histograms
                } else {
                    &view.aggregation
                };
                aggregation.buckets(default)
            }
            (Some(_), _) => None,
        }
    };
    let default = OwnAggregation::default();
    Some(OwnAggregation {
        operations: buckets(
            metric::DB_CLIENT_OPERATION_DURATION,
            "s",
            default.operations,
        )?,
        jobs: buckets(metric::JOB_DURATION, "s", default.jobs)?,
        queue_waits: buckets(metric::JOB_QUEUE_WAIT, "s", default.queue_waits)?,
        rows: buckets(
            metric::DB_CLIENT_RESPONSE_RETURNED_ROWS,
            "{row}",
            default.rows,
        )?,
        exemplars: default.exemplars,
        readers: Vec::new(),
    })
}

/// What a view can match.
struct Subject<'a> {
    kind: InstrumentKind,
    name: &'a str,
    unit: &'a str,
    scope: &'a InstrumentationScope,
}

impl<'a> From<&'a Instrument> for Subject<'a> {
    fn from(instrument: &'a Instrument) -> Self {
        Self {
            kind: instrument.kind(),
            name: instrument.name(),
            unit: instrument.unit(),
            scope: instrument.scope(),
        }
    }
}

/// Adds the views to a provider. `histograms` is the aggregation of histograms that no view
/// matches.
///
/// Also returns one message per view that the SDK refuses. Refused views match nothing.
pub(crate) fn add(
    mut builder: MeterProviderBuilder,
    views: Vec<View>,
    histograms: &Aggregating,
) -> (MeterProviderBuilder, Vec<String>) {
    let mut refused = Vec::new();
    let mut usable = Vec::new();
    for view in views {
        match view.stream(histograms) {
            Ok(_) => usable.push(view),
            Err(error) => refused.push(format!(
                "the View of {:?} is not applied: {error}",
                view.subject()
            )),
        }
    }
    for view in usable.clone() {
        let histograms = histograms.clone();
        builder = builder.with_view(move |instrument| {
            view.matches(&instrument.into())
                .then(|| view.stream(&histograms).ok())
                .flatten()
        });
    }
    if let Some(aggregation) = histograms.aggregation() {
        builder = builder.with_view(move |instrument: &Instrument| {
            let is_free = instrument.kind() == InstrumentKind::Histogram
                && !usable.iter().any(|view| view.matches(&instrument.into()));
            let stream = || {
                Stream::builder()
                    .with_aggregation(aggregation.clone())
                    .build()
                    .ok()
            };
            is_free.then(stream).flatten()
        });
    }
    (builder, refused)
}

impl View {
    fn matches(&self, instrument: &Subject<'_>) -> bool {
        let scope = instrument.scope;
        let is = |expected: &Option<String>, found: Option<&str>| {
            expected
                .as_deref()
                .is_none_or(|expected| found.unwrap_or_default() == expected)
        };
        let fits = |pattern: &Option<String>, text: &str| {
            pattern
                .as_deref()
                .is_none_or(|pattern| is_match(pattern.as_bytes(), text.as_bytes()))
        };
        let name = instrument.name.to_ascii_lowercase();
        self.kinds
            .iter()
            .any(|kind| kind == name_of(instrument.kind))
            && fits(&self.instrument, &name)
            && fits(&self.unit, instrument.unit)
            && is(&self.meter, Some(scope.name()))
            && is(&self.version, scope.version())
            && is(&self.schema_url, scope.schema_url())
    }

    /// Whether the stream of the instrument with this name differs from the default in its
    /// aggregation only.
    fn changes_only_buckets(&self, instrument: &str) -> bool {
        self.name.as_deref().is_none_or(|name| name == instrument)
            && self.description.is_none()
            && self.attributes.is_none()
            && self.limit.is_none()
    }

    fn stream(&self, histograms: &Aggregating) -> Result<Stream, Box<dyn std::error::Error>> {
        let mut stream = Stream::builder();
        if let Some(name) = &self.name {
            stream = stream.with_name(name.clone());
        }
        if let Some(description) = &self.description {
            stream = stream.with_description(description.clone());
        }
        if let Some(attributes) = &self.attributes {
            stream = stream.with_allowed_attribute_keys(attributes.iter().cloned().map(Key::from));
        }
        if let Some(limit) = self.limit {
            stream = stream.with_cardinality_limit(limit);
        }
        let is_histogram = self
            .kinds
            .iter()
            .any(|kind| kind == name_of(InstrumentKind::Histogram));
        let inherited = || {
            histograms
                .aggregation()
                .filter(|_| is_histogram && self.aggregation.kind == "default")
        };
        if let Some(aggregation) = self.aggregation.aggregation().or_else(inherited) {
            stream = stream.with_aggregation(aggregation);
        }
        stream.build()
    }

    /// Returns what the view matches, for a message.
    fn subject(&self) -> &str {
        let named = self
            .instrument
            .as_deref()
            .or(self.unit.as_deref())
            .or(self.meter.as_deref());
        named.unwrap_or("some instruments")
    }
}

fn name_of(kind: InstrumentKind) -> &'static str {
    match kind {
        InstrumentKind::Counter => "counter",
        InstrumentKind::UpDownCounter => "up_down_counter",
        InstrumentKind::Histogram => "histogram",
        InstrumentKind::Gauge => "gauge",
        InstrumentKind::ObservableCounter => "observable_counter",
        InstrumentKind::ObservableUpDownCounter => "observable_up_down_counter",
        InstrumentKind::ObservableGauge => "observable_gauge",
    }
}

/// Returns whether `text` matches `pattern`: `*` matches any number of bytes and `?` one.
fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            is_match(rest, text) || (!text.is_empty() && is_match(pattern, &text[1..]))
        }
        ([b'?', rest @ ..], [_, text @ ..]) => is_match(rest, text),
        ([first, rest @ ..], [found, text @ ..]) => first == found && is_match(rest, text),
        _ => false,
    }
}
