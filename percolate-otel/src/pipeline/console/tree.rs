//! One trace as text: children below their parents in order of their start, similar siblings in one
//! line (`trace_tree` folds them). Attributes of the store that all spans share are printed once, in
//! the second line; attributes that the span's name contains are left out. Pure functions from spans
//! to text; `spans` decides when a trace is shown.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, Status};
use opentelemetry_sdk::trace::SpanData;

use super::super::trace_tree::{TraceTree, TreeRow, is_error, kind, sort_by_start, took};
use super::format;
use crate::conventions::attribute;

/// Attributes of a store rather than of a call.
const STORE_ATTRIBUTES: [&str; 3] = [
    attribute::DB_SYSTEM_NAME,
    attribute::DB_NAMESPACE,
    attribute::SERVER_ADDRESS,
];
/// Attributes that a span's name contains.
const IN_NAME: [&str; 4] = [
    attribute::DB_OPERATION_NAME,
    attribute::DB_COLLECTION_NAME,
    attribute::JOB_TYPE,
    attribute::JOB_TARGET,
];
/// Column of the durations.
const NAME_WIDTH: usize = 48;

/// Returns the text of one trace. `complete` is whether its root has arrived.
pub(super) fn render(mut spans: Vec<SpanData>, complete: bool) -> String {
    sort_by_start(&mut spans);
    let mut tree = TraceTree::new(&spans);
    let shared = shared(&spans);
    let mut text = header(&spans, complete);
    if !shared.is_empty() {
        let shared: Vec<_> = shared
            .iter()
            .map(|attribute| format::attribute(attribute))
            .collect();
        _ = writeln!(text, "  {}", shared.join("  "));
    }
    let tops = std::mem::take(&mut tree.tops);
    let mut lines = TreeLines { tree, shared, text };
    for top in tops {
        lines.span(top, "", "", top.parent_span_id);
    }
    lines.text.push('\n');
    lines.text
}

fn header(spans: &[SpanData], complete: bool) -> String {
    let trace_id = spans
        .first()
        .map(|span| span.span_context.trace_id().to_string())
        .unwrap_or_default();
    let start = spans.iter().map(|span| span.start_time).min();
    let end = spans.iter().map(|span| span.end_time).max();
    let took = start
        .zip(end)
        .and_then(|(start, end)| end.duration_since(start).ok())
        .unwrap_or_default();
    let errors = spans.iter().filter(|span| is_error(span)).count();
    let mut text = format!(
        "trace {trace_id} · {} · {}",
        many(spans.len(), "span"),
        format::duration(took)
    );
    if errors > 0 {
        _ = write!(text, " · {}", many(errors, "error"));
    }
    if !complete {
        text.push_str(" · incomplete");
    }
    text.push('\n');
    text
}

/// Returns the attributes of the store that at least two spans have, with one value for all.
fn shared(spans: &[SpanData]) -> Vec<&KeyValue> {
    let of = |key: &'static str| {
        let mut found = spans.iter().filter_map(move |span| attribute(span, key));
        let (first, second) = (found.next()?, found.next()?);
        (first.value == second.value && found.all(|other| other.value == first.value))
            .then_some(first)
    };
    STORE_ATTRIBUTES.into_iter().filter_map(of).collect()
}

fn attribute<'a>(span: &'a SpanData, key: &str) -> Option<&'a KeyValue> {
    span.attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)
}

/// Whether the line already shows the attribute: in the span's name or as its duration.
fn is_redundant(span: &SpanData, attribute: &KeyValue) -> bool {
    let key = attribute.key.as_str();
    let words = || {
        span.name
            .split(' ')
            .any(|word| word == attribute.value.as_str())
    };
    key == attribute::JOB_DURATION_MS || (IN_NAME.contains(&key) && words())
}

fn many(count: usize, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        format::count(count as u64),
        if count == 1 { "" } else { "s" }
    )
}

struct TreeLines<'a> {
    tree: TraceTree<'a>,
    shared: Vec<&'a KeyValue>,
    text: String,
}

impl<'a> TreeLines<'a> {
    /// Writes one span and all spans below it.
    fn span(&mut self, span: &'a SpanData, indent: &str, below: &str, outside_parent: SpanId) {
        self.line(span, indent, outside_parent);
        let rows = self.tree.take_rows(span);
        let last = rows.len().saturating_sub(1);
        for (index, row) in rows.into_iter().enumerate() {
            let (branch, line) = if index == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            match row {
                TreeRow::Span(child) => {
                    self.span(
                        child,
                        &format!("{below}{branch}"),
                        &format!("{below}{line}"),
                        SpanId::INVALID,
                    );
                }
                TreeRow::Folded(folded) => self.folded(&folded, &format!("{below}{branch}")),
            }
        }
    }

    fn line(&mut self, span: &SpanData, indent: &str, outside_parent: SpanId) {
        let mark = if is_error(span) { "✗ " } else { "" };
        let name = format!("  {indent}{mark}{}", span.name);
        _ = write!(
            self.text,
            "{name:<NAME_WIDTH$} {:>9}",
            format::duration(took(span))
        );
        for attribute in &span.attributes {
            if !self.shared.contains(&attribute) && !is_redundant(span, attribute) {
                _ = write!(self.text, "  {}", format::attribute(attribute));
            }
        }
        if let Some(kind) = kind(&span.span_kind) {
            _ = write!(self.text, "  [{kind}]");
        }
        match &span.status {
            Status::Error { description } if description.is_empty() => {
                self.text.push_str("  ERROR");
            }
            Status::Error { description } => _ = write!(self.text, "  ERROR {description:?}"),
            Status::Ok => self.text.push_str("  OK"),
            Status::Unset => {}
        }
        for link in &span.links.links {
            let linked = &link.span_context;
            if linked.trace_id() == span.span_context.trace_id() {
                _ = write!(self.text, "  linked to {}", linked.span_id());
            } else {
                _ = write!(self.text, "  linked to trace {}", linked.trace_id());
            }
        }
        if outside_parent != SpanId::INVALID {
            let far = if span.parent_span_is_remote {
                "remote"
            } else {
                "missing"
            };
            _ = write!(self.text, "  ({far} parent {outside_parent})");
        }
        self.text.push('\n');
        for event in &span.events.events {
            let attributes: Vec<_> = event.attributes.iter().map(format::attribute).collect();
            let blank = " ".repeat(indent.chars().count());
            _ = writeln!(
                self.text,
                "  {blank}   • {}  {}",
                event.name,
                attributes.join("  ")
            );
        }
    }

    fn folded(&mut self, folded: &[&SpanData], indent: &str) {
        let mut times: Vec<Duration> = folded.iter().map(|span| took(span)).collect();
        times.sort_unstable();
        let total: Duration = times.iter().sum();
        let (Some(first), Some(median)) = (folded.first(), times.get(times.len() / 2)) else {
            return;
        };
        let name = format!(
            "  {indent}… {} more × {}",
            format::count(folded.len() as u64),
            first.name
        );
        _ = write!(
            self.text,
            "{name:<NAME_WIDTH$} {:>9}  median {}, longest {}",
            format::duration(total),
            format::duration(*median),
            format::duration(times.last().copied().unwrap_or_default()),
        );
        let links = folded.iter().flat_map(|span| &span.links.links);
        let linked: HashSet<_> = links.map(|link| link.span_context.trace_id()).collect();
        if !linked.is_empty() {
            _ = write!(self.text, ", linked to {}", many(linked.len(), "trace"));
        }
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;
    use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceFlags, TraceState};

    use super::super::super::trace_tree::tests::span;
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.trim_end()
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn children_stand_under_their_parent_in_the_order_they_began() {
        let mut get = span("get articles", 3, 1, 20, 5);
        get.span_kind = SpanKind::Client;
        get.attributes
            .push(KeyValue::new("db.collection.name", "articles"));
        get.attributes
            .push(KeyValue::new("db.response.returned_rows", 1));
        let mut put = span("put articles", 2, 1, 10, 7);
        put.status = Status::error("");
        put.attributes.push(KeyValue::new("error.type", "Busy"));
        let text = render(
            vec![
                get,
                put,
                span("index.build hnsw", 1, 0, 0, 100),
                span("scan x", 4, 2, 11, 1),
            ],
            true,
        );
        let expected = [
            "trace 00000000000000000000000000000001 · 4 spans · 100 µs · 1 error",
            "index.build hnsw 100 µs",
            "├─ ✗ put articles 7.00 µs error.type=Busy ERROR",
            "│ └─ scan x 1.00 µs",
            "└─ get articles 5.00 µs db.response.returned_rows=1 [client]",
        ];
        assert_eq!(lines(&text), expected);
    }

    #[test]
    fn a_span_with_its_parent_elsewhere_shows_the_parents_id() {
        let mut remote = span("get articles", 3, 9, 0, 5);
        remote.parent_span_is_remote = true;
        let text = render(vec![remote, span("put articles", 4, 8, 1, 5)], false);
        let expected = [
            "trace 00000000000000000000000000000001 · 2 spans · 6.00 µs · incomplete",
            "get articles 5.00 µs (remote parent 0000000000000009)",
            "put articles 5.00 µs (missing parent 0000000000000008)",
        ];
        assert_eq!(lines(&text), expected);
    }

    #[test]
    fn many_alike_are_folded_but_a_failed_one_is_shown() {
        let mut spans = vec![span("load", 1, 0, 0, 1000)];
        spans.extend((2..=9).map(|id| span("put packages", id, 1, id, id)));
        spans[5].status = Status::error("");
        let text = render(spans, true);
        let expected = [
            "trace 00000000000000000000000000000001 · 9 spans · 1.00 ms · 1 error",
            "load 1.00 ms",
            "├─ put packages 2.00 µs",
            "├─ put packages 3.00 µs",
            "├─ … 5 more × put packages 33.0 µs median 7.00 µs, longest 9.00 µs",
            "└─ ✗ put packages 6.00 µs ERROR",
        ];
        assert_eq!(lines(&text), expected);
    }

    #[test]
    fn spans_with_a_link_are_folded_for_themselves() {
        let mut spans = vec![span("load", 1, 0, 0, 1000)];
        spans.extend((2..=17).map(|id| span("put packages", id, 1, id, id)));
        let link = |trace: u128, id: u64| {
            Link::with_context(SpanContext::new(
                trace.into(),
                id.into(),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ))
        };
        for (place, span) in spans.iter_mut().enumerate().skip(9) {
            let trace = if place % 2 == 0 { 7 } else { 9 };
            span.links.links.push(link(trace, 5));
        }
        spans[0].links.links.push(link(1, 4));
        let text = render(spans, true);
        let expected = [
            "trace 00000000000000000000000000000001 · 17 spans · 1.00 ms",
            "load 1.00 ms linked to 0000000000000004",
            "├─ put packages 2.00 µs",
            "├─ put packages 3.00 µs",
            "├─ … 6 more × put packages 39.0 µs median 7.00 µs, longest 9.00 µs",
            "├─ put packages 10.0 µs linked to trace 00000000000000000000000000000009",
            "├─ put packages 11.0 µs linked to trace 00000000000000000000000000000007",
            "└─ … 6 more × put packages 87.0 µs median 15.0 µs, longest 17.0 µs, linked to 2 traces",
        ];
        assert_eq!(lines(&text), expected);
    }

    #[test]
    fn calls_with_the_same_calls_below_are_folded_together() {
        let mut spans = vec![span("load", 1, 0, 0, 1000)];
        for id in (10..=80).step_by(10) {
            spans.push(span("insert packages", id, 1, id, 8));
            spans.push(span("get entities", id + 1, id, id + 1, 2));
            // One of them has two equal calls and is folded too; one has a different call.
            if id == 20 {
                spans.push(span("get entities", id + 2, id, id + 2, 2));
            }
            let last = if id == 70 {
                "put entities"
            } else {
                "batch_write"
            };
            spans.push(span(last, id + 3, id, id + 4, 3));
        }
        let expected = [
            "trace 00000000000000000000000000000001 · 26 spans · 1.00 ms",
            "load 1.00 ms",
            "├─ insert packages 8.00 µs",
            "│ ├─ get entities 2.00 µs",
            "│ └─ batch_write 3.00 µs",
            "├─ … 6 more × insert packages 48.0 µs median 8.00 µs, longest 8.00 µs",
            "└─ insert packages 8.00 µs",
            "├─ get entities 2.00 µs",
            "└─ put entities 3.00 µs",
        ];
        assert_eq!(lines(&render(spans, true)), expected);
    }

    #[test]
    fn attributes_shared_by_all_spans_are_shown_once() {
        let of = |id, namespace: &'static str| {
            let mut span = span("get articles", id, 0, id, 1);
            span.attributes
                .push(KeyValue::new("db.system.name", "rocksdb"));
            span.attributes
                .push(KeyValue::new("db.namespace", namespace));
            span.attributes
                .push(KeyValue::new("db.operation.name", "get"));
            span
        };
        let expected = [
            "trace 00000000000000000000000000000001 · 2 spans · 2.00 µs",
            "db.system.name=rocksdb",
            "get articles 1.00 µs db.namespace=a",
            "get articles 1.00 µs db.namespace=b",
        ];
        assert_eq!(lines(&render(vec![of(1, "a"), of(2, "b")], true)), expected);
    }

    #[test]
    fn a_cycle_of_parents_is_left_out() {
        let text = render(vec![span("a", 1, 2, 0, 1), span("b", 2, 1, 0, 1)], false);
        assert_eq!(lines(&text).len(), 1);
    }
}
