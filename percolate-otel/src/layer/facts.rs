//! What the message and help of a case may mention: names, types and definitions. Never a value
//! that was recorded.

use super::registry::{Metric, Registry};

/// The facts of one finding.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    pub(crate) registry: &'a Registry,
    /// The attribute or other name; empty for the span or metric as a whole.
    pub(crate) subject: &'a str,
    /// `database span`, `job span`, the span type of a user's registry, or `metric`.
    pub(crate) span: &'a str,
    /// The type, unit or instrument that was recorded.
    pub(crate) found: &'a str,
    /// The span kind of this type of span, in lower case; empty for metrics.
    pub(crate) kind: &'a str,
    /// The pattern of the span name, such as `{db.operation.name}`; empty for metrics.
    pub(crate) name: &'a str,
    /// The definition of the metric, if the finding is about a defined metric.
    pub(crate) metric: Option<&'a Metric>,
}

/// [`Facts::span`] of metrics.
pub(crate) const METRIC: &str = "metric";

impl Facts<'_> {
    pub(crate) fn is_metric(&self) -> bool {
        self.span == METRIC
    }

    /// The replacement of a deprecated attribute; empty if there is none.
    pub(crate) fn replacement(&self) -> &str {
        let names = &self.registry.deprecated;
        names.get(self.subject).map_or("", AsRef::as_ref)
    }

    /// The replacement of a deprecated metric; empty if there is none.
    pub(crate) fn metric_replacement(&self) -> &str {
        let names = &self.registry.deprecated_metrics;
        names.get(self.subject).map_or("", AsRef::as_ref)
    }

    /// The attribute that a misspelled name probably stands for.
    pub(crate) fn nearest_attribute(&self) -> &str {
        self.registry.nearest_attribute(self.subject).unwrap_or("")
    }

    /// The metric that a misspelled name probably stands for.
    pub(crate) fn nearest_metric(&self) -> Option<&str> {
        self.registry.nearest_metric(self.subject)
    }

    /// The attribute whose full name the subject starts with.
    pub(crate) fn attribute_as_namespace(&self) -> &str {
        self.registry
            .attribute_as_namespace(self.subject)
            .unwrap_or("")
    }

    /// The type of the attribute in its definition.
    pub(crate) fn value_type(&self) -> &'static str {
        self.registry
            .attribute(self.subject)
            .map_or("any", |attribute| attribute.value_type.as_str())
    }

    /// The values that the definition of the attribute allows, in words.
    pub(crate) fn values(&self) -> String {
        self.registry.attribute(self.subject).map_or_else(
            || "any value".to_owned(),
            super::registry::Attribute::in_words,
        )
    }

    /// The unit in the definition of the metric.
    pub(crate) fn unit(&self) -> &str {
        self.metric.map_or("", |metric| &metric.unit)
    }

    /// The instrument in the definition of the metric.
    pub(crate) fn instrument(&self) -> &str {
        self.metric.map_or("", |metric| &metric.instrument)
    }
}
