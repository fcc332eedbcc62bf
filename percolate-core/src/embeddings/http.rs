//! Embeddings over HTTP, from any endpoint with the OpenAI protocol: `POST {"model", "input"}`,
//! with the response `{"data": [{"index", "embedding"}]}`.
//!
//! A request that may succeed later (too many requests, server errors, timeouts, lost connections)
//! is repeated after a delay; other errors are final. Requests contain the trace context, and
//! baggage if it is enabled. Errors contain neither texts nor responses.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use serde_json::{Value, json};

use super::provider::{EmbeddingError, EmbeddingFuture, EmbeddingProvider};
use crate::otel::http_client::{self, HttpClient, SendError};
use crate::otel::{TraceContext, inject};

const BAGGAGE: &str = "baggage";

/// The maximum size of a response: a thousand vectors of 4096 numbers.
const LONGEST_ANSWER: usize = 128 << 20;

/// The maximum delay that an endpoint can request.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Options of [`HttpEmbeddings`].
#[derive(Clone)]
#[must_use]
pub struct HttpEmbeddingsOptions {
    endpoint: String,
    model: String,
    dimensions: usize,
    request_dimensions: bool,
    request_size: usize,
    concurrency: usize,
    api_key: Option<String>,
    send_baggage: bool,
    timeout: Duration,
    attempts: u32,
    backoff: Duration,
}

impl HttpEmbeddingsOptions {
    /// Creates options for an endpoint, e.g. `https://api.openai.com/v1/embeddings`, a model and
    /// the length of its vectors.
    pub fn new(endpoint: impl Into<String>, model: impl Into<String>, dimensions: usize) -> Self {
        Self {
            endpoint: endpoint.into(),
            model: model.into(),
            dimensions,
            request_dimensions: false,
            request_size: 64,
            concurrency: 4,
            api_key: None,
            send_baggage: false,
            timeout: Duration::from_secs(30),
            attempts: 4,
            backoff: Duration::from_millis(250),
        }
    }

    /// Sets whether requests contain the length of the vectors. Some models support several
    /// lengths. Default: `false`.
    pub fn request_dimensions(mut self, request: bool) -> Self {
        self.request_dimensions = request;
        self
    }

    /// Sets the maximum number of texts in one request, at least 1. Endpoints have their own
    /// limits. Default: 64.
    pub fn request_size(mut self, texts: usize) -> Self {
        self.request_size = texts.max(1);
        self
    }

    /// Sets the maximum number of concurrent requests, at least 1. Default: 4.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests.max(1);
        self
    }

    /// Sets the bearer token of requests. Default: none.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Sets whether requests carry the current baggage. The operator of the endpoint can read it.
    /// Default: `false`.
    pub fn send_baggage(mut self, send: bool) -> Self {
        self.send_baggage = send;
        self
    }

    /// Sets the timeout of one attempt. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the maximum number of attempts of a request, at least 1. Default: 4.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Sets the delay before the second attempt, unless the endpoint sends `Retry-After`. Each
    /// further delay is twice as long. Default: 250 ms.
    pub fn backoff(mut self, wait: Duration) -> Self {
        self.backoff = wait;
        self
    }
}

impl fmt::Debug for HttpEmbeddingsOptions {
    /// Does not print the key, nor the parts of the endpoint that may be secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpEmbeddingsOptions")
            .field("endpoint", &http_client::public_url(&self.endpoint))
            .field("model", &self.model)
            .field("dimensions", &self.dimensions)
            .finish_non_exhaustive()
    }
}

/// Embeds texts with requests to an endpoint. Must be used inside a tokio runtime.
pub struct HttpEmbeddings {
    options: HttpEmbeddingsOptions,
    endpoint: Uri,
    headers: HeaderMap,
    client: HttpClient,
}

impl HttpEmbeddings {
    /// Creates a client for the endpoint. No request is sent.
    ///
    /// # Errors
    ///
    /// [`EmbeddingError::Provider`] of the kind `configuration`: the endpoint is not a URL, the key
    /// is not a valid header value, or the system's certificates cannot be read.
    pub fn new(options: HttpEmbeddingsOptions) -> Result<Self, EmbeddingError> {
        let wrong = |source: Box<dyn std::error::Error + Send + Sync>| {
            failure(&options.model, "configuration", source)
        };
        let endpoint: Uri = options
            .endpoint
            .parse()
            .map_err(|error| wrong(Box::new(error)))?;
        if !matches!(endpoint.scheme_str(), Some("http" | "https")) {
            return Err(wrong(
                "the endpoint must begin with http:// or https://".into(),
            ));
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &options.api_key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|error| wrong(Box::new(error)))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let tls = if endpoint.scheme_str() == Some("https") {
            http_client::system_tls().map_err(wrong)?
        } else {
            http_client::no_tls().map_err(|error| wrong(Box::new(error)))?
        };
        let client = HttpClient::new(tls, options.timeout, LONGEST_ANSWER);
        Ok(Self {
            options,
            endpoint,
            headers,
            client,
        })
    }

    async fn embed_texts(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        let body = self.body(texts);
        let mut wait = self.options.backoff;
        for _ in 1..self.options.attempts {
            match self.attempt(&body, texts.len()).await {
                Ok(vectors) => return Ok(vectors),
                Err(Refusal {
                    error,
                    again: Again::Never,
                }) => return Err(error),
                Err(Refusal {
                    again: Again::After(asked),
                    ..
                }) => {
                    tokio::time::sleep(asked.unwrap_or(wait).min(LONGEST_WAIT)).await;
                    wait = wait.saturating_mul(2);
                }
            }
        }
        self.attempt(&body, texts.len())
            .await
            .map_err(|refusal| refusal.error)
    }

    fn body(&self, texts: &[String]) -> Vec<u8> {
        let mut body =
            json!({ "model": self.options.model, "input": texts, "encoding_format": "float" });
        if self.options.request_dimensions {
            body["dimensions"] = json!(self.options.dimensions);
        }
        body.to_string().into_bytes()
    }

    async fn attempt(&self, body: &[u8], texts: usize) -> Result<Vec<Vec<f32>>, Refusal> {
        let later = |kind, source| Refusal {
            error: failure(&self.options.model, kind, source),
            again: Again::After(None),
        };
        let mut request = Request::new(body.to_vec());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        *request.headers_mut() = self.headers.clone();
        inject(request.headers_mut());
        if let Some(baggage) = baggage().filter(|_| self.options.send_baggage) {
            request.headers_mut().insert(BAGGAGE, baggage);
        }
        let (head, body) = match self.client.send(request).await {
            Ok(response) => response.into_parts(),
            Err(SendError::Connection(error)) => return Err(later("connection", error)),
            Err(SendError::Timeout(elapsed)) => return Err(later("timeout", elapsed)),
        };
        if head.status != StatusCode::OK {
            return Err(self.refused(head.status, &head.headers));
        }
        let malformed = || {
            failure(
                &self.options.model,
                "malformed_answer",
                "no vectors where they should be".into(),
            )
        };
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        let vectors = answer.as_ref().and_then(|answer| vectors_in(answer, texts));
        vectors.ok_or_else(|| Refusal {
            error: malformed(),
            again: Again::Never,
        })
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap) -> Refusal {
        let kind: Cow<'static, str> = match status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limited".into(),
            status => status.as_str().to_owned().into(),
        };
        let error = failure(
            &self.options.model,
            kind,
            format!("the endpoint answered {status}").into(),
        );
        let may_pass = status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
            || status.is_server_error();
        let asked = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let again = if may_pass {
            Again::After(asked.map(Duration::from_secs))
        } else {
            Again::Never
        };
        Refusal { error, again }
    }
}

/// The error of an attempt.
struct Refusal {
    error: EmbeddingError,
    again: Again,
}

enum Again {
    Never,
    /// The delay that the endpoint requested.
    After(Option<Duration>),
}

impl EmbeddingProvider for HttpEmbeddings {
    fn name(&self) -> &str {
        &self.options.model
    }

    fn dimensions(&self) -> usize {
        self.options.dimensions
    }

    fn request_size(&self) -> usize {
        self.options.request_size
    }

    fn concurrency(&self) -> usize {
        self.options.concurrency
    }

    fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a> {
        Box::pin(self.embed_texts(texts))
    }
}

impl fmt::Debug for HttpEmbeddings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpEmbeddings")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Returns the current baggage as a header.
fn baggage() -> Option<HeaderValue> {
    let headers = TraceContext::current_with_baggage()?.to_headers();
    HeaderValue::from_str(headers.get(BAGGAGE)?).ok()
}

fn failure(
    model: &str,
    kind: impl Into<Cow<'static, str>>,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> EmbeddingError {
    EmbeddingError::Provider {
        provider: model.to_owned(),
        kind: kind.into(),
        source,
    }
}

/// Returns the vectors of a response in the order of their indexes, `None` unless each text has
/// exactly one.
fn vectors_in(answer: &Value, texts: usize) -> Option<Vec<Vec<f32>>> {
    let data = answer.get("data")?.as_array()?;
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; texts];
    for (position, item) in data.iter().enumerate() {
        let index = match item.get("index") {
            Some(index) => usize::try_from(index.as_u64()?).ok()?,
            None => position,
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "vectors are f32 everywhere"
        )]
        let number = |number: &Value| Some(number.as_f64()? as f32);
        *vectors.get_mut(index)? = Some(
            item.get("embedding")?
                .as_array()?
                .iter()
                .map(number)
                .collect::<Option<_>>()?,
        );
    }
    vectors.into_iter().collect()
}

#[cfg(test)]
mod tests;
