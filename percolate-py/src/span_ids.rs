//! The parts of a span context, in the order of Python's `SpanContext`.

use opentelemetry::trace::{SpanContext, TraceState};

/// Trace id, span id, whether the span is remote, trace flags, and the entries of the trace state.
pub(crate) type SpanIds = (u128, u64, bool, u8, Vec<(String, String)>);

/// Returns the parts of a span context.
pub(crate) fn span_ids(context: &SpanContext) -> SpanIds {
    (
        u128::from_be_bytes(context.trace_id().to_bytes()),
        u64::from_be_bytes(context.span_id().to_bytes()),
        context.is_remote(),
        context.trace_flags().to_u8(),
        state_entries(context.trace_state()),
    )
}

fn state_entries(state: &TraceState) -> Vec<(String, String)> {
    // Formatting the header allocates, and most spans have no trace state.
    if *state == TraceState::NONE {
        return Vec::new();
    }
    let header = state.header();
    header
        .split(',')
        .filter_map(|entry| entry.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
