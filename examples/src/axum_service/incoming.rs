//! The middleware for incoming requests: reads the caller's trace context and creates one server
//! span per request.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use percolate_core::otel::{TraceContext, with_trace_context};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};

/// Handles a request within the trace of its caller. For `axum::middleware::from_fn`.
///
/// Without a valid `traceparent` a new trace starts. If the caller's trace is not sampled, no spans
/// are created.
pub(crate) async fn trace(request: Request, next: Next) -> Response {
    let caller = TraceContext::from_headers(request.headers());
    let answer = async {
        // Created here, where the caller's span is current, so that it becomes the parent.
        let span = server_span(&request);
        let response = next.run(request).instrument(span.clone()).await;
        record_status(&span, i64::from(response.status().as_u16()), 500);
        response
    };
    with_trace_context(Some(caller), answer).await
}

fn server_span(request: &Request) -> Span {
    // The route instead of the path, because span names must have a low cardinality.
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

/// Records the response status on a span. Statuses from `failure` on are errors: 500 for a server,
/// 400 for a client.
pub(crate) fn record_status(span: &Span, status: i64, failure: i64) {
    span.record("http.response.status_code", status);
    if status >= failure {
        span.record("error.type", status.to_string());
        span.record("otel.status_code", "ERROR");
    }
}
