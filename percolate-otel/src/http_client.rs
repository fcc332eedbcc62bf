//! The HTTP/1.1 client with TLS (rustls with ring) that OTLP over HTTP and the HTTP embeddings of
//! `percolate-core` share: set-up, deadline and limit of the response size. Requests, headers and
//! retries belong to the callers. Internal: outside of semantic versioning.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// An error of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

type PooledClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends requests. It must be used inside a tokio runtime.
#[derive(Debug, Clone)]
pub struct HttpClient {
    connector: HttpsConnector<HttpConnector>,
    /// The client of the runtime that sent the last request. An idle connection makes progress only
    /// on the runtime that opened it, so that another runtime, which may block the first one, must
    /// not use it.
    client: Arc<Mutex<Option<(tokio::runtime::Id, PooledClient)>>>,
    timeout: Duration,
    max_response: usize,
}

/// A request without a response.
#[derive(Debug)]
pub enum SendError {
    /// The time limit has passed.
    Timeout(BoxError),
    /// The connection failed, or the response is too long.
    Connection(BoxError),
}

impl SendError {
    /// Returns the cause.
    pub fn into_source(self) -> BoxError {
        match self {
            Self::Timeout(source) | Self::Connection(source) => source,
        }
    }
}

impl HttpClient {
    /// Creates a client for URLs with `https://`, which uses `tls`, and `http://`. A request takes
    /// at most `timeout`; a response has at most `max_response` bytes.
    pub fn new(tls: ClientConfig, timeout: Duration, max_response: usize) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        Self {
            connector,
            client: Arc::default(),
            timeout,
            max_response,
        }
    }

    /// Returns the client of the current runtime.
    fn client(&self) -> PooledClient {
        let runtime = tokio::runtime::Handle::current().id();
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        match &*client {
            Some((of, client)) if *of == runtime => client.clone(),
            _ => {
                let new = Client::builder(TokioExecutor::new()).build(self.connector.clone());
                *client = Some((runtime, new.clone()));
                new
            }
        }
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    ///
    /// [`SendError`] if no complete response arrives in time.
    pub async fn send(
        &self,
        request: Request<impl Into<Bytes>>,
    ) -> Result<Response<Bytes>, SendError> {
        let request = request.map(|body| Full::new(body.into()));
        let exchange = async {
            let (head, body) = self.client().request(request).await?.into_parts();
            let body = Limited::new(body, self.max_response).collect().await?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|elapsed| SendError::Timeout(Box::new(elapsed)))?
            .map_err(SendError::Connection)
    }
}

/// Returns a builder of TLS configurations with ring and rustls' default protocol versions.
///
/// # Errors
///
/// An error of rustls if ring does not support these versions.
pub fn tls_builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

/// Returns a TLS configuration that trusts the system's certificates.
///
/// # Errors
///
/// An I/O error if the system has no trusted certificates, or an error of [`tls_builder`].
pub fn system_tls() -> Result<ClientConfig, BoxError> {
    Ok(with_system_roots(tls_builder()?)?.with_no_client_auth())
}

/// Adds the system's trusted certificates.
///
/// # Errors
///
/// An I/O error if the system has no trusted certificates.
pub fn with_system_roots(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> std::io::Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    builder.with_native_roots()
}

/// Returns a TLS configuration that trusts no certificate, for `http://` only. It works on systems
/// that have no trusted certificates.
///
/// # Errors
///
/// An error of [`tls_builder`].
pub fn no_tls() -> Result<ClientConfig, rustls::Error> {
    Ok(tls_builder()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}
