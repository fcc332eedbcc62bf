//! OTLP over HTTP. The SDK encodes and retries; [`HttpTransport`] sends the requests with the
//! decided headers, over the client of `http_client`. Connections live on the thread
//! `percolate-otlp`.

use std::sync::Arc;

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tonic::codegen::http::{HeaderName, HeaderValue};

use super::super::error::TelemetryError;
use super::super::settings::OtlpSettings;
use super::endpoint::failed;
use super::tls;
use crate::http_client::{self, SendError};

/// The longest accepted response in bytes; the SDK's own limit.
const MAX_RESPONSE: usize = 4 * 1024 * 1024;

/// Sends requests with the decided headers.
#[derive(Debug)]
pub(super) struct HttpTransport {
    client: http_client::HttpClient,
    headers: Arc<[(HeaderName, HeaderValue)]>,
}

impl HttpTransport {
    pub(super) fn new(settings: &OtlpSettings) -> Result<Self, TelemetryError> {
        let tls = if settings.endpoint.starts_with("https://") {
            tls::for_http(settings)?
        } else {
            http_client::no_tls().map_err(|error| failed(settings, error.to_string()))?
        };
        let headers = settings.headers.iter().map(|(name, value)| {
            let pair = HeaderName::try_from(name.as_str())
                .ok()
                .zip(HeaderValue::from_str(value).ok());
            pair.ok_or_else(|| failed(settings, format!("the header `{name}` is invalid")))
        });
        Ok(Self {
            client: http_client::HttpClient::new(tls, settings.timeout, MAX_RESPONSE),
            headers: headers.collect::<Result<Vec<_>, _>>()?.into(),
        })
    }
}

#[async_trait::async_trait]
impl HttpClient for HttpTransport {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        for (name, value) in self.headers.iter() {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        self.client
            .send(request)
            .await
            .map_err(SendError::into_source)
    }
}
