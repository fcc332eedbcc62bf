//! Metrics checked where they are exported: a `tracing` layer cannot see them. The rules are those of the registry's
//! metric definitions; the names and types of attributes are judged as on spans.
//!
//! Findings are kept per metric. Of error types only hashes are kept, to compare those of spans with those of metrics.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;

use super::super::conventions::{self, Stability, ValueType, attribute, metric};
use super::registry::{self, Registry, Want, is_well_formed};
use super::report::{Example, Finding, Place};
use super::rule::{Case, Facts, Level, METRIC, words};
use super::state::hash;
use super::text::{has_literals, is_message};
use super::{ConventionLayer, Profile, log};

/// The bounds an SDK gives a histogram whose author said nothing; made for milliseconds.
const DEFAULT_BOUNDS: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10000.0,
];

/// The longest duration in seconds that is believed: a day.
const LONGEST: f64 = 86_400.0;

/// Failures of spans that are compared with those of metrics; more are not kept.
const MAX_FAILURES: usize = 1024;

impl ConventionLayer {
    /// Wraps a metric exporter, so that everything exported is checked on its way.
    ///
    /// ```
    /// use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
    /// use percolate_otel::ConventionLayer;
    /// # use opentelemetry_sdk::{error::OTelSdkResult, metrics::{data::ResourceMetrics, Temporality}};
    /// # struct YourExporter;
    /// # impl opentelemetry_sdk::metrics::exporter::PushMetricExporter for YourExporter {
    /// #     async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult { Ok(()) }
    /// #     fn force_flush(&self) -> OTelSdkResult { Ok(()) }
    /// #     fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult { Ok(()) }
    /// #     fn temporality(&self) -> Temporality { Temporality::Cumulative }
    /// # }
    ///
    /// let conventions = ConventionLayer::new();
    /// let exporter = conventions.metric_exporter(YourExporter);
    /// let meters = SdkMeterProvider::builder().with_reader(PeriodicReader::builder(exporter).build()).build();
    /// # drop(meters);
    /// ```
    pub fn metric_exporter<E: PushMetricExporter>(&self, exporter: E) -> CheckingExporter<E> {
        CheckingExporter {
            exporter,
            conventions: self.clone(),
            known: Mutex::default(),
        }
    }

    /// Checks metrics as they would be exported. To be called when nothing is under way: every failed span seen so
    /// far is expected to be measured.
    pub fn check_metrics(&self, metrics: &ResourceMetrics) {
        let failures = self.shared.metrics.failures();
        self.check(metrics, &failures);
    }

    fn check(&self, metrics: &ResourceMetrics, failures: &HashSet<(u64, u64)>) {
        let settings = &self.shared.settings;
        if settings.profile == Profile::Off {
            return;
        }
        let mut round = Round {
            registry: &self.shared.registry,
            opt_in: &settings.opt_in,
            found: HashMap::new(),
        };
        let mut checked = Vec::new();
        for scope in metrics.scope_metrics() {
            for metric in scope.metrics() {
                if round.check(metric, scope.scope().name(), failures) {
                    checked.push((metric.name().to_owned(), scope.scope().name().to_owned()));
                }
            }
        }
        round
            .found
            .retain(|(_, case, _), _| !settings.ignored.contains(&case.rule()));
        let news = self
            .shared
            .metrics
            .merge(checked, round.found, &self.shared.registry);
        if settings.profile == Profile::Log {
            news.iter()
                .filter(|finding| finding.level > Level::Information)
                .for_each(log);
        }
    }
}

/// A metric's name and the scope it was recorded under.
type Of = (String, String);
/// The metric, what is wrong, and with which attribute or other name.
type Key = (Of, Case, String);

/// One broken rule of a metric.
#[derive(Debug, Clone, Default)]
struct Slot {
    count: u64,
    found: String,
    first: Example,
    last: Example,
}

/// What was found of metrics.
#[derive(Debug, Default)]
pub(super) struct MetricFindings {
    state: Mutex<State>,
    failures: Mutex<HashSet<(u64, u64)>>,
}

#[derive(Debug, Default)]
struct State {
    checked: HashSet<Of>,
    found: HashMap<Key, Slot>,
}

impl MetricFindings {
    /// A span of this operation failed with this error type.
    pub(super) fn span_failed(&self, operation: u64, error: u64) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < MAX_FAILURES {
            failures.insert((operation, error));
        }
    }

    fn failures(&self) -> HashSet<(u64, u64)> {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Adds one round of checks: what is new, as findings.
    fn merge(
        &self,
        checked: Vec<Of>,
        found: HashMap<Key, Slot>,
        registry: &Registry,
    ) -> Vec<Finding> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.checked.extend(checked);
        let mut news = Vec::new();
        for (key, slot) in found {
            if let Some(known) = state.found.get_mut(&key) {
                // Values are cumulative: the points of this round are those of the last one, and more.
                (known.count, known.last) = (slot.count, slot.last);
            } else {
                news.push(finding(&key, &slot, registry));
                state.found.insert(key, slot);
            }
        }
        news
    }

    pub(super) fn findings(&self, registry: &Registry) -> (usize, Vec<Finding>) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (
            state.checked.len(),
            state
                .found
                .iter()
                .map(|(key, slot)| finding(key, slot, registry))
                .collect(),
        )
    }

    pub(super) fn clear(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

fn finding((of, case, subject): &Key, slot: &Slot, registry: &Registry) -> Finding {
    let definition = registry.metrics.get(of.0.as_str());
    let defined =
        |part: fn(&registry::Metric) -> &str| definition.map(part).unwrap_or_default().to_owned();
    let expected = match case {
        Case::Unit => defined(|metric| &metric.unit),
        Case::Instrument => defined(|metric| &metric.instrument),
        Case::MetricUnknown => registry
            .nearest_metric(&of.0)
            .unwrap_or_default()
            .to_owned(),
        Case::MetricDeprecatedName => registry
            .deprecated_metrics
            .get(of.0.as_str())
            .cloned()
            .unwrap_or_default()
            .into(),
        Case::Deprecated => registry
            .deprecated
            .get(subject.as_str())
            .cloned()
            .unwrap_or_default()
            .into(),
        Case::Misspelt => registry
            .nearest_attribute(subject)
            .unwrap_or_default()
            .to_owned(),
        Case::IllegalNamespace => registry
            .attribute_as_namespace(subject)
            .unwrap_or_default()
            .to_owned(),
        Case::TypeMismatch => registry
            .attribute(subject)
            .map_or("any", |known| known.value_type.as_str())
            .to_owned(),
        _ => registry
            .attribute(subject)
            .map(registry::Attribute::in_words)
            .unwrap_or_default(),
    };
    let facts = Facts {
        subject: subject.clone(),
        span: METRIC.to_owned(),
        expected,
        found: slot.found.clone(),
    };
    let (message, help) = words(*case, &facts);
    Finding {
        rule: case.rule(),
        level: case.level(),
        place: Place::Metric {
            name: of.0.clone(),
            scope: of.1.clone(),
        },
        subject: subject.clone(),
        message,
        help,
        count: slot.count,
        first: slot.first.clone(),
        last: slot.last.clone(),
    }
}

/// One round of checks over everything that was collected.
struct Round<'a> {
    registry: &'a Registry,
    opt_in: &'a [String],
    found: HashMap<Key, Slot>,
}

impl Round<'_> {
    /// Checks one metric; `false` when it is nobody's business.
    fn check(&mut self, metric: &Metric, scope: &str, failures: &HashSet<(u64, u64)>) -> bool {
        let name = metric.name();
        let of = (name.to_owned(), scope.to_owned());
        let registry = self.registry;
        let Some(definition) = registry.metrics.get(name) else {
            if registry.deprecated_metrics.contains_key(name) {
                self.add(&of, Case::MetricDeprecatedName, name, "", &[]);
            } else if registry.owns(name) || scope == conventions::SCOPE_NAME {
                self.add(&of, Case::MetricUnknown, name, "", &[]);
            } else {
                return false;
            }
            return true;
        };
        if metric.unit() != definition.unit {
            self.add(&of, Case::Unit, "", metric.unit(), &[]);
        }
        if definition.stability == Stability::Development {
            self.add(&of, Case::NotStable, name, "", &[]);
        }
        let points = points(metric.data());
        if points.instrument != definition.instrument {
            self.add(&of, Case::Instrument, "", points.instrument, &[]);
        }
        let in_seconds =
            definition.unit == "s" && metric.unit() == "s" && points.instrument == "histogram";
        let mut measured = HashSet::new();
        for point in &points.points {
            if point
                .attributes
                .iter()
                .any(|pair| pair.key.as_str() == attribute::OTEL_METRIC_OVERFLOW)
            {
                continue;
            }
            self.attributes(&of, definition, &point.attributes);
            if in_seconds {
                self.seconds(&of, point);
            }
            measured.insert(outcome(&point.attributes));
        }
        if matches!(
            name,
            metric::DB_CLIENT_OPERATION_DURATION | metric::JOB_DURATION
        ) {
            let operations: HashSet<u64> =
                measured.iter().map(|(operation, _)| *operation).collect();
            for failure in failures {
                if operations.contains(&failure.0) && !measured.contains(failure) {
                    self.add(&of, Case::ErrorTypeDiffers, attribute::ERROR_TYPE, "", &[]);
                }
            }
        }
        true
    }

    fn attributes(&mut self, of: &Of, definition: &registry::Metric, attributes: &[KeyValue]) {
        let registry = self.registry;
        for used in definition
            .attributes
            .iter()
            .filter(|used| used.want == Want::Required)
        {
            if !attributes.iter().any(|pair| pair.key.as_str() == used.key) {
                self.add(of, Case::RequiredMissing, &used.key, "", attributes);
            }
        }
        for pair in attributes {
            let key = pair.key.as_str();
            let Some(attribute) = registry.attribute(key) else {
                let case = if registry.deprecated.contains_key(key) {
                    Case::Deprecated
                } else if registry.nearest_attribute(key).is_some() {
                    Case::Misspelt
                } else if !is_well_formed(key) {
                    Case::Malformed
                } else if registry.attribute_as_namespace(key).is_some() {
                    Case::IllegalNamespace
                } else if registry.owns(key) {
                    Case::Unknown
                } else {
                    continue;
                };
                self.add(of, case, key, "", attributes);
                continue;
            };
            let given = type_of(&pair.value);
            if attribute.value_type != ValueType::Any && attribute.value_type.as_str() != given {
                self.add(of, Case::TypeMismatch, key, given, attributes);
            }
            if let Value::String(text) = &pair.value {
                if !attribute.members.is_empty()
                    && !attribute
                        .members
                        .iter()
                        .any(|member| member == text.as_str())
                {
                    self.add(of, Case::UndefinedMember, key, "", attributes);
                }
                if key == attribute::ERROR_TYPE && is_message(text.as_str()) {
                    self.add(of, Case::ErrorTypeCardinality, key, "", attributes);
                }
                if key == attribute::DB_QUERY_TEXT && has_literals(text.as_str()) {
                    self.add(of, Case::Literal, key, "", attributes);
                }
            }
            match definition.attributes.iter().find(|used| used.key == key) {
                Some(used)
                    if used.want == Want::OptIn
                        && !self.opt_in.iter().any(|allowed| allowed == key) =>
                {
                    self.add(of, Case::OptIn, key, "", attributes);
                }
                None if registry.owns(key) => self.add(of, Case::NotOfMetric, key, "", attributes),
                _ => {}
            }
        }
        let text = |key: &str| {
            attributes
                .iter()
                .find(|pair| pair.key.as_str() == key)
                .map(|pair| pair.value.as_str())
        };
        let (status, has_error) = (
            text(attribute::JOB_STATUS),
            text(attribute::ERROR_TYPE).is_some(),
        );
        match status.as_deref() {
            Some("failed") if !has_error => self.add(
                of,
                Case::ErrorTypeMissing,
                attribute::ERROR_TYPE,
                "",
                attributes,
            ),
            Some("success") if has_error => {
                self.add(
                    of,
                    Case::ErrorTypeWithoutError,
                    attribute::ERROR_TYPE,
                    "",
                    attributes,
                );
            }
            _ => {}
        }
    }

    fn seconds(&mut self, of: &Of, point: &Point) {
        if point.bounds == DEFAULT_BOUNDS {
            self.add(of, Case::DefaultBounds, "", "", &point.attributes);
        }
        if !point.sum.is_finite() || point.sum < 0.0 || point.least.is_some_and(|least| least < 0.0)
        {
            self.add(of, Case::Negative, "", "", &point.attributes);
        } else if point.most.is_some_and(|most| most > LONGEST) {
            self.add(of, Case::TooLong, "", "", &point.attributes);
        }
    }

    fn add(&mut self, of: &Of, case: Case, subject: &str, found: &str, attributes: &[KeyValue]) {
        let example = || -> Example {
            attributes
                .iter()
                .map(|pair| (pair.key.as_str().to_owned(), type_of(&pair.value)))
                .collect()
        };
        let slot = self
            .found
            .entry((of.clone(), case, subject.to_owned()))
            .or_insert_with(|| Slot {
                count: 0,
                found: found.to_owned(),
                first: example(),
                last: Example::new(),
            });
        slot.count += 1;
        slot.last = example();
    }
}

/// Hashes of the operation (or job type) and of the error type; 0 for a success.
fn outcome(attributes: &[KeyValue]) -> (u64, u64) {
    let of = |keys: &[&str]| {
        let pair = attributes
            .iter()
            .find(|pair| keys.contains(&pair.key.as_str()));
        pair.map_or(0, |pair| hash(&pair.value.as_str()))
    };
    (
        of(&[attribute::DB_OPERATION_NAME, attribute::JOB_TYPE]),
        of(&[attribute::ERROR_TYPE]),
    )
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::I64(_) => "int",
        Value::F64(_) => "double",
        Value::String(_) => "string",
        _ => "array",
    }
}

/// The points of a metric, whatever the type of their numbers.
struct Points {
    instrument: &'static str,
    points: Vec<Point>,
}

struct Point {
    attributes: Vec<KeyValue>,
    bounds: Vec<f64>,
    sum: f64,
    least: Option<f64>,
    most: Option<f64>,
}

fn points(data: &AggregatedMetrics) -> Points {
    #[expect(
        clippy::cast_precision_loss,
        reason = "compared with bounds far below the loss"
    )]
    match data {
        AggregatedMetrics::F64(data) => points_of(data, |value| value),
        AggregatedMetrics::U64(data) => points_of(data, |value| value as f64),
        AggregatedMetrics::I64(data) => points_of(data, |value| value as f64),
    }
}

fn points_of<T: Copy>(data: &MetricData<T>, number: impl Fn(T) -> f64) -> Points {
    let plain = |attributes: Vec<KeyValue>, value| Point {
        attributes,
        bounds: Vec::new(),
        sum: number(value),
        least: None,
        most: None,
    };
    let (instrument, points) = match data {
        MetricData::Gauge(gauge) => (
            "gauge",
            gauge
                .data_points()
                .map(|point| plain(point.attributes().cloned().collect(), point.value()))
                .collect(),
        ),
        MetricData::Sum(sum) => (
            if sum.is_monotonic() {
                "counter"
            } else {
                "updowncounter"
            },
            sum.data_points()
                .map(|point| plain(point.attributes().cloned().collect(), point.value()))
                .collect(),
        ),
        MetricData::Histogram(histogram) => (
            "histogram",
            histogram
                .data_points()
                .map(|point| Point {
                    attributes: point.attributes().cloned().collect(),
                    bounds: point.bounds().collect(),
                    sum: number(point.sum()),
                    least: point.min().map(&number),
                    most: point.max().map(&number),
                })
                .collect(),
        ),
        MetricData::ExponentialHistogram(histogram) => (
            "histogram",
            histogram
                .data_points()
                .map(|point| Point {
                    attributes: point.attributes().cloned().collect(),
                    bounds: Vec::new(),
                    sum: number(point.sum()),
                    least: point.min().map(&number),
                    most: point.max().map(&number),
                })
                .collect(),
        ),
    };
    Points { instrument, points }
}

/// A metric exporter whose metrics are checked on their way; made by [`ConventionLayer::metric_exporter`].
#[derive(Debug)]
pub struct CheckingExporter<E> {
    exporter: E,
    conventions: ConventionLayer,
    /// Failures of spans that were known at the last export. Later ones may have come while metrics were collected.
    known: Mutex<HashSet<(u64, u64)>>,
}

impl<E: PushMetricExporter> PushMetricExporter for CheckingExporter<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let newest = self.conventions.shared.metrics.failures();
        let known = std::mem::replace(
            &mut *self.known.lock().unwrap_or_else(PoisonError::into_inner),
            newest,
        );
        // Points of one interval do not hold what earlier ones measured.
        let compared = if self.temporality() == Temporality::Cumulative {
            known
        } else {
            HashSet::new()
        };
        self.conventions.check(metrics, &compared);
        self.exporter.export(metrics).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
