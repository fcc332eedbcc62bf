//! How many bytes a span takes in memory, for exporters that keep spans.

use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// Returns roughly how many bytes a span takes.
pub(super) fn span_bytes(span: &SpanData) -> usize {
    let events = &span.events.events;
    let of_events: usize = events
        .iter()
        .map(|event| size_of_val(event) + event.name.len() + attributes_bytes(&event.attributes))
        .sum();
    let links = &span.links.links;
    let of_links: usize = links
        .iter()
        .map(|link| size_of_val(link) + attributes_bytes(&link.attributes))
        .sum();
    size_of::<SpanData>()
        + span.name.len()
        + attributes_bytes(&span.attributes)
        + of_events
        + of_links
}

fn attributes_bytes(attributes: &[KeyValue]) -> usize {
    let of_value = |value: &Value| match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::String(texts)) => {
            texts.iter().map(|text| 24 + text.as_str().len()).sum()
        }
        Value::Array(Array::Bool(values)) => values.len(),
        Value::Array(Array::I64(values)) => 8 * values.len(),
        Value::Array(Array::F64(values)) => 8 * values.len(),
        _ => 0,
    };
    attributes
        .iter()
        .map(|attribute| {
            size_of::<KeyValue>() + attribute.key.as_str().len() + of_value(&attribute.value)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::super::trace_tree::tests::span;
    use super::*;

    #[test]
    fn the_bytes_of_a_span_include_its_attributes() {
        let plain = span("get articles", 1, 0, 0, 1);
        let mut long = plain.clone();
        long.attributes.push(KeyValue::new("a", "x".repeat(1000)));
        assert!(span_bytes(&long) >= span_bytes(&plain) + 1000);
    }
}
