//! The HTTP/1.1 client with TLS (rustls with ring) that OTLP over HTTP and the HTTP embeddings of
//! `percolate-core` share: set-up, deadline and limit of the response size. Requests, headers and
//! retries belong to the callers. Internal: outside of semantic versioning.
//!
//! Invariant: nothing that the client does is logged or traced. Events of hyper contain the user name
//! and the password of a URL.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::rt::Executor;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use crate::quiet::quiet;

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
    /// The connection failed, or the response is too long. After the status has arrived it is an
    /// [`IncompleteResponse`].
    Connection(BoxError),
}

/// A response whose status and headers arrived, but not its body: the connection ended, or the body
/// is too long.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct IncompleteResponse {
    /// The status and the headers.
    pub head: Response<()>,
    source: BoxError,
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
                let new = Client::builder(QuietExecutor).build(self.connector.clone());
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
            match Limited::new(body, self.max_response).collect().await {
                Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
                Err(source) => Err(BoxError::from(IncompleteResponse {
                    head: Response::from_parts(head, ()),
                    source,
                })),
            }
        };
        tokio::time::timeout(self.timeout, Quiet(Box::pin(exchange)))
            .await
            .map_err(|elapsed| SendError::Timeout(Box::new(elapsed)))?
            .map_err(SendError::Connection)
    }
}

/// Returns a URL without the parts that may hold a secret.
pub fn public_url(url: &str) -> String {
    crate::public_url::public_url(url)
}

/// A future whose polls are neither logged nor traced.
struct Quiet<F>(Pin<Box<F>>);

impl<F: Future> Future for Quiet<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _quiet = quiet();
        self.0.as_mut().poll(context)
    }
}

/// Spawns the tasks of connections, which are neither logged nor traced.
#[derive(Clone)]
struct QuietExecutor;

impl<F> Executor<F> for QuietExecutor
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        TokioExecutor::new().execute(Quiet(Box::pin(future)));
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::Subscriber;
    use tracing_subscriber::layer::{Context, SubscriberExt as _};
    use tracing_subscriber::{Layer, Registry};

    use super::*;

    /// Counts events of this module.
    #[derive(Clone, Default)]
    struct Events(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Events {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            let is_of_test = event.metadata().target() == "percolate_test_client";
            self.0.fetch_add(usize::from(is_of_test), Ordering::Relaxed);
        }
    }

    async fn logging() {
        tracing::trace!(target: "percolate_test_client", "http://user:password@host");
        tokio::task::yield_now().await;
        tracing::trace!(target: "percolate_test_client", "http://user:password@host");
    }

    #[test]
    fn the_client_is_neither_logged_nor_traced() {
        let events = Events::default();
        let subscriber = Registry::default().with(events.clone());
        tracing::subscriber::with_default(subscriber, || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(async {
                logging().await;
                assert_eq!(events.0.load(Ordering::Relaxed), 2);
                Quiet(Box::pin(logging())).await;
                let (done, ended) = tokio::sync::oneshot::channel();
                QuietExecutor.execute(async {
                    logging().await;
                    done.send(()).unwrap();
                });
                ended.await.unwrap();
                assert_eq!(events.0.load(Ordering::Relaxed), 2);
            });
        });
    }
}
