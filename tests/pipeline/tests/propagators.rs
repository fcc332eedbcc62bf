//! `OTEL_PROPAGATORS` decides what `inject` and `TraceContext::from_headers` do, as it decides for
//! OpenTelemetry's global propagator. One test, because it changes global state.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::global;
use percolate_core::otel::{
    Environment, Exporter, Telemetry, TraceContext, attach_trace_context, inject,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// Runs `body` while a pipeline with these propagators is installed.
fn with(propagators: &str, body: impl FnOnce()) {
    let environment: Environment = [("OTEL_PROPAGATORS", propagators)].into_iter().collect();
    let guard = Telemetry::builder()
        .environment(environment)
        .traces([Exporter::None])
        .metrics([Exporter::None])
        .install_subscriber(false)
        .install()
        .expect("no other pipeline is installed");
    assert_eq!(guard.status().warnings, [], "{propagators}");
    body();
    guard
        .shutdown(Duration::from_secs(20))
        .expect("there is nothing to export");
}

/// Returns the headers that a service with this caller sends, with sorted names, by `inject` and by
/// the global propagator.
fn sent(caller: &[(&str, &str)]) -> [Vec<(String, String)>; 2] {
    let _attached = attach_trace_context(Some(TraceContext::from_headers(caller.iter().copied())));
    let sorted = |headers: HashMap<String, String>| {
        let mut headers: Vec<_> = headers.into_iter().collect();
        headers.sort();
        headers
    };
    let mut injected = HashMap::new();
    inject(&mut injected);
    let mut global = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject(&mut global));
    [sorted(injected), sorted(global)]
}

#[track_caller]
fn assert_sent(caller: &[(&str, &str)], expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(sent(caller), [expected.clone(), expected], "{caller:?}");
}

#[test]
fn the_propagators_of_the_environment_decide_what_is_read_and_sent() {
    let w3c = format!("00-{TRACE}-{SPAN}-01");
    let w3c = [("traceparent", w3c.as_str()), ("tracestate", "a=1")];
    let b3 = format!("{TRACE}-{SPAN}-1");
    let b3 = [("b3", b3.as_str())];
    let multi = [
        ("x-b3-sampled", "1"),
        ("x-b3-spanid", SPAN),
        ("x-b3-traceid", TRACE),
    ];
    let jaeger = format!("{TRACE}:{SPAN}:0:1");
    let jaeger = [("uber-trace-id", jaeger.as_str())];
    let all: [&[(&str, &str)]; 4] = [&w3c, &b3, &multi, &jaeger];

    with("none", || {
        for caller in all {
            assert_sent(caller, &[]);
        }
    });
    with("baggage", || {
        for caller in all {
            assert_sent(caller, &[]);
        }
    });
    with("TraceContext", || {
        assert_sent(&w3c, &w3c);
        for caller in [&b3[..], &multi, &jaeger] {
            assert_sent(caller, &[]);
        }
    });
    with("b3", || {
        assert_sent(&w3c, &[]);
        assert_sent(&jaeger, &[]);
        assert_sent(&b3, &b3);
        assert_sent(&multi, &b3);
    });
    with("B3Multi", || {
        assert_sent(&w3c, &[]);
        assert_sent(&multi, &multi);
        assert_sent(&b3, &multi);
    });
    with("jaeger", || {
        assert_sent(&b3, &[]);
        assert_sent(&jaeger, &jaeger);
    });
    with("tracecontext,b3,jaeger,baggage", || {
        let both = [b3[0], w3c[0], jaeger[0]];
        let mut both = both.to_vec();
        both.sort_unstable();
        for caller in [&b3[..], &multi, &jaeger] {
            assert_sent(caller, &both);
        }
        // The W3C headers win over those of another trace.
        let other = format!("{}-{SPAN}-0", "f".repeat(32));
        let mut with_state = both.clone();
        with_state.push(w3c[1]);
        with_state.sort_unstable();
        assert_sent(&[w3c[0], w3c[1], ("b3", &other)], &with_state);
    });

    // Baggage is read and sent only with its propagator.
    let caller = [w3c[0], ("baggage", "user=7")];
    let forwarded = || TraceContext::from_headers_with_baggage(caller).to_headers();
    with("tracecontext", || {
        assert!(!forwarded().contains_key("baggage"));
    });
    with("tracecontext,baggage", || {
        assert_eq!(forwarded()["baggage"], "user=7");
    });

    // A disabled pipeline propagates too.
    let environment: Environment = [("OTEL_SDK_DISABLED", "true"), ("OTEL_PROPAGATORS", "b3")]
        .into_iter()
        .collect();
    let guard = Telemetry::builder()
        .environment(environment)
        .install()
        .expect("no other pipeline is installed");
    assert_sent(&b3, &b3);
    drop(guard);
}
