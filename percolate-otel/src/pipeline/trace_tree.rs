//! [`TraceTree`]: the spans of one trace as a tree, with similar siblings folded. The console and
//! the report show it. Invariant: each span is returned once at most, so that a cycle of parents
//! ends.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

/// From this number of siblings of one shape the first are shown in full and the others in one
/// line. Two calls have the same shape if they and all calls below them have the same names, and if both or
/// none of them have links: a call that waited for something is not hidden among the others.
const FOLD_FROM: usize = 6;
const SHOWN_OF_FOLDED: usize = 2;
/// Spans with more levels below them are not folded.
const DEEPEST_FOLDED: usize = 4;

/// The spans of a trace by their parents.
pub(super) struct TraceTree<'a> {
    /// The spans without a parent in the trace.
    pub(super) tops: Vec<&'a SpanData>,
    children: HashMap<SpanId, Vec<&'a SpanData>>,
}

/// A line below a span.
pub(super) enum TreeRow<'a> {
    Span(&'a SpanData),
    /// Siblings of one shape.
    Folded(Vec<&'a SpanData>),
}

impl<'a> TraceTree<'a> {
    /// Creates the tree of spans in the order of their start (see [`sort_by_start`]).
    pub(super) fn new(spans: &'a [SpanData]) -> Self {
        let known: HashSet<SpanId> = spans
            .iter()
            .map(|span| span.span_context.span_id())
            .collect();
        let mut children: HashMap<SpanId, Vec<&SpanData>> = HashMap::new();
        let mut tops = Vec::new();
        for span in spans {
            let parent = span.parent_span_id;
            if parent != SpanId::INVALID
                && known.contains(&parent)
                && parent != span.span_context.span_id()
            {
                children.entry(parent).or_default().push(span);
            } else {
                tops.push(span);
            }
        }
        Self { tops, children }
    }

    /// Takes the spans directly below a span.
    pub(super) fn take_children(&mut self, span: &SpanData) -> Vec<&'a SpanData> {
        self.children
            .remove(&span.span_context.span_id())
            .unwrap_or_default()
    }

    /// Takes the spans directly below a span, with similar ones folded.
    pub(super) fn take_rows(&mut self, span: &SpanData) -> Vec<TreeRow<'a>> {
        let children = self.take_children(span);
        self.fold(children)
    }

    /// Folds siblings of one shape without errors, adjacent or not; other spans keep their lines.
    fn fold(&self, siblings: Vec<&'a SpanData>) -> Vec<TreeRow<'a>> {
        let shapes: Vec<Option<String>> = siblings.iter().map(|span| self.shape(span, 0)).collect();
        let mut alike: HashMap<&str, usize> = HashMap::new();
        for shape in shapes.iter().flatten() {
            *alike.entry(shape).or_default() += 1;
        }
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut folds: HashMap<&str, usize> = HashMap::new();
        let mut rows: Vec<TreeRow<'a>> = Vec::new();
        for (span, shape) in siblings.into_iter().zip(&shapes) {
            let often = shape
                .as_deref()
                .filter(|shape| alike.get(shape).is_some_and(|count| *count >= FOLD_FROM));
            let seen = often.map_or(0, |shape| {
                let seen = seen.entry(shape).or_default();
                *seen += 1;
                *seen
            });
            let Some(shape) = often.filter(|_| seen > self.shown_of_folded(span)) else {
                rows.push(TreeRow::Span(span));
                continue;
            };
            let at = *folds.entry(shape).or_insert_with(|| {
                rows.push(TreeRow::Folded(Vec::new()));
                rows.len() - 1
            });
            if let Some(TreeRow::Folded(folded)) = rows.get_mut(at) {
                folded.push(span);
            }
        }
        rows
    }

    /// Spans with children take several lines: one of them is shown.
    fn shown_of_folded(&self, span: &SpanData) -> usize {
        if self.children.contains_key(&span.span_context.span_id()) {
            1
        } else {
            SHOWN_OF_FOLDED
        }
    }

    /// Returns the names of a span and of all spans below it, each kind of child once; `None` if a
    /// span has an error or the tree is too deep, which also ends a cycle of parents.
    fn shape(&self, span: &SpanData, depth: usize) -> Option<String> {
        if is_error(span) || depth > DEEPEST_FOLDED {
            return None;
        }
        let mut below = BTreeSet::new();
        for child in self
            .children
            .get(&span.span_context.span_id())
            .into_iter()
            .flatten()
        {
            below.insert(self.shape(child, depth + 1)?);
        }
        let below = below.into_iter().collect::<Vec<_>>().join("\n");
        let linked = if span.links.links.is_empty() { "" } else { "~" };
        Some(format!("{}{linked}{{{below}}}", span.name))
    }
}

/// Sorts spans by their start.
pub(super) fn sort_by_start(spans: &mut [SpanData]) {
    spans.sort_by_key(|span| (span.start_time, span.span_context.span_id().to_bytes()));
}

pub(super) fn is_error(span: &SpanData) -> bool {
    matches!(span.status, Status::Error { .. })
}

/// Whether the span has no parent in its process.
pub(super) fn is_root(span: &SpanData) -> bool {
    span.parent_span_id == SpanId::INVALID || span.parent_span_is_remote
}

/// The duration of a span.
pub(super) fn took(span: &SpanData) -> Duration {
    span.end_time
        .duration_since(span.start_time)
        .unwrap_or_default()
}

/// The kind of a span; `None` for internal ones.
pub(super) fn kind(kind: &SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Client => Some("client"),
        SpanKind::Server => Some("server"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
        SpanKind::Internal => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::SystemTime;

    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{SpanContext, TraceFlags, TraceId, TraceState};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    /// A span of trace 1 that starts `start` µs after the epoch and takes `took` µs.
    pub(crate) fn span(
        name: &'static str,
        id: u64,
        parent: u64,
        start: u64,
        took: u64,
    ) -> SpanData {
        let context = SpanContext::new(
            TraceId::from(1),
            SpanId::from(id),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        let start_time = SystemTime::UNIX_EPOCH + Duration::from_micros(start);
        SpanData {
            span_context: context,
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time,
            end_time: start_time + Duration::from_micros(took),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }
}
