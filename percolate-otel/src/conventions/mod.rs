//! The names of attributes, spans, metrics, targets and values, and tables with their types, levels
//! and stability. No other file contains such a name. The Layer checks telemetry against the
//! tables.
//!
//! Source: OpenTelemetry semantic conventions 1.44 for `db.*`, `error.*` and `server.*`;
//! percolate's own registry (`semconv/`) for `job.*` and `db.response.affected_rows`. Tests compare
//! the tables with that registry and with the constants of `opentelemetry-semantic-conventions`.

pub mod attribute;
mod attributes;
mod definition;
mod deprecated;
mod job_status;
pub mod metric;
mod metrics;
mod spans;
pub mod target;
pub mod value;

pub use attributes::{ATTRIBUTES, TEMPLATES};
pub use definition::{
    AttributeDef, AttributeUse, DeprecatedName, MetricDef, RequirementLevel, Source, SpanDef,
    Stability, ValueType,
};
pub use deprecated::{DEPRECATED, DEPRECATED_METRICS};
pub use job_status::JobStatus;
pub use metrics::{METRICS, OTHER_METRICS};
pub use spans::{DB_SPAN, JOB_SPAN};

/// The schema of the emitted names.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// The name of the instrumentation scope of percolate's spans and metrics.
pub const SCOPE_NAME: &str = "percolate";

/// Returns the definition of an attribute.
pub fn find_attribute(key: &str) -> Option<&'static AttributeDef> {
    ATTRIBUTES.iter().find(|attribute| attribute.key == key)
}

#[cfg(test)]
mod tests;
