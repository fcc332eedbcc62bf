//! [`Traces`]: collects spans into traces. A trace has ended a moment after its root has arrived, or
//! when no span has arrived for a while; it is then added to the flame graph and may be kept
//! ([`KeptTraces`]). Spans arrive in any order. Invariant: the spans of open traces are bounded; beyond
//! the bound the oldest traces end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::SpanData;

use super::flame::Flame;
use super::kept::{KeptTrace, KeptTraces, Random};
use super::limits::Limits;
use super::open_trace::OpenTrace;

/// How long a trace waits after its last span: records of annotated calls arrive after up to 200
/// ms.
const SETTLE: Duration = Duration::from_millis(500);
/// When a trace without its root has ended.
const INCOMPLETE_AFTER: Duration = Duration::from_secs(5);

/// The traces of the report.
#[derive(Debug)]
pub(super) struct Traces {
    limits: Limits,
    open: HashMap<TraceId, OpenTrace>,
    open_spans: usize,
    open_bytes: usize,
    pub(super) kept: KeptTraces,
    pub(super) flame: Flame,
    /// The number of traces that have ended, and of spans that have arrived.
    pub(super) ended: u64,
    pub(super) arrived: u64,
}

impl Traces {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: HashMap::new(),
            open_spans: 0,
            open_bytes: 0,
            kept: KeptTraces::new(limits, Random::new()),
            flame: Flame::default(),
            ended: 0,
            arrived: 0,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn add(&mut self, span: SpanData, now: Instant) {
        self.arrived += 1;
        let id = span.span_context.trace_id();
        let late = if self.open.contains_key(&id) {
            Some(span)
        } else {
            self.kept.add_late(span)
        };
        let Some(span) = late else {
            self.flame.left_out += 1;
            return;
        };
        let trace = self.open.entry(id).or_insert_with(|| OpenTrace::new(now));
        let (spans, bytes) = (trace.spans.len(), trace.bytes);
        trace.add(span, now, self.limits.spans_of_trace);
        self.open_spans = self.open_spans + trace.spans.len() - spans;
        self.open_bytes = self.open_bytes + trace.bytes - bytes;
        if self.open_spans > self.limits.open_spans || self.open_bytes > self.limits.bytes / 2 {
            self.end_oldest();
        }
    }

    /// Ends a tenth of the open traces, so that the search for the oldest is rare.
    fn end_oldest(&mut self) {
        let arrivals = self
            .open
            .iter()
            .map(|(id, trace)| (trace.last_arrival, *id));
        let mut oldest: Vec<_> = arrivals.collect();
        oldest.sort_by_key(|(arrival, _)| *arrival);
        let number = oldest.len().div_ceil(10);
        for (_, id) in oldest.into_iter().take(number) {
            self.end(id);
        }
    }

    /// Ends the traces that have settled at `now`.
    pub(super) fn end_settled(&mut self, now: Instant) {
        self.end_if(|trace| {
            let quiet = now.saturating_duration_since(trace.last_arrival);
            quiet
                >= if trace.has_root {
                    SETTLE
                } else {
                    INCOMPLETE_AFTER
                }
        });
    }

    /// Ends the traces whose root has arrived, or all at the end of the pipeline. Spans that arrive
    /// later are added to them if they are kept.
    pub(super) fn end_for_page(&mut self, is_last: bool) {
        self.end_if(|trace| trace.has_root || is_last);
        self.kept.sort();
    }

    fn end_if(&mut self, has_ended: impl Fn(&OpenTrace) -> bool) {
        let ended = self.open.iter().filter(|(_, trace)| has_ended(trace));
        let mut ended: Vec<TraceId> = ended.map(|(id, _)| *id).collect();
        // The order of arrival, so that equal input has equal results.
        ended.sort_by_key(|id| {
            (
                self.open.get(id).map(|trace| trace.last_arrival),
                id.to_bytes(),
            )
        });
        for id in ended {
            self.end(id);
        }
    }

    fn end(&mut self, id: TraceId) {
        let Some(mut trace) = self.open.remove(&id) else {
            return;
        };
        self.open_spans -= trace.spans.len();
        self.open_bytes -= trace.bytes;
        trace.trim(self.limits.spans_of_trace);
        self.ended += 1;
        let trace = KeptTrace::new(id, trace);
        self.flame.add(&trace.spans, trace.omitted.count());
        self.kept.add(trace, self.open_bytes);
    }

    /// The number of traces that have not ended, and of their spans.
    pub(super) fn open_counts(&self) -> (usize, usize) {
        (self.open.len(), self.open_spans)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};

    use super::super::super::trace_tree::tests::span;
    use super::*;

    fn of_trace(trace: u128, mut span: SpanData) -> SpanData {
        span.span_context = SpanContext::new(
            TraceId::from(trace),
            span.span_context.span_id(),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        span
    }

    #[test]
    fn a_trace_has_ended_when_its_root_has_arrived_and_settled() {
        let mut traces = Traces::new(Limits::DEFAULT);
        let now = Instant::now();
        traces.add(span("get articles", 2, 1, 1, 1), now);
        traces.add(span("load", 1, 0, 0, 9), now);
        traces.end_settled(now + SETTLE / 2);
        assert_eq!(traces.open_counts(), (1, 2));
        traces.end_settled(now + SETTLE);
        assert_eq!(traces.open_counts(), (0, 0));
        assert_eq!((traces.ended, traces.arrived), (1, 2));
        let (_, kept) = traces.kept.iter().next().expect("it is kept");
        assert!(kept.is_complete);
        assert_eq!(kept.name, "load");
    }

    #[test]
    fn a_page_ends_traces_with_a_root_and_later_spans_are_added() {
        let mut traces = Traces::new(Limits::DEFAULT);
        let now = Instant::now();
        traces.add(span("load", 1, 0, 0, 9), now);
        traces.add(of_trace(2, span("get articles", 2, 1, 1, 1)), now);
        traces.end_for_page(false);
        assert_eq!(traces.open_counts(), (1, 1));
        traces.add(span("put articles", 3, 1, 1, 1), now);
        assert_eq!(traces.open_counts(), (1, 1));
        traces.end_for_page(true);
        let kept = traces.kept.iter();
        let mut kept: Vec<_> = kept
            .map(|(_, trace)| (trace.name.clone(), trace.spans.len(), trace.is_complete))
            .collect();
        kept.sort();
        assert_eq!(
            kept,
            [
                ("get articles".to_owned(), 1, false),
                ("load".to_owned(), 2, true)
            ]
        );
    }

    #[test]
    fn open_traces_are_bounded() {
        let limits = Limits {
            open_spans: 10,
            ..Limits::DEFAULT
        };
        let mut traces = Traces::new(limits);
        let now = Instant::now();
        for id in 1..=100_u64 {
            let child = of_trace(u128::from(id), span("get articles", id, 1000, 0, 1));
            traces.add(child, now + Duration::from_millis(id));
            assert!(traces.open_counts().1 <= 10);
        }
        assert_eq!(traces.ended, 90);
    }
}
