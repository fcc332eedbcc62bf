//! [`KeptTraces`]: the traces that the page shows: the slowest, the failed, and a random sample of the
//! others. Invariant: their number, their spans and their bytes are within [`Limits`].

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::SpanData;

use super::super::span_size::span_bytes;
use super::super::trace_tree::{is_error, is_root, sort_by_start};
use super::limits::Limits;
use super::open_trace::{Omitted, OpenTrace};
use crate::conventions::attribute;

/// A trace that has ended.
#[derive(Debug)]
pub(super) struct KeptTrace {
    pub(super) id: TraceId,
    /// In the order of their start, once they are [sorted](KeptTraces::sort).
    pub(super) spans: Vec<SpanData>,
    is_sorted: bool,
    pub(super) omitted: Omitted,
    /// Whether its root span has arrived.
    pub(super) is_complete: bool,
    pub(super) start: Option<SystemTime>,
    end: Option<SystemTime>,
    pub(super) duration: Duration,
    pub(super) errors: usize,
    /// The name of the root span, or of the first one.
    pub(super) name: String,
    /// The type of the first error.
    pub(super) error: String,
    bytes: usize,
}

impl KeptTrace {
    pub(super) fn new(id: TraceId, trace: OpenTrace) -> Self {
        let mut this = Self {
            id,
            spans: Vec::new(),
            is_sorted: true,
            omitted: trace.omitted,
            is_complete: trace.has_root,
            start: None,
            end: None,
            duration: Duration::ZERO,
            errors: 0,
            name: String::new(),
            error: String::new(),
            bytes: trace.bytes,
        };
        let mut spans = trace.spans;
        sort_by_start(&mut spans);
        for span in &spans {
            this.include(span);
        }
        this.spans = spans;
        this
    }

    /// Adds a span that arrived after the trace seemed to have ended.
    fn add_late(&mut self, span: SpanData) {
        self.include(&span);
        self.bytes += span_bytes(&span);
        self.is_complete |= is_root(&span);
        self.spans.push(span);
        self.is_sorted = false;
    }

    /// Updates the name, the times and the outcome of the trace with a span.
    fn include(&mut self, span: &SpanData) {
        // Spans of other crates have another clock: a child may start before its root.
        if self.start.is_none() || is_root(span) {
            self.name = span.name.to_string();
        }
        self.start = self.start.into_iter().chain([span.start_time]).min();
        self.end = self.end.into_iter().chain([span.end_time]).max();
        self.duration = self
            .start
            .zip(self.end)
            .and_then(|(start, end)| end.duration_since(start).ok())
            .unwrap_or_default();
        if is_error(span) {
            if self.errors == 0 {
                self.error = error_type(span);
            }
            self.errors += 1;
        }
    }
}

fn error_type(span: &SpanData) -> String {
    let attributes = &span.attributes;
    let found = attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == attribute::ERROR_TYPE);
    found
        .map(|attribute| attribute.value.to_string())
        .unwrap_or_default()
}

/// Why a trace is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Slow,
    Failed,
    Sample,
}

impl Why {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Failed => "failed",
            Self::Sample => "sample",
        }
    }
}

/// The traces that the page shows.
#[derive(Debug)]
pub(super) struct KeptTraces {
    limits: Limits,
    /// Traces without an error, the slowest first.
    slow: Vec<KeptTrace>,
    /// Traces with an error, the oldest first.
    failed: VecDeque<KeptTrace>,
    sample: Vec<KeptTrace>,
    /// The number of traces that the sample represents.
    others: u64,
    random: Random,
    spans: usize,
    bytes: usize,
}

impl KeptTraces {
    pub(super) fn new(limits: Limits, random: Random) -> Self {
        Self {
            limits,
            slow: Vec::new(),
            failed: VecDeque::new(),
            sample: Vec::new(),
            others: 0,
            random,
            spans: 0,
            bytes: 0,
        }
    }

    /// Sorts the spans of traces to which spans were added. It is left to the page: spans may be added
    /// one by one.
    pub(super) fn sort(&mut self) {
        let lists = self.slow.iter_mut().chain(&mut self.failed);
        for trace in lists.chain(&mut self.sample) {
            if !std::mem::replace(&mut trace.is_sorted, true) {
                sort_by_start(&mut trace.spans);
            }
        }
    }

    /// All traces with the reason why they are shown.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Why, &KeptTrace)> {
        let slow = self.slow.iter().map(|trace| (Why::Slow, trace));
        let failed = self.failed.iter().map(|trace| (Why::Failed, trace));
        let sample = self.sample.iter().map(|trace| (Why::Sample, trace));
        failed.chain(slow).chain(sample)
    }

    pub(super) fn spans(&self) -> usize {
        self.spans
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a trace that has ended. `reserved` is how many bytes other traces take.
    pub(super) fn add(&mut self, trace: KeptTrace, reserved: usize) {
        self.spans += trace.spans.len();
        self.bytes += trace.bytes;
        if trace.errors > 0 {
            self.add_failed(trace);
        } else {
            self.add_slow(trace);
        }
        self.evict(reserved);
    }

    /// Adds a span to a trace that has ended. Returns the span if the trace is not kept.
    pub(super) fn add_late(&mut self, span: SpanData) -> Option<SpanData> {
        let id = span.span_context.trace_id();
        let lists = self.slow.iter_mut().chain(&mut self.failed);
        let mut traces = lists.chain(&mut self.sample);
        let Some(trace) = traces.find(|trace| trace.id == id) else {
            return Some(span);
        };
        if trace.spans.len() < self.limits.spans_of_trace {
            self.spans += 1;
            self.bytes += span_bytes(&span);
            trace.add_late(span);
        } else {
            trace.omitted.add(&span);
        }
        None
    }

    fn add_slow(&mut self, trace: KeptTrace) {
        let at = self
            .slow
            .partition_point(|slower| slower.duration >= trace.duration);
        let name = trace.name.clone();
        self.slow.insert(at, trace);
        let (most, most_of_name) = self.limits.slow;
        let of_name = |trace: &KeptTrace| trace.name == name;
        let surplus = if self.slow.iter().filter(|trace| of_name(trace)).count() > most_of_name {
            self.slow.iter().rposition(of_name)
        } else {
            (self.slow.len() > most).then(|| self.slow.len() - 1)
        };
        if let Some(surplus) = surplus {
            let other = self.slow.remove(surplus);
            self.add_to_sample(other);
        }
    }

    fn add_failed(&mut self, trace: KeptTrace) {
        let kind = (trace.name.clone(), trace.error.clone());
        self.failed.push_back(trace);
        let (most, most_of_kind) = self.limits.failed;
        let of_kind = |trace: &KeptTrace| trace.name == kind.0 && trace.error == kind.1;
        let surplus = if self.failed.iter().filter(|trace| of_kind(trace)).count() > most_of_kind {
            self.failed.iter().position(of_kind)
        } else {
            (self.failed.len() > most).then_some(0)
        };
        if let Some(other) = surplus.and_then(|surplus| self.failed.remove(surplus)) {
            self.add_to_sample(other);
        }
    }

    /// Algorithm R: each of the other traces is in the sample with the same probability.
    fn add_to_sample(&mut self, trace: KeptTrace) {
        self.others += 1;
        let place = self.random.below(self.others);
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        if self.sample.len() < self.limits.sample {
            self.sample.push(trace);
        } else if let Some(kept) = self.sample.get_mut(place) {
            let replaced = std::mem::replace(kept, trace);
            self.forget(&replaced);
        } else {
            self.forget(&trace);
        }
    }

    fn forget(&mut self, trace: &KeptTrace) {
        self.spans -= trace.spans.len();
        self.bytes -= trace.bytes;
    }

    /// Removes traces of the sample, then the fastest and the oldest failed ones, until the limits
    /// hold. The last trace of each kind stays.
    fn evict(&mut self, reserved: usize) {
        while self.spans > self.limits.spans || self.bytes + reserved > self.limits.bytes {
            let evicted = if let Some(trace) = self.sample.pop() {
                trace
            } else if self.slow.len() > 1 {
                self.slow.remove(self.slow.len() - 1)
            } else if self.failed.len() > 1
                && let Some(trace) = self.failed.pop_front()
            {
                trace
            } else {
                return;
            };
            self.forget(&evicted);
        }
    }
}

/// SplitMix64: random enough for a sample.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// Returns a number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use opentelemetry::KeyValue;
    use opentelemetry::trace::Status;

    use super::super::super::trace_tree::tests::span;
    use super::*;

    fn kept(limits: Limits) -> KeptTraces {
        KeptTraces::new(limits, Random(7))
    }

    /// A trace of one span with this duration in µs.
    fn trace(id: u32, name: &'static str, took: u64, error: Option<&'static str>) -> KeptTrace {
        let mut open = OpenTrace::new(Instant::now());
        let mut span = span(name, 1, 0, 0, took);
        if let Some(error) = error {
            span.status = Status::error("");
            span.attributes.push(KeyValue::new("error.type", error));
        }
        open.add(span, Instant::now(), 10);
        KeptTrace::new(TraceId::from(u128::from(id)), open)
    }

    fn ids(kept: &KeptTraces, why: Why) -> Vec<u128> {
        let of = kept.iter().filter(|(is, _)| *is == why);
        of.map(|(_, trace)| u128::from_be_bytes(trace.id.to_bytes()))
            .collect()
    }

    #[test]
    fn the_slowest_traces_are_kept_and_no_name_takes_all_places() {
        let limits = Limits {
            slow: (4, 3),
            sample: 0,
            ..Limits::DEFAULT
        };
        let mut kept = kept(limits);
        for id in 1..=9 {
            kept.add(trace(id, "import", u64::from(id) * 100, None), 0);
        }
        kept.add(trace(10, "get articles", 5, None), 0);
        kept.add(trace(11, "get articles", 1, None), 0);
        assert_eq!(ids(&kept, Why::Slow), [9, 8, 7, 10]);
    }

    #[test]
    fn failed_traces_are_kept_with_the_newest_of_each_error() {
        let limits = Limits {
            failed: (3, 2),
            sample: 0,
            ..Limits::DEFAULT
        };
        let mut kept = kept(limits);
        kept.add(trace(1, "put articles", 1, Some("Rare")), 0);
        for id in 2..=9 {
            kept.add(trace(id, "put articles", 1, Some("Busy")), 0);
        }
        assert_eq!(ids(&kept, Why::Failed), [1, 8, 9]);
        assert_eq!(ids(&kept, Why::Slow), [0; 0]);
    }

    #[test]
    fn each_other_trace_is_in_the_sample_with_the_same_probability() {
        let limits = Limits {
            slow: (0, 0),
            sample: 10,
            ..Limits::DEFAULT
        };
        let mut drawn = [0_u32; 100];
        for seed in 0..1000 {
            let mut kept = KeptTraces::new(limits, Random(seed));
            for id in 0..100 {
                kept.add(trace(id, "get articles", 1, None), 0);
            }
            let sample = ids(&kept, Why::Sample);
            assert_eq!(sample.len(), 10);
            for id in sample {
                drawn[id as usize] += 1;
            }
        }
        // 100 are expected, with a standard deviation of 9.5.
        let (least, most) = (drawn.iter().min(), drawn.iter().max());
        assert!(least > Some(&60) && most < Some(&140), "{drawn:?}");
    }

    #[test]
    fn spans_and_bytes_are_bounded_and_the_slowest_and_a_failed_trace_stay() {
        let bytes = trace(1, "get articles", 1, None).bytes;
        for limits in [
            Limits {
                spans: 20,
                ..Limits::DEFAULT
            },
            Limits {
                bytes: 20 * bytes,
                ..Limits::DEFAULT
            },
        ] {
            let mut kept = kept(limits);
            for id in 1..=100 {
                let error = (id % 10 == 0).then_some("Busy");
                kept.add(trace(id, "get articles", u64::from(id), error), 0);
            }
            assert!(kept.spans <= 20, "{}", kept.spans);
            assert!(kept.bytes() <= 21 * bytes, "{}", kept.bytes());
            assert_eq!(kept.iter().count(), kept.spans);
            assert_eq!(ids(&kept, Why::Slow)[0], 99);
            assert!(ids(&kept, Why::Failed).contains(&100));
        }
    }

    #[test]
    fn a_late_span_is_added_to_its_trace() {
        let mut kept = kept(Limits::DEFAULT);
        kept.add(trace(1, "load", 100, None), 0);
        assert!(kept.add_late(span("get articles", 2, 1, 50, 100)).is_none());
        assert!(kept.add_late(span("put articles", 3, 1, 10, 10)).is_none());
        kept.sort();
        let (_, trace) = kept.iter().next().expect("it is kept");
        let names: Vec<_> = trace.spans.iter().map(|span| span.name.as_ref()).collect();
        assert_eq!(names, ["load", "put articles", "get articles"]);
        assert_eq!(kept.spans(), 3);
        assert_eq!(
            kept.bytes(),
            trace.spans.iter().map(span_bytes).sum::<usize>()
        );
        assert_eq!(trace.duration, Duration::from_micros(150));
        let mut other = span("get articles", 2, 1, 50, 100);
        other.span_context = opentelemetry::trace::SpanContext::new(
            TraceId::from(2),
            other.span_context.span_id(),
            opentelemetry::trace::TraceFlags::SAMPLED,
            false,
            opentelemetry::trace::TraceState::default(),
        );
        assert!(kept.add_late(other).is_some());
    }
}
