//! The console exporter: each trace as a tree, metrics as a table, for people and not for parsers.
//! Invariant: its memory is bounded, and it writes whole blocks, so that traces do not interleave.

mod format;
mod metrics;
mod spans;
mod tree;
mod writer;

pub(super) use metrics::ConsoleMetrics;
pub(super) use spans::ConsoleSpans;
pub(super) use writer::ConsoleWriter;
