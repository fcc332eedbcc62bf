//! OTLP over HTTP: requests with the decided headers and compression, over the client of
//! `http_client`. Connections live on the thread `percolate-otlp`.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    USER_AGENT as USER_AGENT_HEADER,
};
use http::{Method, Request, Response, StatusCode, Uri};

use super::super::error::TelemetryError;
use super::super::otlp_options::{OtlpCompression, OtlpProtocol};
use super::super::settings::OtlpSettings;
use super::endpoint::failed;
use super::message::MAX_RESPONSE;
use super::retry::{Failure, Retry};
use super::tls;
use super::user_agent::USER_AGENT;
use crate::http_client::{self, IncompleteResponse, SendError};

/// Sends requests to one URL.
#[derive(Debug)]
pub(super) struct HttpTransport {
    client: http_client::HttpClient,
    endpoint: Uri,
    headers: HeaderMap,
    compression: OtlpCompression,
}

impl HttpTransport {
    pub(super) fn new(settings: &OtlpSettings) -> Result<Self, TelemetryError> {
        let endpoint: Uri = settings.endpoint.parse().map_err(|error| {
            failed(
                settings,
                format!("not a valid URL such as http://collector:4318: {error}"),
            )
        })?;
        let tls = if endpoint.scheme_str() == Some("https") {
            tls::for_http(settings)?
        } else {
            http_client::no_tls().map_err(|error| failed(settings, error.to_string()))?
        };
        Ok(Self {
            client: http_client::HttpClient::new(tls, settings.timeout, MAX_RESPONSE),
            endpoint,
            headers: headers(settings)?,
            compression: settings.compression,
        })
    }

    /// Returns the body of a request, compressed if that is set.
    pub(super) fn body(&self, request: &Bytes) -> Result<Bytes, String> {
        match self.compression {
            OtlpCompression::None => Ok(request.clone()),
            OtlpCompression::Gzip => {
                gzip(request).map_err(|error| format!("cannot compress the request: {error}"))
            }
        }
    }

    /// Sends a body once and returns that of the response. With the status of a success the request
    /// is accepted, even if the rest of the response does not arrive or is too long; the returned
    /// body is then empty.
    pub(super) async fn send(&self, body: Bytes) -> Result<Bytes, Failure> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        *request.headers_mut() = self.headers.clone();
        match self.client.send(request).await {
            Ok(response) if response.status().is_success() => Ok(response.into_body()),
            Ok(response) => Err(refused(&response, SystemTime::now())),
            Err(SendError::Timeout(_)) => Err(Failure {
                problem: "no response in time".to_owned(),
                retry: Retry::Backoff,
            }),
            Err(SendError::Connection(error)) => match error.downcast_ref::<IncompleteResponse>() {
                Some(response) if response.head.status().is_success() => Ok(Bytes::new()),
                Some(response) => Err(refused(&response.head, SystemTime::now())),
                None => Err(Failure::of_connection(&*error)),
            },
        }
    }
}

fn headers(settings: &OtlpSettings) -> Result<HeaderMap, TelemetryError> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT_HEADER, HeaderValue::from_static(USER_AGENT));
    for (name, value) in &settings.headers {
        let pair = HeaderName::try_from(name.as_str())
            .ok()
            .zip(HeaderValue::from_str(value).ok());
        let (name, value) =
            pair.ok_or_else(|| failed(settings, format!("the header `{name}` is invalid")))?;
        headers.insert(name, value);
    }
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(match settings.protocol {
            OtlpProtocol::HttpJson => "application/json",
            OtlpProtocol::HttpProtobuf | OtlpProtocol::Grpc => "application/x-protobuf",
        }),
    );
    match settings.compression {
        OtlpCompression::None => {}
        OtlpCompression::Gzip => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    Ok(headers)
}

fn gzip(body: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body)?;
    Ok(encoder.finish()?.into())
}

/// Describes a response that is not a success. Its body may repeat headers or data: only the status
/// is reported.
fn refused<B>(response: &Response<B>, now: SystemTime) -> Failure {
    let status = response.status();
    let retry = match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            retry_after(response.headers(), now).map_or(Retry::Backoff, Retry::After)
        }
        _ => Retry::Never,
    };
    Failure {
        problem: format!("the collector returned the status {status}"),
        retry,
    }
}

/// Parses `Retry-After`: seconds or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let delay = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value)
            .ok()?
            .duration_since(now)
            .unwrap_or_default(),
    };
    Some(delay).filter(|delay| !delay.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, retry_after: &str) -> Failure {
        let response = Response::builder()
            .status(status)
            .header("retry-after", retry_after)
            .body(Bytes::new())
            .expect("a response");
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:50 GMT").expect("a date");
        refused(&response, now)
    }

    #[test]
    fn overload_is_retried_after_the_delay_in_the_response() {
        assert_eq!(failure(503, "").retry, Retry::Backoff);
        assert_eq!(
            failure(429, "7").retry,
            Retry::After(Duration::from_secs(7))
        );
        assert_eq!(
            failure(503, "Fri, 31 Dec 1999 23:59:59 GMT").retry,
            Retry::After(Duration::from_secs(9))
        );
        for status in [302, 400, 401, 500, 501] {
            assert_eq!(failure(status, "7").retry, Retry::Never, "{status}");
        }
    }
}
