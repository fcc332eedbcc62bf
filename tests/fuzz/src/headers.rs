//! Headers of trace context and baggage.

use percolate_core::otel::{TraceContext, attach_trace_context};

/// Reads lines of a name, a colon and a value as headers. What is sent has the limits of the
/// standards, and reading it again changes nothing.
///
/// The byte 1 in a value stands for the end of a line.
pub fn headers(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = line[colon + 1..].iter();
        let value: Vec<u8> = value
            .map(|byte| if *byte == 1 { b'\n' } else { *byte })
            .collect();
        Some((String::from_utf8_lossy(&line[..colon]).into_owned(), value))
    });
    let received = TraceContext::from_headers_with_baggage(lines);
    check(&received.to_headers());
    let sent = received.to_headers();
    let again = TraceContext::from_headers_with_baggage(&sent);
    assert_eq!(again.to_headers(), sent, "reading what was sent");
    assert_eq!(again.parent(), received.parent());
    assert!(received.parent().is_some() || !sent.contains_key("tracestate"));

    let parent = received.parent();
    let _guard = attach_trace_context(Some(received));
    let current = TraceContext::current_with_baggage().unwrap_or_default();
    assert_eq!(current.parent(), parent, "the attached context");
    check(&current.headers);
    let again = TraceContext::from_headers_with_baggage(&current.headers);
    assert_eq!(
        again.headers, current.headers,
        "reading the current context"
    );
}

/// Checks the headers of an outgoing call.
fn check(headers: &std::collections::HashMap<String, String>) {
    for (name, value) in headers {
        let limit = match name.as_str() {
            "traceparent" => 55,
            "tracestate" => 4096,
            "baggage" => 8192,
            _ => panic!("header {name} is sent"),
        };
        assert!(value.len() <= limit, "{name} has {} bytes", value.len());
        assert!(
            value
                .bytes()
                .all(|byte| (b' '..=b'~').contains(&byte) || byte == b'\t'),
            "{name}: {value:?}"
        );
    }
    let members = |name: &str| headers.get(name).map_or(0, |text| text.split(',').count());
    assert!(members("tracestate") <= 32 && members("baggage") <= 64);
}
