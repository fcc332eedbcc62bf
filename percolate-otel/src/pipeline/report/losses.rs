//! [`PipelineState`]: what the pipeline exported and lost when the page is written.

use super::super::counters::{ExportCounts, most_lost};
use super::super::signal::Signal;

/// The state of the pipeline around the report.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct PipelineState {
    /// The exporters with their counts.
    pub(in super::super) exporters: Vec<(Signal, String, ExportCounts)>,
    /// Sampled annotated calls that have ended.
    pub(in super::super) recorded_spans: u64,
    /// Spans of annotated calls that found their buffer full.
    pub(in super::super) dropped_records: u64,
    /// Spans of annotated calls that ended after the shutdown.
    pub(in super::super) dropped_after_shutdown: u64,
    pub(in super::super) sampler: String,
    /// Problems of the configuration.
    pub(in super::super) warnings: Vec<String>,
    /// Whether the pipeline ends, so that no span follows.
    pub(in super::super) is_last: bool,
}

impl PipelineState {
    /// The number of spans that the exporter with the largest losses, or the way to all of them, has
    /// lost.
    pub(super) fn lost_spans(&self) -> u64 {
        let of_traces = self
            .exporters
            .iter()
            .filter(|(signal, ..)| *signal == Signal::Traces);
        most_lost(of_traces.map(|(_, _, counts)| counts))
            + self.dropped_records
            + self.dropped_after_shutdown
    }
}
