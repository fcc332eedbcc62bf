//! Calls to other services: one client span per call, with its context in the headers.

use std::error::Error;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percolate_core::otel::inject;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};

use super::incoming::record_status;

/// The timeout of a call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An HTTP client that propagates the current trace.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Caller {
    pub(crate) fn new() -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Calls another service. An error status is a normal response here.
    pub(crate) async fn call(
        &self,
        method: Method,
        uri: Uri,
        json: Bytes,
    ) -> Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
        let span = client_span(&method, &uri);
        let answer = async {
            let mut request = Request::new(Full::new(json));
            *request.method_mut() = method;
            *request.uri_mut() = uri;
            request
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            // The client span is current here and becomes the parent of the other service's span.
            inject(request.headers_mut());
            let response = tokio::time::timeout(TIMEOUT, self.client.request(request)).await??;
            let status = response.status();
            Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        let answer = answer.instrument(span.clone()).await;
        if let Ok((status, _)) = &answer {
            record_status(&span, i64::from(status.as_u16()), 400);
        } else {
            span.record("error.type", "_OTHER");
            span.record("otel.status_code", "ERROR");
        }
        answer
    }
}

fn client_span(method: &Method, uri: &Uri) -> Span {
    info_span!(
        "call",
        otel.name = method.as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = method.as_str(),
        http.response.status_code = Empty,
        error.r#type = Empty,
        server.address = uri.host(),
        server.port = uri.port_u16().map(i64::from),
        url.full = %uri,
    )
}
