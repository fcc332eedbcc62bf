//! Which track a span is on. A span does not know its thread, so tracks are assigned: a child is on
//! the track of its parent unless another child is running there, and spans that follow each other
//! share a track. Invariant: two spans of a track are nested, as parent and descendant, or do not
//! overlap.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;

/// How far a span may reach out of its parent and still be cut to it: spans of different crates are
/// measured with different clocks.
const TOLERANCE: u64 = 50_000;

/// A span on its track. Times are nanoseconds since the base.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub(super) span: &'a SpanData,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) track: usize,
    depth: usize,
}

type Id = (TraceId, SpanId);

/// The spans that are running on a track, each inside of the one before: their ids and ends.
#[derive(Debug, Default)]
struct Track(Vec<(Id, u64)>);

impl Track {
    /// The id and the end of the innermost span that is running at `time`.
    fn running(&mut self, time: u64) -> Option<(Id, u64)> {
        while self.0.last().is_some_and(|(_, end)| *end <= time) {
            self.0.pop();
        }
        self.0.last().copied()
    }
}

/// Returns the spans in the order of their start, parents before children.
pub(super) fn place(spans: &[SpanData], base: SystemTime) -> Vec<Placed<'_>> {
    let mut placed = intervals(spans, base);
    placed.sort_by_key(|it| (it.start, Reverse(it.end), it.depth));
    let mut tracks: Vec<Track> = Vec::new();
    let mut free: BTreeSet<usize> = BTreeSet::new();
    // The tracks with a running span, by the end of the outermost one.
    let mut busy: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut track_of: HashMap<Id, usize> = HashMap::new();
    for it in &mut placed {
        while let Some(Reverse((end, track))) = busy.peek().copied()
            && end <= it.start
        {
            busy.pop();
            free.insert(track);
        }
        let id = id(it.span);
        let parent = (id.0, it.span.parent_span_id);
        let beside_parent = track_of.get(&parent).copied().filter(|at| {
            let running = tracks[*at].running(it.start);
            running.is_some_and(|(running, end)| running == parent && it.end <= end)
        });
        it.track = beside_parent.unwrap_or_else(|| {
            let track = free.pop_first().unwrap_or_else(|| {
                tracks.push(Track::default());
                tracks.len() - 1
            });
            // What ended on it before is not needed any more.
            tracks[track].0.clear();
            busy.push(Reverse((it.end, track)));
            track
        });
        tracks[it.track].0.push((id, it.end));
        track_of.insert(id, it.track);
    }
    placed
}

fn id(span: &SpanData) -> Id {
    let context = &span.span_context;
    (context.trace_id(), context.span_id())
}

/// Returns the spans with their times, cut to those of their parents, parents first.
fn intervals(spans: &[SpanData], base: SystemTime) -> Vec<Placed<'_>> {
    let known: HashMap<Id, usize> = spans
        .iter()
        .enumerate()
        .map(|(at, span)| (id(span), at))
        .collect();
    let parent_of = |span: &SpanData| {
        let parent = known.get(&(id(span).0, span.parent_span_id));
        parent
            .copied()
            .filter(|_| span.parent_span_id != SpanId::INVALID)
    };
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (at, span) in spans.iter().enumerate() {
        children.entry(parent_of(span)).or_default().push(at);
    }
    let mut placed: Vec<Placed<'_>> = Vec::with_capacity(spans.len());
    // The places of the parents whose children follow. A cycle of parents is never reached.
    let mut parents: Vec<Option<(usize, usize)>> = vec![None];
    while let Some(parent) = parents.pop() {
        let below = children.remove(&parent.map(|(at, _)| at));
        for at in below.unwrap_or_default() {
            let span = &spans[at];
            let start = nanos_since(span.start_time, base);
            let mut it = Placed {
                span,
                start,
                end: nanos_since(span.end_time, base).max(start),
                track: 0,
                depth: 0,
            };
            if let Some(parent) = parent.and_then(|(_, place)| placed.get(place)) {
                it.cut_to(parent.start, parent.end);
                it.depth = parent.depth + 1;
            }
            parents.push(Some((at, placed.len())));
            placed.push(it);
        }
    }
    placed
}

impl Placed<'_> {
    fn cut_to(&mut self, start: u64, end: u64) {
        if self.start < start && start - self.start <= TOLERANCE {
            self.start = start;
        }
        if self.end > end && self.end - end <= TOLERANCE {
            self.end = end;
        }
        self.end = self.end.max(self.start);
    }
}

pub(super) fn nanos_since(time: SystemTime, base: SystemTime) -> u64 {
    let since: Duration = time.duration_since(base).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::trace_tree::tests::span;
    use super::*;

    fn tracks(spans: &[SpanData]) -> Vec<(String, usize)> {
        let mut placed: Vec<_> = place(spans, SystemTime::UNIX_EPOCH)
            .iter()
            .map(|it| (it.span.name.to_string(), it.track))
            .collect();
        placed.sort();
        placed
    }

    fn expected(tracks: &[(&str, usize)]) -> Vec<(String, usize)> {
        let owned = tracks
            .iter()
            .map(|(name, track)| ((*name).to_owned(), *track));
        owned.collect()
    }

    #[test]
    fn calls_are_below_their_caller_and_calls_at_the_same_time_have_their_own_tracks() {
        let spans = [
            span("load", 1, 0, 0, 1000),
            span("a", 2, 1, 10, 500),
            span("a.inner", 3, 2, 20, 30),
            span("b", 4, 1, 100, 500),
            span("c", 5, 1, 700, 100),
            span("later", 6, 0, 2000, 10),
        ];
        let expected = expected(&[
            ("a", 0),
            ("a.inner", 0),
            ("b", 1),
            ("c", 0),
            ("later", 0),
            ("load", 0),
        ]);
        assert_eq!(tracks(&spans), expected);
    }

    #[test]
    fn a_child_that_ends_long_after_its_parent_is_on_a_track_of_its_own() {
        let spans = [
            span("send", 1, 0, 0, 100),
            span("background", 2, 1, 50, 900),
        ];
        assert_eq!(tracks(&spans), expected(&[("background", 1), ("send", 0)]));
    }

    #[test]
    fn a_child_that_begins_slightly_before_its_parent_is_cut() {
        let spans = [span("get", 2, 1, 95, 20), span("request", 1, 0, 100, 100)];
        let placed = place(&spans, SystemTime::UNIX_EPOCH);
        let of: Vec<_> = placed
            .iter()
            .map(|it| (it.span.name.as_ref(), it.track, it.start, it.end))
            .collect();
        let expected = [
            ("request", 0, 100_000, 200_000),
            ("get", 0, 100_000, 115_000),
        ];
        assert_eq!(of, expected);
    }

    proptest! {
        #[test]
        fn spans_of_a_track_are_nested_or_do_not_overlap(
            times in prop::collection::vec((0_u64..200, 0_u64..60, 0_u64..30), 1..60),
        ) {
            let spans: Vec<SpanData> = times
                .iter()
                .zip(1..)
                .map(|((start, took, parent), id)| span("x", id, *parent, *start, *took))
                .collect();
            let placed = place(&spans, SystemTime::UNIX_EPOCH);
            for (at, a) in placed.iter().enumerate() {
                for b in placed[at + 1..].iter().filter(|b| b.track == a.track) {
                    let apart = b.start >= a.end || b.end <= a.start;
                    let inside = b.start >= a.start && b.end <= a.end;
                    prop_assert!(apart || inside, "{a:?} {b:?}");
                }
            }
        }
    }
}
