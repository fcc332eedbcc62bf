//! [`ConventionLayer`]: checks the telemetry of a process against the conventions at run time.
//!
//! Call sites are classified once (`call_site.rs`). The values of a span become bits when they are
//! recorded (`visitor.rs`), and the span is checked with bit masks when it ends (`check.rs`).
//! Findings are counted for each call site, and are put into words (`cases.rs`) only for a
//! [`Report`]. Values are never kept. Nothing panics outside of the test scope of
//! [`Profile::Strict`], and the Layer logs outside of any span.

mod builder;
mod call_site;
mod call_sites;
mod cases;
mod check;
#[cfg(feature = "pipeline")]
mod checking_exporter;
mod convention_layer;
#[cfg(feature = "registry")]
mod definition;
mod facts;
mod filter;
mod finding;
mod finding_log;
mod finding_slot;
mod flags;
mod hooks;
mod level;
#[cfg(feature = "pipeline")]
mod metric_check;
#[cfg(feature = "pipeline")]
mod metric_findings;
#[cfg(feature = "pipeline")]
mod metric_points;
mod name_parts;
mod profile;
mod registry;
mod report;
mod role;
mod sampled_spans;
mod seen;
mod span_finding;
mod span_state;
mod test_scope;
mod text;
mod visitor;
#[cfg(feature = "registry")]
mod yaml;

pub use builder::ConventionLayerBuilder;
pub use cases::Rule;
#[cfg(feature = "pipeline")]
pub use checking_exporter::CheckingExporter;
pub use convention_layer::ConventionLayer;
#[cfg(feature = "registry")]
pub use definition::RegistryError;
pub use filter::RelevantSpans;
pub use finding::{Example, Finding, Place};
pub use finding_log::LOG_TARGET;
pub use level::Level;
pub use profile::Profile;
pub use report::Report;
pub use sampled_spans::SampledSpans;
pub use test_scope::TestScope;

#[cfg(test)]
mod tests;
