//! The log lines of [`Profile::Log`](super::Profile::Log).

use super::finding::Finding;

/// The `tracing` target of the Layer's own log lines.
pub const LOG_TARGET: &str = "percolate::conventions";

/// Logs a finding outside of any span: an event inside the checked span would become part of it.
pub(crate) fn log(finding: &Finding) {
    tracing::warn!(
        target: LOG_TARGET,
        parent: None,
        rule = finding.rule.id(),
        level = finding.level.as_str(),
        place = %finding.place,
        "{}; {}",
        finding.message,
        finding.help
    );
}
