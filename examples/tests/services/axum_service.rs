//! One trace across two services: a client calls A, A calls B, and both export to one receiver.

use percolate_pipeline_tests::{Answer, Collector};

use crate::gallery;
use crate::process::{Service, http};
use crate::tree::{of_trace, tree};

const CLIENT_SPAN: &str = "b7ad6b7169203331";

#[test]
fn a_trace_passes_through_both_services_with_the_clients_sampling_decision() {
    let collector = Collector::grpc(Answer::Accept);
    let endpoint = collector.endpoint();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let start = |name: &str, peer: Option<String>| {
        let path = directory.path().join(name).to_string_lossy().into_owned();
        let mut arguments = vec!["127.0.0.1:0", &path];
        arguments.extend(peer.as_deref());
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_SERVICE_NAME", name),
        ];
        Service::start(env!("CARGO_BIN_EXE_axum_service"), &arguments, &variables)
    };
    let b = start("b", None);
    let a = start("a", Some(format!("http://{}", b.address)));

    let sampled = [
        "0af7651916cd43dd8448eb211c80319c",
        "0af7651916cd43dd8448eb211c80319d",
    ];
    let refused = "0af7651916cd43dd8448eb211c80319e";
    let caller = |trace: &str, flags: &str| format!("00-{trace}-{CLIENT_SPAN}-{flags}");
    let send = |service: &Service, request: &str, caller: &str, body: &str| {
        http(
            service.address,
            request,
            &[("Traceparent", caller), ("tracestate", "vendor=1")],
            body,
        )
    };

    let stored = send(
        &b,
        "PUT /articles/1",
        &caller(refused, "00"),
        r#"{"title":"Percolation"}"#,
    );
    assert!(stored.starts_with("HTTP/1.1 204"), "{stored}");
    let found = send(&a, "GET /articles/1", &caller(sampled[0], "01"), "");
    assert!(
        found.starts_with("HTTP/1.1 200") && found.ends_with(r#"{"title":"Percolation"}"#),
        "{found}"
    );
    let missing = send(&a, "GET /articles/2", &caller(sampled[1], "01"), "");
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    let unseen = send(&a, "GET /articles/3", &caller(refused, "02"), "");
    assert!(unseen.starts_with("HTTP/1.1 404"), "{unseen}");
    a.stop();
    b.stop();

    let spans = collector.spans();
    let through_both = of_trace(&spans, sampled[0]);
    assert_eq!(
        tree(&through_both, CLIENT_SPAN),
        gallery::trace("src/axum_service/")
    );
    assert_eq!(through_both.len(), 6);
    for received in &through_both {
        assert_eq!(
            received.span.trace_state, "vendor=1",
            "{}",
            received.span.name
        );
    }
    assert_eq!(
        tree(&of_trace(&spans, sampled[1]), CLIENT_SPAN),
        "\
a: GET /articles/{id} [server]
  a: get articles [client]
  a: GET [client]
    b: GET /articles/{id} [server]
      b: get articles [client]
"
    );
    // No other spans: unsampled requests have none, and there are no orphans.
    assert_eq!(spans.len(), 6 + 5);
}
