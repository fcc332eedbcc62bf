//! [`OpenTrace`]: the spans of one trace that may not have ended. Invariant: of more spans than its
//! limit the failed and the longest are kept, and the others are counted by name.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use opentelemetry_sdk::trace::SpanData;

use super::super::span_size::span_bytes;
use super::super::trace_tree::{is_error, is_root, took};

/// The most names by which left-out spans are counted.
const OMITTED_NAMES: usize = 50;

/// A trace whose spans arrive.
#[derive(Debug)]
pub(super) struct OpenTrace {
    pub(super) spans: Vec<SpanData>,
    pub(super) omitted: Omitted,
    pub(super) has_root: bool,
    pub(super) last_arrival: Instant,
    pub(super) bytes: usize,
}

/// The spans of a trace that were left out: their number and duration by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Omitted(pub(super) BTreeMap<String, (u64, Duration)>);

impl Omitted {
    pub(super) fn count(&self) -> u64 {
        self.0.values().map(|(count, _)| count).sum()
    }

    pub(super) fn add(&mut self, span: &SpanData) {
        let name = if self.0.len() < OMITTED_NAMES || self.0.contains_key(&*span.name) {
            span.name.to_string()
        } else {
            "other names".to_owned()
        };
        let (count, total) = self.0.entry(name).or_default();
        *count += 1;
        *total += took(span);
    }
}

impl OpenTrace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            spans: Vec::new(),
            omitted: Omitted::default(),
            has_root: false,
            last_arrival: now,
            bytes: 0,
        }
    }

    /// Adds a span. The trace may exceed `limit` by a quarter until it is trimmed.
    pub(super) fn add(&mut self, span: SpanData, now: Instant, limit: usize) {
        self.has_root |= is_root(&span);
        self.last_arrival = now;
        self.bytes += span_bytes(&span);
        self.spans.push(span);
        if self.spans.len() > limit + limit / 4 {
            self.trim(limit);
        }
    }

    /// Leaves out spans until the trace has `limit` at most.
    pub(super) fn trim(&mut self, limit: usize) {
        if self.spans.len() <= limit {
            return;
        }
        if limit > 0 {
            let key = |span: &SpanData| Reverse((is_error(span), took(span)));
            self.spans.select_nth_unstable_by_key(limit - 1, key);
        }
        for span in self.spans.drain(limit..) {
            self.bytes -= span_bytes(&span);
            self.omitted.add(&span);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::Status;

    use super::super::super::trace_tree::tests::span;
    use super::*;

    #[test]
    fn of_a_long_trace_the_failed_and_the_longest_spans_are_kept_and_the_others_counted() {
        let now = Instant::now();
        let mut trace = OpenTrace::new(now);
        for id in 2..=101 {
            let mut child = span("get articles", id, 1, id, id);
            if id == 2 {
                child.status = Status::error("");
            }
            trace.add(child, now, 10);
        }
        trace.add(span("load", 1, 0, 0, 10_000), now, 10);
        trace.trim(10);
        let mut kept: Vec<u64> = trace
            .spans
            .iter()
            .map(|span| u64::from_be_bytes(span.span_context.span_id().to_bytes()))
            .collect();
        kept.sort_unstable();
        assert_eq!(kept, [1, 2, 94, 95, 96, 97, 98, 99, 100, 101]);
        let micros = (3..=93).sum();
        let expected = (91, Duration::from_micros(micros));
        assert_eq!(trace.omitted.0["get articles"], expected);
        assert_eq!(
            trace.bytes,
            trace.spans.iter().map(span_bytes).sum::<usize>()
        );
        assert!(trace.has_root);
    }

    #[test]
    fn left_out_spans_are_counted_under_a_bounded_number_of_names() {
        let mut omitted = Omitted::default();
        for id in 1..=200 {
            let mut span = span("", id, 0, 0, 1);
            span.name = format!("name {id}").into();
            omitted.add(&span);
        }
        assert_eq!(omitted.0.len(), OMITTED_NAMES + 1);
        assert_eq!(omitted.count(), 200);
    }
}
