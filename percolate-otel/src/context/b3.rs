//! The B3 headers of Zipkin: one header `b3`, or several `x-b3-…`. Both forms are read, the single
//! header first. A trace id of 64 bits is extended with zeros, a missing decision is not sampled, and
//! the debug flag is sampled. Neither a decision without ids nor the caller's parent is used.

use std::collections::HashMap;

use opentelemetry::trace::{SpanId, TraceFlags, TraceId};

use super::header::{B3, B3_FLAGS, B3_SAMPLED, B3_SPAN_ID, B3_TRACE_ID};
use super::traceparent::{TraceParent, hex};

/// Returns the caller's span from headers with names in lower case.
pub(super) fn parse(headers: &HashMap<String, String>) -> Option<TraceParent> {
    let get = |name| headers.get(name).map(|value| value.trim());
    get(B3).and_then(single).or_else(|| {
        let debug = get(B3_FLAGS) == Some("1");
        let sampled = match get(B3_SAMPLED) {
            Some("1" | "true") => true,
            None | Some("0" | "false") => debug,
            Some(_) => return None,
        };
        parent(get(B3_TRACE_ID)?, get(B3_SPAN_ID)?, sampled)
    })
}

fn single(text: &str) -> Option<TraceParent> {
    let mut fields = text.split('-');
    let (trace_id, span_id) = (fields.next()?, fields.next()?);
    let sampled = match fields.next() {
        Some("1" | "d") => true,
        None | Some("0") => false,
        Some(_) => return None,
    };
    // The id of the caller's parent.
    let valid = fields.next().is_none_or(|id| digits(id, &[16]).is_some());
    parent(trace_id, span_id, sampled).filter(|_| valid && fields.next().is_none())
}

fn parent(trace_id: &str, span_id: &str, sampled: bool) -> Option<TraceParent> {
    let trace_id = digits(trace_id, &[16, 32])?;
    let span_id = u64::try_from(digits(span_id, &[16])?).ok()?;
    let flags = TraceFlags::default().with_sampled(sampled);
    TraceParent::new(TraceId::from(trace_id), SpanId::from(span_id), flags)
}

fn digits(text: &str, lengths: &[usize]) -> Option<u128> {
    let text = text.to_ascii_lowercase();
    lengths
        .contains(&text.len())
        .then(|| hex(text.as_bytes()))
        .flatten()
}

/// Returns the value of the single header.
pub(super) fn print(parent: &TraceParent) -> String {
    format!(
        "{}-{}-{}",
        parent.trace_id(),
        parent.span_id(),
        sampled(parent)
    )
}

/// Returns the value of `x-b3-sampled`.
pub(super) fn sampled(parent: &TraceParent) -> &'static str {
    if parent.is_sampled() { "1" } else { "0" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::header::B3_PARENT_SPAN_ID;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn parsed(headers: &[(&str, &str)]) -> Option<String> {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        parse(&headers.collect()).map(|parent| parent.to_string())
    }

    /// The ids as a `traceparent`.
    fn w3c(flags: &str) -> String {
        format!("00-{TRACE}-{SPAN}-{flags}")
    }

    #[test]
    fn the_single_header_is_read() {
        let of = |rest: &str| parsed(&[(B3, &format!("{TRACE}-{SPAN}{rest}"))]);
        assert_eq!(of("-1"), Some(w3c("01")));
        assert_eq!(of("-d"), Some(w3c("01")));
        assert_eq!(of("-0"), Some(w3c("00")));
        assert_eq!(of(""), Some(w3c("00")));
        assert_eq!(of("-1-05e3ac9a4f6e3b90"), Some(w3c("01")));
        for invalid in ["-2", "-", "-1-", "-1-05e3", "-1-05e3ac9a4f6e3b90-1"] {
            assert_eq!(of(invalid), None, "{invalid}");
        }
        let short = format!("{SPAN}-{SPAN}-1");
        let extended = format!("00-0000000000000000{SPAN}-{SPAN}-01");
        assert_eq!(parsed(&[(B3, &short)]), Some(extended));
        let zero = format!("{}-{SPAN}-1", "0".repeat(32));
        for invalid in ["0", "", "-", zero.as_str(), "xyz-b7ad6b7169203331-1"] {
            assert_eq!(parsed(&[(B3, invalid)]), None, "{invalid}");
        }
    }

    #[test]
    fn several_headers_are_read_after_the_single_one() {
        let ids = [(B3_TRACE_ID, TRACE), (B3_SPAN_ID, SPAN)];
        let with = |more: &[(&'static str, &'static str)]| parsed(&[&ids[..], more].concat());
        assert_eq!(with(&[]), Some(w3c("00")));
        assert_eq!(with(&[(B3_SAMPLED, "1")]), Some(w3c("01")));
        assert_eq!(with(&[(B3_SAMPLED, "true")]), Some(w3c("01")));
        assert_eq!(with(&[(B3_SAMPLED, "0")]), Some(w3c("00")));
        assert_eq!(with(&[(B3_FLAGS, "1")]), Some(w3c("01")));
        assert_eq!(with(&[(B3_SAMPLED, "maybe")]), None);
        assert_eq!(
            with(&[(B3_PARENT_SPAN_ID, "05e3ac9a4f6e3b90")]),
            Some(w3c("00"))
        );
        assert_eq!(with(&[(B3, "invalid"), (B3_SAMPLED, "1")]), Some(w3c("01")));
        assert_eq!(parsed(&ids[..1]), None);
    }
}
