//! OTLP over HTTP: the SDK encodes and retries, this sends. Connections live on the thread `percolate-otlp`.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tonic::codegen::http::{HeaderName, HeaderValue};

use super::super::error::TelemetryError;
use super::super::settings::OtlpSettings;
use super::{failed, tls};

/// What a collector may answer at most; the SDK's own limit.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Sends requests with the decided headers.
#[derive(Debug)]
pub(super) struct HttpTransport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    headers: Arc<[(HeaderName, HeaderValue)]>,
    timeout: Duration,
}

impl HttpTransport {
    pub(super) fn new(settings: &OtlpSettings) -> Result<Self, TelemetryError> {
        let connector = HttpsConnectorBuilder::new();
        // Certificates are looked at only where they matter: plain HTTP works on a system that has none.
        let config = if settings.endpoint.starts_with("https://") {
            tls::for_hyper(settings)?
        } else {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| failed(settings, error.to_string()))?
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth()
        };
        let connector = connector
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let headers = settings.headers.iter().map(|(name, value)| {
            let pair = HeaderName::try_from(name.as_str())
                .ok()
                .zip(HeaderValue::from_str(value).ok());
            pair.ok_or_else(|| failed(settings, format!("the header `{name}` cannot be sent")))
        });
        let headers = headers.collect::<Result<Vec<_>, _>>()?.into();
        Ok(Self {
            client,
            headers,
            timeout: settings.timeout,
        })
    }
}

#[async_trait::async_trait]
impl HttpClient for HttpTransport {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        for (name, value) in self.headers.iter() {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let exchange = async {
            let (head, body) = self
                .client
                .request(request.map(Full::new))
                .await?
                .into_parts();
            let body = Limited::new(body, LONGEST_ANSWER)
                .collect()
                .await?
                .to_bytes();
            Ok(Response::from_parts(head, body))
        };
        tokio::time::timeout(self.timeout, exchange).await?
    }
}
