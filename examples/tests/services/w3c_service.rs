//! The endpoint for the official test suite, called as the suite's harness calls it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use percolate_core::otel::TraceParent;

use crate::process::{Service, http};

const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Requests `count` calls from the service, and returns the headers of each.
fn calls(service: &Service, headers: &[(&str, &str)], count: usize) -> Vec<Vec<(String, String)>> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!(
        "http://{}/callback",
        listener.local_addr().expect("it is bound")
    );
    let receiver = std::thread::spawn(move || (0..count).map(|_| receive(&listener)).collect());
    let call = format!(r#"{{"url":"{url}","arguments":[]}}"#);
    let answer = http(
        service.address,
        "POST /test",
        headers,
        &format!("[{}]", vec![call; count].join(",")),
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    receiver.join().expect("no panic")
}

/// Receives one request, and returns its headers.
fn receive(listener: &TcpListener) -> Vec<(String, String)> {
    let (stream, _) = listener.accept().expect("the service calls");
    let mut stream = BufReader::new(stream);
    let lines = stream
        .by_ref()
        .lines()
        .map(|line| line.expect("the service sends"))
        .skip(1);
    let headers: Vec<_> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.split_once(": ")
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        })
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok());
    stream
        .read_exact(&mut vec![0; length.unwrap_or(0)])
        .expect("the service sends the arguments");
    let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    stream
        .get_mut()
        .write_all(answer)
        .expect("the service waits");
    headers
}

fn traceparent(headers: &[(String, String)]) -> TraceParent {
    let found: Vec<_> = headers
        .iter()
        .filter(|(name, _)| name == "traceparent")
        .collect();
    let [(_, value)] = found.as_slice() else {
        panic!("one traceparent is expected: {headers:?}")
    };
    value.parse().expect("a valid traceparent is sent")
}

fn tracestate(headers: &[(String, String)]) -> Option<&str> {
    headers
        .iter()
        .find(|(name, _)| name == "tracestate")
        .map(|(_, value)| value.as_str())
}

#[test]
fn outgoing_headers_follow_the_standard() {
    let service = Service::start(
        env!("CARGO_BIN_EXE_w3c_service"),
        &["127.0.0.1:0"],
        &[
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ],
    );
    let caller: TraceParent = VALID.parse().expect("valid");

    let sent = calls(
        &service,
        &[
            ("traceparent", VALID),
            ("tracestate", "foo=1"),
            ("tracestate", " a@b@c=2"),
        ],
        3,
    );
    let parents: Vec<_> = sent.iter().map(|headers| traceparent(headers)).collect();
    assert!(
        parents
            .iter()
            .all(|parent| parent.trace_id() == caller.trace_id() && parent.is_sampled())
    );
    assert!(
        parents
            .iter()
            .all(|parent| parent.span_id() != caller.span_id())
    );
    assert!(parents[0] != parents[1] && parents[1] != parents[2] && parents[0] != parents[2]);
    assert!(
        sent.iter()
            .all(|headers| tracestate(headers) == Some("foo=1,a@b@c=2")),
        "{sent:?}"
    );

    let random = VALID.replace("-01", "-03");
    let sent = calls(&service, &[("traceparent", &random)], 1);
    assert_eq!(traceparent(&sent[0]).flags().to_u8(), 0x03);

    // Without the sampled flag the service exports no spans. The parent id is that of its own
    // operation, and the flags are unchanged.
    for flags in ["-00", "-02"] {
        let refused = VALID.replace("-01", flags);
        let sent = calls(
            &service,
            &[("traceparent", &refused), ("tracestate", "foo=1")],
            1,
        );
        let sent_parent = traceparent(&sent[0]);
        assert_eq!(sent_parent.trace_id(), caller.trace_id());
        assert_ne!(sent_parent.span_id(), caller.span_id());
        assert!(sent_parent.to_string().ends_with(flags), "{sent_parent}");
        assert_eq!(tracestate(&sent[0]), Some("foo=1"));
    }

    for invalid in [
        "",
        "00-0-0-0",
        &format!("{VALID}-"),
        &VALID.to_uppercase(),
        &format!("{VALID},{VALID}"),
    ] {
        let sent = calls(
            &service,
            &[("traceparent", invalid), ("tracestate", "foo=1")],
            1,
        );
        assert_ne!(
            traceparent(&sent[0]).trace_id(),
            caller.trace_id(),
            "{invalid}"
        );
        assert_eq!(tracestate(&sent[0]), None, "{invalid}");
    }
    let sent = calls(
        &service,
        &[("traceparent", VALID), ("TraceParent", VALID)],
        1,
    );
    assert_ne!(traceparent(&sent[0]).trace_id(), caller.trace_id());
}

#[test]
fn an_unsampled_trace_has_one_id_in_all_calls() {
    let service = Service::start(
        env!("CARGO_BIN_EXE_w3c_service"),
        &["127.0.0.1:0"],
        &[
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
        ],
    );
    let sent: Vec<_> = calls(&service, &[], 3)
        .iter()
        .map(|headers| traceparent(headers))
        .collect();
    assert!(!sent[0].is_sampled());
    assert!(
        sent.iter()
            .all(|parent| parent.trace_id() == sent[0].trace_id() && !parent.is_sampled()),
        "{sent:?}"
    );
    let sent = calls(&service, &[("traceparent", VALID)], 1);
    assert!(
        traceparent(&sent[0]).is_sampled(),
        "the caller's decision takes precedence"
    );
}
