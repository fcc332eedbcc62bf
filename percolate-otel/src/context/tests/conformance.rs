//! W3C Trace Context Level 2, rule by rule: a table of what comes in and what must go out. `None`
//! going out means that the trace restarts.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags};

use crate::context::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What is sent on after these headers came in: `traceparent` and `tracestate`.
fn passed_on(headers: &[(&str, &str)]) -> Option<(String, Option<String>)> {
    let _guard = attach_trace_context(Some(TraceContext::from_headers(headers.iter().copied())));
    let mut sent = TraceContext::current()?.headers;
    let parent = sent
        .remove("traceparent")
        .expect("a current context has a traceparent");
    Some((parent, sent.remove("tracestate")))
}

/// What becomes of a `traceparent` value.
fn parent_after(value: &str) -> Option<String> {
    passed_on(&[("traceparent", value)]).map(|(parent, _)| parent)
}

/// The result for `tracestate` headers with a valid `traceparent`.
fn state_after(values: &[&str]) -> Option<String> {
    let states = values.iter().map(|value| ("tracestate", *value));
    let headers: Vec<_> = std::iter::once(("traceparent", VALID))
        .chain(states)
        .collect();
    passed_on(&headers)
        .expect("tracestate never restarts the trace")
        .1
}

#[test]
fn only_well_formed_traceparents_continue_the_trace() {
    let with_flags = |flags: &str| format!("00-{TRACE}-{SPAN}-{flags}");
    let with_version = |version: &str, rest: &str| format!("{version}-{TRACE}-{SPAN}-01{rest}");
    let with_ids = |trace: &str, span: &str| format!("00-{trace}-{span}-01");
    let table: &[(&str, String, Option<&str>)] = &[
        ("a valid header", VALID.to_owned(), Some(VALID)),
        ("nothing", String::new(), None),
        ("only white space", "  \t".to_owned(), None),
        // Version.
        (
            "version 00 with a dash behind",
            with_version("00", "-"),
            None,
        ),
        (
            "version 00 with a further field",
            with_version("00", "-extra"),
            None,
        ),
        (
            "version 00 with something glued on",
            with_version("00", ".extra"),
            None,
        ),
        ("a later version", with_version("cc", ""), Some(VALID)),
        (
            "a later version with a further field",
            with_version("cc", "-what-the-future-brings"),
            Some(VALID),
        ),
        (
            "a later version with a dash behind",
            with_version("cc", "-"),
            Some(VALID),
        ),
        (
            "a later version with something glued on",
            with_version("cc", ".what"),
            None,
        ),
        (
            "a later version cut short",
            with_version("cc", "")[..54].to_owned(),
            None,
        ),
        (
            "two values of a later version in one header",
            with_version("cc", &format!("-x,{VALID}")),
            None,
        ),
        ("version 01", with_version("01", ""), Some(VALID)),
        ("version fe", with_version("fe", ""), Some(VALID)),
        ("version ff", with_version("ff", ""), None),
        ("version in upper case", with_version("CC", ""), None),
        ("version that is no number", with_version(".0", ""), None),
        (
            "version that is no number, other digit",
            with_version("0.", ""),
            None,
        ),
        ("version of one digit", with_version("0", ""), None),
        ("version of three digits", with_version("000", ""), None),
        ("version of four digits", with_version("0000", ""), None),
        ("version with a sign", with_version("+0", ""), None),
        // Trace id.
        ("trace id of zeros", with_ids(&"0".repeat(32), SPAN), None),
        (
            "trace id in upper case",
            with_ids(&TRACE.to_uppercase(), SPAN),
            None,
        ),
        (
            "trace id with a bad first character",
            with_ids(&format!(".{}", &TRACE[1..]), SPAN),
            None,
        ),
        (
            "trace id with a bad last character",
            with_ids(&format!("{}g", &TRACE[1..]), SPAN),
            None,
        ),
        (
            "trace id with a letter of two bytes",
            with_ids(&format!("{}é", &TRACE[2..]), SPAN),
            None,
        ),
        ("trace id too short", with_ids(&TRACE[1..], SPAN), None),
        (
            "trace id too long",
            with_ids(&format!("0{TRACE}"), SPAN),
            None,
        ),
        (
            "trace id a digit short, parent id a digit long",
            with_ids(&TRACE[1..], &format!("0{SPAN}")),
            None,
        ),
        // Parent id.
        ("parent id of zeros", with_ids(TRACE, &"0".repeat(16)), None),
        (
            "parent id in upper case",
            with_ids(TRACE, &SPAN.to_uppercase()),
            None,
        ),
        (
            "parent id with a bad character",
            with_ids(TRACE, &format!(".{}", &SPAN[1..])),
            None,
        ),
        ("parent id too short", with_ids(TRACE, &SPAN[1..]), None),
        (
            "parent id too long",
            with_ids(TRACE, &format!("0{SPAN}")),
            None,
        ),
        // Flags: sampled and random stay, all others are cleared.
        (
            "not sampled",
            with_flags("00"),
            Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
        ),
        (
            "random",
            with_flags("02"),
            Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02"),
        ),
        (
            "sampled and random",
            with_flags("03"),
            Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03"),
        ),
        (
            "unknown flags",
            with_flags("ff"),
            Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03"),
        ),
        (
            "only unknown flags",
            with_flags("fc"),
            Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
        ),
        ("flags in upper case", with_flags("0A"), None),
        ("flags with a bad character", with_flags(".0"), None),
        ("flags with a bad second character", with_flags("0."), None),
        ("flags of one digit", with_flags("1"), None),
        ("flags of three digits", with_flags("001"), None),
        // White space and separators.
        ("a space before", format!(" {VALID}"), Some(VALID)),
        ("a tab before", format!("\t{VALID}"), Some(VALID)),
        ("a space behind", format!("{VALID} "), Some(VALID)),
        ("a tab behind", format!("{VALID}\t"), Some(VALID)),
        (
            "white space on both ends",
            format!("\t {VALID} \t"),
            Some(VALID),
        ),
        ("a line feed behind", format!("{VALID}\n"), None),
        ("a no-break space before", format!("\u{a0}{VALID}"), None),
        ("white space inside", VALID.replacen('-', " ", 1), None),
        ("underscores for dashes", VALID.replace('-', "_"), None),
        (
            "the last dash missing",
            format!("00-{TRACE}-{SPAN}001"),
            None,
        ),
        ("two values in one header", format!("{VALID},{VALID}"), None),
    ];
    for (case, value, expected) in table {
        assert_eq!(
            parent_after(value).as_deref(),
            *expected,
            "{case}: {value:?}"
        );
    }
}

#[test]
fn headers_are_found_by_their_exact_name_in_any_case() {
    for name in ["traceparent", "TraceParent", "TRACEPARENT", "tRaCePaReNt"] {
        assert_eq!(
            passed_on(&[(name, VALID)])
                .map(|(parent, _)| parent)
                .as_deref(),
            Some(VALID),
            "{name}"
        );
    }
    for name in [
        "trace-parent",
        "trace.parent",
        "trace_parent",
        "traceparent ",
        "ltraceparent",
    ] {
        assert_eq!(passed_on(&[(name, VALID)]), None, "{name}");
    }
    for name in ["tracestate", "TraceState", "TRACESTATE"] {
        let (_, state) = passed_on(&[("traceparent", VALID), (name, "foo=1")]).expect("valid");
        assert_eq!(state.as_deref(), Some("foo=1"), "{name}");
    }
    for name in ["trace-state", "trace.state"] {
        assert_eq!(
            passed_on(&[("traceparent", VALID), (name, "foo=1")])
                .expect("valid")
                .1,
            None,
            "{name}"
        );
    }
}

#[test]
fn two_traceparents_are_none() {
    let other = VALID.replace("b7", "b8");
    for second in [VALID, &other] {
        assert_eq!(
            passed_on(&[("traceparent", VALID), ("traceparent", second)]),
            None
        );
        assert_eq!(
            passed_on(&[("traceparent", VALID), ("Traceparent", second)]),
            None
        );
        assert_eq!(
            passed_on(&[
                ("traceparent", VALID),
                ("traceparent", ""),
                ("TRACEPARENT", second)
            ]),
            None
        );
    }
    let later = format!("cc{}-more", &VALID[2..]);
    assert_eq!(
        passed_on(&[("traceparent", &later), ("traceparent", &later)]),
        None
    );
    let map = HashMap::from([
        ("traceparent".to_owned(), VALID.to_owned()),
        ("TraceParent".to_owned(), other),
    ]);
    assert_eq!(TraceContext::from(map).parent(), None);
}

#[test]
fn a_tracestate_without_its_traceparent_goes_nowhere() {
    assert_eq!(passed_on(&[("tracestate", "foo=1")]), None);
    assert_eq!(
        passed_on(&[("traceparent", "garbage"), ("tracestate", "foo=1")]),
        None
    );
    assert!(
        TraceContext::from_headers([("tracestate", "foo=1")])
            .to_headers()
            .is_empty()
    );
}

#[test]
fn a_valid_tracestate_goes_on_in_order() {
    let key = format!("a{}", "z".repeat(255));
    let value = "v".repeat(256);
    let longest = format!("{key}={value}");
    let many = |count: usize| {
        (0..count)
            .map(|n| format!("k{n}={n}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let all_keys = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@=1,0@_-*/=2";
    let all_values = "k= !\"#$%&'()*+-./0123456789:;<>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";
    let table: &[(&str, &[&str], Option<&str>)] = &[
        ("two members", &["foo=1,bar=2"], Some("foo=1,bar=2")),
        ("two headers", &["foo=1", "bar=2"], Some("foo=1,bar=2")),
        (
            "three headers, two in one",
            &["foo=1,bar=2", "rojo=3", "congo=4"],
            Some("foo=1,bar=2,rojo=3,congo=4"),
        ),
        ("an empty header first", &["", "foo=1"], Some("foo=1")),
        (
            "an empty header between",
            &["foo=1", "", "bar=2"],
            Some("foo=1,bar=2"),
        ),
        ("an empty header last", &["foo=1", ""], Some("foo=1")),
        ("an empty header alone", &[""], None),
        ("white space alone", &[" \t"], None),
        ("empty members", &["foo=1,,,bar=2,"], Some("foo=1,bar=2")),
        (
            "white space around members",
            &[" foo=1 \t,\t bar=2 ", " baz=3"],
            Some("foo=1,bar=2,baz=3"),
        ),
        (
            "white space in front of a value belongs to it",
            &["foo= 1"],
            Some("foo= 1"),
        ),
        ("a space inside a value", &["foo=a b"], Some("foo=a b")),
        ("every character of keys", &[all_keys], Some(all_keys)),
        ("every character of values", &[all_values], Some(all_values)),
        (
            "a vendor's key",
            &["fw529a3039@dt=FfAB"],
            Some("fw529a3039@dt=FfAB"),
        ),
        (
            "several at signs in a key",
            &["foo@@bar=1,bar=2,a@b@c=3"],
            Some("foo@@bar=1,bar=2,a@b@c=3"),
        ),
        (
            "a long vendor",
            &["t@aaaaaaaaaaaaaaa=1,foo=2"],
            Some("t@aaaaaaaaaaaaaaa=1,foo=2"),
        ),
        (
            "a trailing at sign",
            &["foo@=1,bar=2"],
            Some("foo@=1,bar=2"),
        ),
        (
            "a key of digits",
            &["0=1,42@vendor=2"],
            Some("0=1,42@vendor=2"),
        ),
        ("the longest key and value", &[&longest], Some(&longest)),
        ("the most members", &[&many(32)], Some(&many(32))),
        (
            "the same key twice: the first, which is newer",
            &["foo=1,bar=2,foo=3"],
            Some("foo=1,bar=2"),
        ),
        (
            "the same key twice with the same value",
            &["foo=1", "foo=1"],
            Some("foo=1"),
        ),
    ];
    for (case, values, expected) in table {
        assert_eq!(state_after(values).as_deref(), *expected, "{case}");
    }
}

#[test]
fn an_invalid_member_discards_the_whole_tracestate_and_not_the_trace() {
    let long_key = format!("{}=1", "z".repeat(257));
    let long_vendor_key = format!("t@{}=1", "v".repeat(255));
    let long_value = format!("foo={}", "v".repeat(257));
    let many = (0..33)
        .map(|n| format!("k{n}={n}"))
        .collect::<Vec<_>>()
        .join(",");
    let table: &[(&str, &str)] = &[
        ("no value", "foo"),
        ("no equals sign in one of two members", "bar=2,foo"),
        ("an empty value", "foo=,bar=3"),
        ("a value of white space", "foo= "),
        ("an empty key", "=1"),
        ("a key of white space", " =1"),
        ("white space behind a key", "foo =1"),
        ("a tab in a key", "fo\to=1"),
        ("a capital in a key", "Foo=1"),
        ("a dot in a key", "foo.bar=1"),
        ("a colon in a key", "foo:bar=1"),
        ("a key that starts with an underscore", "_foo=1"),
        ("a key that starts with an at sign", "@foo=1"),
        ("a key of another alphabet", "fóo=1"),
        ("two equals signs", "foo=bar=baz"),
        ("an equals sign at the end", "foo=1="),
        ("a tab in a value", "foo=a\tb"),
        ("a control character in a value", "foo=a\u{7f}"),
        ("a value outside ASCII", "foo=é"),
        ("a semicolon list", "foo=1;bar=2,="),
        ("a key too long", &long_key),
        ("a vendor's key too long", &long_vendor_key),
        ("a value too long", &long_value),
        ("too many members", &many),
    ];
    for (case, value) in table {
        assert_eq!(state_after(&[value]), None, "{case}");
        assert_eq!(
            state_after(&["good=1", value]),
            None,
            "{case}, behind a good header"
        );
    }
}

#[test]
fn an_oversized_tracestate_loses_long_members_first_and_then_the_last_ones() {
    let long = |key: &str| format!("{key}={}", "v".repeat(250));
    let short: Vec<String> = (0..12).map(|n| format!("s{n}=1")).collect();
    let mut members: Vec<String> = (0..20).map(|n| long(&format!("l{n}"))).collect();
    members.extend(short.iter().cloned());
    let sent = state_after(&[&members.join(",")]).expect("something is sent");
    assert!(sent.len() <= 4096 && sent.len() > 3584);
    assert!(
        sent.starts_with(&long("l0")),
        "the oldest long members go first"
    );
    assert!(
        sent.ends_with(&short.join(",")),
        "no short member goes while there are long ones"
    );
    assert!(
        sent.split(',')
            .all(|member| members.iter().any(|known| known == member)),
        "members stay whole"
    );

    let medium: Vec<String> = (0..32)
        .map(|n| format!("m{n:02}={}", "v".repeat(124)))
        .collect();
    assert_eq!(medium[0].len(), 128);
    let sent = state_after(&[&medium.join(",")]).expect("something is sent");
    assert_eq!(sent, medium[..31].join(","));
}

#[test]
fn the_random_flag_outlives_spans_that_are_not_recorded() {
    let random = VALID.replace("-01", "-02");
    let _guard = attach_trace_context(Some(TraceContext::from_headers([("traceparent", &random)])));
    // What the SDK does to a span that its sampler refuses: a new span id and no flags.
    let remote = Context::map_current(|cx| cx.span().span_context().clone());
    let refused = SpanContext::new(
        remote.trace_id(),
        opentelemetry::trace::SpanId::from(5_u64),
        TraceFlags::default(),
        false,
        remote.trace_state().clone(),
    );
    let _span = Context::current()
        .with_remote_span_context(refused)
        .attach();
    let sent = TraceContext::current()
        .and_then(|context| context.parent())
        .expect("a trace is current");
    assert_eq!(sent.flags().to_u8(), 0x02);
}

#[test]
fn a_changed_tracestate_stays_in_front_of_what_the_sdk_cannot_hold() {
    let _guard = attach_trace_context(Some(TraceContext::from_headers([
        ("traceparent", VALID),
        ("tracestate", "a@b@c=1,foo=2,bar=3"),
    ])));
    let remote = Context::map_current(|cx| cx.span().span_context().clone());
    assert_eq!(remote.trace_state().header(), "foo=2,bar=3");
    let changed = remote.trace_state().insert("bar", "4").expect("valid");
    let span = SpanContext::new(
        remote.trace_id(),
        remote.span_id(),
        remote.trace_flags(),
        false,
        changed,
    );
    let _span = Context::current().with_remote_span_context(span).attach();
    assert_eq!(
        TraceContext::current().expect("a trace is current").headers["tracestate"],
        "bar=4,foo=2,a@b@c=1"
    );
}

#[test]
fn a_second_attached_context_inherits_nothing_of_the_first() {
    let exotic = TraceContext::from_headers([("traceparent", VALID), ("tracestate", "a@b@c=1")]);
    let plain = TraceContext::from_headers([("traceparent", VALID), ("tracestate", "foo=2")]);
    let _outer = attach_trace_context(Some(exotic.clone()));
    {
        let _inner = attach_trace_context(Some(plain.clone()));
        assert_eq!(TraceContext::current(), Some(plain));
    }
    assert_eq!(TraceContext::current(), Some(exotic));
}

#[test]
fn an_attached_context_is_remote_and_invalid_input_restarts() {
    let context = TraceContext::from_headers([("traceparent", VALID)]);
    let span = context.span_context().expect("valid");
    assert!(span.is_remote() && span.is_sampled());
    let _outer = attach_trace_context(Some(context));
    {
        let _none = attach_trace_context(None);
        assert!(TraceContext::current().is_some(), "none changes nothing");
    }
    {
        let _restarted = attach_trace_context(Some(TraceContext::from_headers([(
            "traceparent",
            "00-nonsense",
        )])));
        assert_eq!(TraceContext::current(), None);
        assert!(
            !Context::current().has_active_span(),
            "samplers must see a root"
        );
    }
    assert_eq!(
        TraceContext::current()
            .map(|context| context.to_string())
            .as_deref(),
        Some(VALID)
    );
}

#[test]
fn header_values_that_are_no_text_are_invalid_and_fail_nothing() {
    let context = TraceContext::from_headers([("traceparent", b"00-\xff\xfe".as_slice())]);
    assert_eq!(context.parent(), None);
}

#[test]
fn only_trace_headers_are_kept_and_baggage_only_on_request() {
    let headers = [
        ("Authorization", "secret"),
        ("traceparent", VALID),
        ("Baggage", "user=7"),
    ];
    let context = TraceContext::from_headers(headers);
    assert_eq!(context.headers.keys().collect::<Vec<_>>(), ["traceparent"]);
    let context = TraceContext::from_headers_with_baggage(headers);
    assert_eq!(context.headers["baggage"], "user=7");
    assert_eq!(context.headers.len(), 2);
}

#[test]
fn attached_baggage_is_the_current_baggage_and_goes_out_on_request_alone() {
    let headers = [
        ("traceparent", VALID),
        ("baggage", "user=a%20b;p=1,=bad,other=2"),
    ];
    let _guard = attach_trace_context(Some(TraceContext::from_headers_with_baggage(headers)));
    Context::map_current(|cx| {
        assert_eq!(
            cx.baggage()
                .get("user")
                .map(|value| value.as_str().to_owned())
                .as_deref(),
            Some("a b")
        );
        assert_eq!(cx.baggage().len(), 2);
    });
    assert!(
        !TraceContext::current()
            .expect("a trace is current")
            .headers
            .contains_key("baggage")
    );
    let sent = TraceContext::current_with_baggage().expect("a trace is current");
    let mut members: Vec<_> = sent.headers["baggage"].split(',').collect();
    members.sort_unstable();
    assert_eq!(members, ["other=2", "user=a%20b;p=1"]);
}

#[test]
fn baggage_beyond_the_bounds_is_left_behind() {
    let many = (0..70)
        .map(|n| format!("k{n}=1"))
        .collect::<Vec<_>>()
        .join(",");
    let kept = TraceContext::from_headers_with_baggage([("baggage", &many)]);
    assert_eq!(kept.headers["baggage"].split(',').count(), 64);
    let large = format!("small=1,large={}", "v".repeat(9000));
    let kept = TraceContext::from_headers_with_baggage([("baggage", &large)]);
    assert_eq!(kept.headers["baggage"], "small=1");
    let kept = TraceContext::from_headers_with_baggage([("baggage", " , ;,\u{e9}=1")]);
    assert!(kept.headers.is_empty());
}

#[test]
fn injecting_replaces_what_an_earlier_call_left() {
    let mut headers = HashMap::from([
        ("TraceParent".to_owned(), "old".to_owned()),
        ("tracestate".to_owned(), "old=1".to_owned()),
    ]);
    inject(&mut headers);
    assert_eq!(headers.len(), 2, "without a trace nothing is touched");
    let _guard = attach_trace_context(VALID.parse().ok());
    inject(&mut headers);
    assert_eq!(
        headers,
        HashMap::from([("traceparent".to_owned(), VALID.to_owned())])
    );
}

#[test]
fn three_calls_out_of_one_request_share_its_trace() {
    let _guard = attach_trace_context(VALID.parse().ok());
    for _ in 0..3 {
        assert_eq!(
            current_trace_ids()
                .map(|ids| ids.trace_id.to_string())
                .as_deref(),
            Some(TRACE)
        );
    }
}

#[test]
fn the_propagator_follows_the_same_rules() {
    use opentelemetry::propagation::TextMapPropagator as _;

    let propagator = StrictPropagator::with_baggage();
    let carrier = HashMap::from(
        [
            ("traceparent", VALID),
            ("tracestate", "a@b@c=1, foo=2"),
            ("baggage", "user=7"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    let context = propagator.extract(&carrier);
    let mut sent = HashMap::new();
    propagator.inject_context(&context, &mut sent);
    assert_eq!(sent["traceparent"], VALID);
    assert_eq!(sent["tracestate"], "a@b@c=1,foo=2");
    assert_eq!(sent["baggage"], "user=7");

    let invalid = HashMap::from([("traceparent".to_owned(), format!("{VALID}-"))]);
    assert!(!propagator.extract(&invalid).has_active_span());
    assert_eq!(
        propagator.fields().collect::<Vec<_>>(),
        ["traceparent", "tracestate", "baggage"]
    );
}

#[test]
fn the_propagators_of_a_service_are_chosen_by_name() {
    let fields = |names: Option<&str>| {
        use opentelemetry::propagation::TextMapPropagator as _;
        let (propagator, refused) = StrictPropagator::from_names(names);
        (
            propagator
                .fields()
                .map(str::to_owned)
                .collect::<Vec<_>>()
                .join(" "),
            refused,
        )
    };
    assert_eq!(fields(None).0, "traceparent tracestate baggage");
    assert_eq!(fields(Some("")).0, "traceparent tracestate baggage");
    assert_eq!(fields(Some("tracecontext")).0, "traceparent tracestate");
    assert_eq!(
        fields(Some("baggage, tracecontext,tracecontext")).0,
        "traceparent tracestate baggage"
    );
    assert_eq!(fields(Some("none")).0, "");
    assert_eq!(
        fields(Some("TraceContext,B3,jaeger,xray")),
        (
            "traceparent tracestate b3 uber-trace-id".to_owned(),
            vec!["xray".to_owned()]
        )
    );
    assert_eq!(
        fields(Some("b3multi")).0,
        "x-b3-traceid x-b3-spanid x-b3-sampled"
    );
}

#[cfg(feature = "http")]
#[test]
fn http_headers_go_in_and_out() {
    let mut incoming = http::HeaderMap::new();
    incoming.append("traceparent", http::HeaderValue::from_static(VALID));
    incoming.append("tracestate", http::HeaderValue::from_static("foo=1"));
    incoming.append("tracestate", http::HeaderValue::from_static("bar=2"));
    let _guard = attach_trace_context(Some(TraceContext::from_headers(&incoming)));
    let mut outgoing = http::HeaderMap::new();
    outgoing.append("traceparent", http::HeaderValue::from_static("old"));
    inject(&mut outgoing);
    assert_eq!(
        outgoing.get_all("traceparent").iter().collect::<Vec<_>>(),
        [VALID]
    );
    assert_eq!(outgoing["tracestate"], "foo=1,bar=2");
    incoming.append("traceparent", http::HeaderValue::from_static(VALID));
    assert_eq!(TraceContext::from_headers(&incoming).parent(), None);
}

#[cfg(feature = "serde")]
#[test]
fn a_message_takes_its_context_through_serialisation() {
    let message = {
        let _guard = attach_trace_context(Some(TraceContext::from_headers([
            ("traceparent", VALID),
            ("tracestate", "foo=1"),
        ])));
        serde_json::to_string(&Traced::new(7)).expect("serialises")
    };
    let received: Traced<u32> = serde_json::from_str(&message).expect("deserialises");
    let (value, context) = received.run(|value| (value, TraceContext::current()));
    let context = context.expect("a trace is current");
    assert_eq!((value, context.headers["traceparent"].as_str()), (7, VALID));
    assert_eq!(context.headers["tracestate"], "foo=1");

    let untraced: Traced<u32> = serde_json::from_str(r#"{"value":7}"#).expect("deserialises");
    assert_eq!(untraced.context(), None);
    let hostile: Traced<u32> = serde_json::from_str(
        r#"{"trace":{"traceparent":"x","baggage":"a=1"},"more":[],"value":7}"#,
    )
    .expect("deserialises");
    assert_eq!(hostile.context(), None);
    hostile.run(|_| {
        assert!(
            Context::map_current(|cx| cx.baggage().is_empty()),
            "baggage is not enabled"
        );
    });
}
