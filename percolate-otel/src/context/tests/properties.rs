//! For any incoming headers, the outgoing headers are valid or absent, and printed values parse
//! the same.

use proptest::prelude::*;

use crate::context::tracestate::StateList;
use crate::context::*;

fn valid_parent() -> impl Strategy<Value = TraceParent> {
    (1_u128.., 1_u64.., 0_u8..4).prop_filter_map("ids are not zero", |(trace, span, flags)| {
        use opentelemetry::trace::TraceFlags;
        TraceParent::new(trace.into(), span.into(), TraceFlags::new(flags))
    })
}

/// Texts near the valid ones: each differs from a valid header in a few characters.
fn near_traceparent() -> impl Strategy<Value = String> {
    let edits = prop::collection::vec(
        (
            0_usize..60,
            prop::sample::select(b"0aAfgG-. \t+,".to_vec()),
            0_u8..3,
        ),
        0..3,
    );
    (valid_parent(), edits).prop_map(|(parent, edits)| {
        let mut text = parent.to_string().into_bytes();
        for (position, byte, kind) in edits {
            let position = position % (text.len() + 1);
            match kind {
                0 => text.insert(position, byte),
                1 if position < text.len() => text[position] = byte,
                _ if position < text.len() => drop(text.remove(position)),
                _ => {}
            }
        }
        String::from_utf8(text).expect("only ASCII was put in")
    })
}

/// The rule written the other way round: by character classes and positions of the whole text.
fn is_valid_traceparent(text: &str) -> bool {
    let text = text.trim_matches([' ', '\t']);
    let lower_hex = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let fields: Vec<&str> = text.splitn(5, '-').collect();
    let [version, trace, span, flags, rest @ ..] = fields.as_slice() else {
        return false;
    };
    let lengths = [version.len(), trace.len(), span.len(), flags.len()] == [2, 32, 16, 2];
    let zeros = |part: &str| part.bytes().all(|byte| byte == b'0');
    lengths
        && [version, trace, span, flags]
            .into_iter()
            .all(|part| lower_hex(part))
        && *version != "ff"
        && !zeros(trace)
        && !zeros(span)
        && (*version != "00" || rest.is_empty())
        && !text.contains(',')
}

fn members() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(
        (
            "[a-z0-9][a-z0-9_*/@-]{0,20}",
            "[ -+.-<>-~]{0,20}[!-+.-<>-~]",
        ),
        1..32,
    )
    .prop_map(|mut members| {
        let mut seen = std::collections::HashSet::new();
        members.retain(|(key, _)| seen.insert(key.clone()));
        members
    })
}

proptest! {
    #[test]
    fn parsing_what_was_printed_gives_the_same(parent in valid_parent()) {
        prop_assert_eq!(parent.to_string().parse::<TraceParent>(), Ok(parent));
        let context = TraceContext::from(parent);
        prop_assert_eq!(context.to_string().parse::<TraceContext>(), Ok(context));
    }

    #[test]
    fn exactly_the_valid_traceparents_parse(text in prop_oneof![near_traceparent(), "[0-9a-f-]{0,60}", ".*"]) {
        prop_assert_eq!(text.parse::<TraceParent>().is_ok(), is_valid_traceparent(&text), "{:?}", text);
    }

    #[test]
    fn outgoing_headers_are_valid_for_any_incoming_ones(
        parent in prop_oneof![near_traceparent(), ".*"],
        states in prop::collection::vec(prop_oneof![".*", "([a-z@*]{1,3}=[ -~]{0,4},? ?){0,40}"], 0..3),
        baggage in prop_oneof![".*", "([a-z]{0,3}=[!-~]{0,4},? ?){0,80}"],
    ) {
        let headers = [("traceparent", &parent), ("baggage", &baggage)];
        let headers = headers.into_iter().chain(states.iter().map(|state| ("tracestate", state)));
        let _guard = attach_trace_context(Some(TraceContext::from_headers_with_baggage(headers)));
        let sent = TraceContext::current().map(|context| context.headers).unwrap_or_default();
        prop_assert_eq!(sent.contains_key("traceparent"), is_valid_traceparent(&parent));
        prop_assert!(sent.contains_key("traceparent") || sent.is_empty());
        if let Some(parent) = sent.get("traceparent") {
            prop_assert!(is_valid_traceparent(parent) && parent.len() == 55);
        }
        if let Some(state) = sent.get("tracestate") {
            let again = StateList::parse(state);
            prop_assert_eq!(again.as_ref().map(StateList::as_str), Some(state.as_str()));
        }
        let with_baggage = TraceContext::current_with_baggage().map(|context| context.headers).unwrap_or_default();
        if let Some(text) = with_baggage.get("baggage") {
            prop_assert!(text.len() <= 8192 && text.split(',').count() <= 64 && text.is_ascii());
        }
    }

    #[test]
    fn a_valid_tracestate_arrives_unchanged(parent in valid_parent(), members in members()) {
        let text = members.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let headers = [("traceparent", parent.to_string()), ("tracestate", text.clone())];
        let _guard = attach_trace_context(Some(TraceContext::from_headers(headers)));
        let sent = TraceContext::current().expect("the parent is valid").headers;
        prop_assert_eq!(&sent["traceparent"], &parent.to_string());
        prop_assert_eq!(&sent["tracestate"], &text);
    }

    #[test]
    fn baggage_values_come_back_as_they_were(value in "\\PC{0,40}") {
        let mut original = opentelemetry::baggage::Baggage::new();
        original.insert("key", value.clone());
        let printed = baggage::print(&original).expect("there is a member");
        prop_assert_eq!(baggage::parse(&printed).get("key").map(|read| read.as_str().to_owned()), Some(value));
    }
}
