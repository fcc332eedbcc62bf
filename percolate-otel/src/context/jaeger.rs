//! The header `uber-trace-id` of Jaeger: `trace:span:parent:flags`, with ids of up to 32 and 16
//! digits. The caller's parent is ignored, and the debug flag is sampled. Jaeger's own baggage headers
//! (`uberctx-…`) are not read.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId};

use super::traceparent::{TraceParent, hex};

/// Bit 0 is sampled, bit 1 is debug.
const SAMPLED: u128 = 0b11;

/// Returns the caller's span. The colons may be percent-encoded.
pub(super) fn parse(text: &str) -> Option<TraceParent> {
    let text = text.trim().to_ascii_lowercase().replace("%3a", ":");
    let fields: Vec<&str> = text.split(':').collect();
    let [trace_id, span_id, _parent, flags] = fields[..] else {
        return None;
    };
    let sampled = digits(flags, 2)? & SAMPLED != 0;
    TraceParent::new(
        TraceId::from(digits(trace_id, 32)?),
        SpanId::from(u64::try_from(digits(span_id, 16)?).ok()?),
        TraceFlags::default().with_sampled(sampled),
    )
}

fn digits(text: &str, longest: usize) -> Option<u128> {
    (1..=longest)
        .contains(&text.len())
        .then(|| hex(text.as_bytes()))
        .flatten()
}

/// Returns the value of the header.
pub(super) fn print(parent: &TraceParent) -> String {
    format!(
        "{}:{}:0:{}",
        parent.trace_id(),
        parent.span_id(),
        u8::from(parent.is_sampled())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_extended_and_invalid_values_are_refused() {
        let of = |text: &str| parse(text).map(|parent| parent.to_string());
        let long = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
        assert_eq!(
            of("0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:01"),
            Some(long.clone())
        );
        assert_eq!(
            of("af7651916cd43dd8448eb211c80319c%3Ab7ad6b7169203331%3A0%3A3"),
            Some(long)
        );
        assert_eq!(
            of("1:2:0:0").as_deref(),
            Some("00-00000000000000000000000000000001-0000000000000002-00")
        );
        for invalid in [
            "",
            "1:2:0",
            "1:2:0:1:1",
            "0:2:0:1",
            "1:0:0:1",
            "x:2:0:1",
            "1:2:0:",
        ] {
            assert_eq!(of(invalid), None, "{invalid}");
        }
        let printed = parse("1:2:0:1").map(|parent| print(&parent));
        let digits = format!("{:0>32}:{:0>16}:0:1", 1, 2);
        assert_eq!(printed, Some(digits));
    }
}
