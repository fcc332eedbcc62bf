//! The types of the tables: what is known of an attribute, a span, a metric and a deprecated name.

/// The type of an attribute's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueType {
    /// A string.
    String,
    /// A signed 64-bit integer. `tracing` fields must be recorded as `i64`.
    Int,
    /// A 64-bit floating-point number.
    Double,
    /// A boolean.
    Boolean,
    /// A list, or a type that the tables do not restrict.
    Any,
}

impl ValueType {
    /// Returns the name that the semantic conventions use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Any => "any",
        }
    }
}

/// The stability of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stability {
    /// Does not change.
    Stable,
    /// May still change.
    Development,
}

impl Stability {
    /// Returns the name that the semantic conventions use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Development => "development",
        }
    }
}

/// The requirement level of an attribute on a span or metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequirementLevel {
    /// Always present.
    Required,
    /// Present if the condition holds.
    ConditionallyRequired(&'static str),
    /// Present by default.
    Recommended,
    /// Present only if it was enabled.
    OptIn,
}

impl RequirementLevel {
    /// Returns the name that the semantic conventions use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::ConditionallyRequired(_) => "conditionally_required",
            Self::Recommended => "recommended",
            Self::OptIn => "opt_in",
        }
    }
}

/// The source of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// OpenTelemetry's semantic conventions.
    OpenTelemetry,
    /// percolate's own registry, `semconv/`.
    Percolate,
}

/// The definition of an attribute.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AttributeDef {
    /// The full name.
    pub key: &'static str,
    /// The type of its value.
    pub value_type: ValueType,
    /// The possible values, if percolate defines a closed set of them.
    pub members: &'static [&'static str],
    /// Its stability.
    pub stability: Stability,
    /// Its source.
    pub source: Source,
    /// Its meaning, as a sentence.
    pub brief: &'static str,
    /// An example of a value, in YAML.
    pub example: &'static str,
}

/// An attribute of a span or metric.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AttributeUse {
    /// Its name.
    pub key: &'static str,
    /// Its requirement level.
    pub level: RequirementLevel,
    /// Whether it must be set when the span is created, because samplers read it.
    pub at_start: bool,
}

/// The definition of a type of span.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SpanDef {
    /// Its type in registries.
    pub span_type: &'static str,
    /// Its span kind.
    pub kind: &'static str,
    /// The format of its name.
    pub name: &'static str,
    /// Its meaning, as a sentence.
    pub brief: &'static str,
    /// Its attributes.
    pub attributes: &'static [AttributeUse],
}

/// The definition of a metric.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct MetricDef {
    /// Its name.
    pub name: &'static str,
    /// `histogram`, `counter`, `updowncounter` or `gauge`.
    pub instrument: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Its stability.
    pub stability: Stability,
    /// Its source.
    pub source: Source,
    /// What it measures, as a sentence.
    pub brief: &'static str,
    /// Its attributes.
    pub attributes: &'static [AttributeUse],
}

/// A deprecated name.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DeprecatedName {
    /// The name.
    pub key: &'static str,
    /// The name that replaces it; empty if there is none.
    pub instead: &'static str,
}

pub(super) const fn start(key: &'static str, level: RequirementLevel) -> AttributeUse {
    AttributeUse {
        key,
        level,
        at_start: true,
    }
}

pub(super) const fn late(key: &'static str, level: RequirementLevel) -> AttributeUse {
    AttributeUse {
        key,
        level,
        at_start: false,
    }
}

pub(super) const fn deprecated(key: &'static str, instead: &'static str) -> DeprecatedName {
    DeprecatedName { key, instead }
}
