//! [`Limits`]: how much the report keeps.

/// The bounds of the report's memory, and so of the size of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The most spans of one trace. Of longer traces the failed and the longest spans are kept.
    pub(super) spans_of_trace: usize,
    /// The most spans of all traces that have ended.
    pub(super) spans: usize,
    /// The most spans of traces that have not ended.
    pub(super) open_spans: usize,
    /// The most bytes of all spans, as estimated by [`span_bytes`](super::super::span_size::span_bytes).
    pub(super) bytes: usize,
    /// The most slow traces, and the most with the same root span.
    pub(super) slow: (usize, usize),
    /// The most failed traces, and the most with the same root span and error.
    pub(super) failed: (usize, usize),
    /// The size of the random sample of the other traces.
    pub(super) sample: usize,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self {
        spans_of_trace: 10_000,
        spans: 30_000,
        open_spans: 20_000,
        bytes: 48 << 20,
        slow: (30, 5),
        failed: (30, 5),
        sample: 30,
    };
}

/// The most nodes of the flame graph, and its most levels.
pub(super) const FLAME_NODES: usize = 3_000;
pub(super) const FLAME_LEVELS: usize = 48;
/// The most operations and jobs with a heat map. Further ones share one.
pub(super) const HEAT_MAPS: usize = 100;
/// The most columns of a heat map. When there are more, neighbours are merged.
pub(super) const HEAT_COLUMNS: usize = 96;
/// The most values of metrics.
pub(super) const FIGURES: usize = 2_000;
/// The most levels of a trace. Deeper spans are only counted.
pub(super) const TRACE_LEVELS: usize = 50;
/// The most characters of an attribute's value.
pub(super) const VALUE_LENGTH: usize = 400;
