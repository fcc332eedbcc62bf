//! The findings of metrics, and the failures of spans that metrics are compared with. Of operations
//! and error types only hashes are kept.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::cases::Case;
use super::facts::{Facts, METRIC};
use super::finding::{Example, Finding, Place};
use super::registry::Registry;

/// The largest number of failures that are kept.
const MAX_FAILURES: usize = 1024;

/// Hashes of operations (or job types) and error types.
pub(crate) type Failures = HashSet<(u64, u64)>;

/// The name of a metric and its instrumentation scope.
pub(crate) type MetricName = (String, String);
/// The metric, the case, and the attribute or other name.
pub(crate) type MetricKey = (MetricName, Case, String);

/// One finding of a metric.
#[derive(Debug, Clone, Default)]
pub(crate) struct MetricSlot {
    pub(crate) count: u64,
    pub(crate) found: String,
    pub(crate) first: Example,
    pub(crate) last: Example,
}

/// The findings of all metrics.
#[derive(Debug, Default)]
pub(super) struct MetricFindings {
    found: Mutex<Found>,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Found {
    checked: HashSet<MetricName>,
    slots: HashMap<MetricKey, MetricSlot>,
}

impl MetricFindings {
    /// Notes that a span of this operation failed with this error type.
    pub(super) fn span_failed(&self, operation: u64, error: u64) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < MAX_FAILURES {
            failures.insert((operation, error));
        }
    }

    /// Returns the failures of spans.
    pub(super) fn failures(&self) -> Failures {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Adds one round of checks. Returns the findings that are new.
    pub(super) fn merge(
        &self,
        checked: Vec<MetricName>,
        slots: HashMap<MetricKey, MetricSlot>,
        registry: &Registry,
    ) -> Vec<Finding> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.checked.extend(checked);
        let mut news = Vec::new();
        for (key, slot) in slots {
            if let Some(known) = found.slots.get_mut(&key) {
                // Metrics are cumulative: this round includes the points of the last one.
                (known.count, known.last) = (slot.count, slot.last);
            } else {
                news.push(metric_finding(&key, &slot, registry));
                found.slots.insert(key, slot);
            }
        }
        news
    }

    /// Returns the number of checked metrics and all findings.
    pub(super) fn findings(&self, registry: &Registry) -> (usize, Vec<Finding>) {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        (
            found.checked.len(),
            found
                .slots
                .iter()
                .map(|(key, slot)| metric_finding(key, slot, registry))
                .collect(),
        )
    }

    /// Removes all findings and failures.
    pub(super) fn clear(&self) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Found::default();
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// Puts a finding of a metric into words.
fn metric_finding(key: &MetricKey, slot: &MetricSlot, registry: &Registry) -> Finding {
    let ((name, scope), case, subject) = key;
    let facts = Facts {
        registry,
        subject,
        span: METRIC,
        found: &slot.found,
        kind: "",
        name: "",
        metric: registry.metrics.get(name.as_str()),
    };
    let (message, help) = case.message_and_help(&facts);
    Finding {
        rule: case.rule(),
        level: case.level(),
        place: Place::Metric {
            name: name.clone(),
            scope: scope.clone(),
        },
        subject: subject.clone(),
        message,
        help,
        count: slot.count,
        first: slot.first.clone(),
        last: slot.last.clone(),
    }
}
