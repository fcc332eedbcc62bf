//! Received spans as a tree.

use std::fmt::Write as _;

use percolate_pipeline_tests::{ReceivedSpan, typed};

/// Returns the spans of a trace.
pub(crate) fn of_trace(spans: &[ReceivedSpan], trace_id: &str) -> Vec<ReceivedSpan> {
    spans
        .iter()
        .filter(|received| hex(&received.span.trace_id) == trace_id)
        .cloned()
        .collect()
}

/// Prints the spans below `parent` as an indented tree of service, name and kind.
pub(crate) fn tree(spans: &[ReceivedSpan], parent: &str) -> String {
    let mut text = String::new();
    draw(spans, parent, 0, &mut text);
    text
}

fn draw(spans: &[ReceivedSpan], parent: &str, depth: usize, text: &mut String) {
    let mut children: Vec<_> = spans
        .iter()
        .filter(|received| hex(&received.span.parent_span_id) == parent)
        .collect();
    children.sort_by_key(|received| received.span.start_time_unix_nano);
    for ReceivedSpan { span, resource, .. } in children {
        let service = typed(resource, "service.name")
            .unwrap_or_default()
            .replace("string:", "");
        let kind = span
            .kind()
            .as_str_name()
            .trim_start_matches("SPAN_KIND_")
            .to_lowercase();
        writeln!(
            text,
            "{}{service}: {} [{kind}]",
            "  ".repeat(depth),
            span.name
        )
        .expect("writing to a string cannot fail");
        draw(spans, &hex(&span.span_id), depth + 1, text);
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
