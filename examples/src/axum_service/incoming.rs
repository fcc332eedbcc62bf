//! The layer for incoming requests: the caller's trace context, and one server span per request.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use percolate_core::otel::{TraceContext, with_trace_context};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};

/// Answers a request inside the trace of its caller; for `axum::middleware::from_fn`.
///
/// A caller without a valid `traceparent` gets a new trace. A caller that does not record gets no spans.
pub(crate) async fn trace(request: Request, next: Next) -> Response {
    let caller = TraceContext::from_headers(request.headers());
    let answer = async {
        // Made in here: what is current now is the caller's span, and becomes the parent.
        let span = server_span(&request);
        let response = next.run(request).instrument(span.clone()).await;
        record_status(&span, i64::from(response.status().as_u16()), 500);
        response
    };
    with_trace_context(Some(caller), answer).await
}

fn server_span(request: &Request) -> Span {
    // The route, not the path: names of spans are few.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(MatchedPath::as_str);
    let method = request.method().as_str();
    let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
    info_span!(
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        error.r#type = Empty,
        url.path = request.uri().path(),
        url.scheme = "http",
    )
}

/// Notes the answer's status on a span. From `failure` on the span has failed: 500 for a server, 400 for a client.
pub(crate) fn record_status(span: &Span, status: i64, failure: i64) {
    span.record("http.response.status_code", status);
    if status >= failure {
        span.record("error.type", status.to_string());
        span.record("otel.status_code", "ERROR");
    }
}
