//! Decides which cases apply to a metric when it is exported: `tracing` layers do not see metrics.
//! Attributes are checked as on spans. `cases.rs` has the cases.

use std::collections::{HashMap, HashSet};

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::metrics::data::Metric;

use super::cases::Case;
use super::finding::Example;
use super::metric_findings::{Failures, MetricKey, MetricName, MetricSlot};
use super::metric_points::{Point, points};
use super::registry::{self, Registry, Requirement, is_well_formed};
use super::text::{has_literals, hash, is_message};
use crate::conventions::{self, JobStatus, Stability, ValueType, attribute, metric};

/// The default bounds of the SDK, which are meant for milliseconds.
const DEFAULT_BOUNDS: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10000.0,
];

/// The longest plausible duration in seconds: a day.
const LONGEST: f64 = 86_400.0;

/// One round of checks over all collected metrics.
pub(crate) struct MetricCheck<'a> {
    registry: &'a Registry,
    opt_in: &'a [String],
    pub(crate) found: HashMap<MetricKey, MetricSlot>,
}

impl<'a> MetricCheck<'a> {
    pub(crate) fn new(registry: &'a Registry, opt_in: &'a [String]) -> Self {
        Self {
            registry,
            opt_in,
            found: HashMap::new(),
        }
    }

    /// Checks one metric. Returns `false` if the registry does not cover it.
    pub(crate) fn check(&mut self, metric: &Metric, scope: &str, failures: &Failures) -> bool {
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

    fn attributes(
        &mut self,
        of: &MetricName,
        definition: &registry::Metric,
        attributes: &[KeyValue],
    ) {
        let registry = self.registry;
        for used in definition
            .attributes
            .iter()
            .filter(|used| used.requirement == Requirement::Required)
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
                    if used.requirement == Requirement::OptIn
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
            Some(status) if status == JobStatus::Failed.as_str() && !has_error => self.add(
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

    fn seconds(&mut self, of: &MetricName, point: &Point) {
        if point.bounds == DEFAULT_BOUNDS {
            self.add(of, Case::DefaultBounds, "", "", &point.attributes);
        }
        let is_negative = point.sum < 0.0 || point.min.is_some_and(|min| min < 0.0);
        if !point.sum.is_finite() || is_negative {
            self.add(of, Case::Negative, "", "", &point.attributes);
        } else if point.max.is_some_and(|max| max > LONGEST) {
            self.add(of, Case::TooLong, "", "", &point.attributes);
        }
    }

    fn add(
        &mut self,
        of: &MetricName,
        case: Case,
        subject: &str,
        found: &str,
        attributes: &[KeyValue],
    ) {
        let example = || -> Example {
            attributes
                .iter()
                .map(|pair| (pair.key.as_str().to_owned(), type_of(&pair.value)))
                .collect()
        };
        let slot = self
            .found
            .entry((of.clone(), case, subject.to_owned()))
            .or_insert_with(|| MetricSlot {
                count: 0,
                found: found.to_owned(),
                first: example(),
                last: Example::new(),
            });
        slot.count += 1;
        slot.last = example();
    }
}

/// Returns the hashes of the operation (or job type) and of the error type, which is 0 for a
/// success.
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
