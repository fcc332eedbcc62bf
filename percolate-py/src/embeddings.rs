//! Embedders: Python objects with `name`, `dimensions` and `embed(texts)`, and Rust's HTTP client
//! as such an object.
//!
//! A Python `embed` runs inside the calling Rust span, so that its spans are children. An exception
//! in it ends the operation and becomes the cause of the exception that the operation raises.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use percolate_core::Error;
use percolate_core::embeddings::{
    EmbeddingError, EmbeddingFuture, EmbeddingProvider, HttpEmbeddings, HttpEmbeddingsOptions,
};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::callback::call_in_span;
use crate::context::parent;
use crate::errors::raised;
use crate::stop::Stop;
use crate::waiting::{block_on_interruptibly, released, traced};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyHttpEmbeddings>()
}

/// Returns the provider for an `embedder` argument.
pub(crate) fn provider_of(embedder: &Bound<'_, PyAny>) -> PyResult<Arc<dyn EmbeddingProvider>> {
    match embedder.cast::<PyHttpEmbeddings>() {
        Ok(http) => Ok(Arc::clone(&http.get().provider) as _),
        Err(_) => Ok(Arc::new(PythonEmbeddings::new(embedder)?)),
    }
}

/// Embeddings from an HTTP endpoint with the OpenAI protocol.
///
/// An `embedder` for `Database`. Requests are sent from Rust with the interpreter released and
/// carry the trace context. Too many requests, server errors, timeouts and lost connections are
/// retried; other failures raise an `EmbeddingError`.
///
/// Args:
///     endpoint: The URL to post to, for example `https://api.openai.com/v1/embeddings`.
///     model: The name of the model.
///     dimensions: The length of its vectors.
///     api_key: A key to send as a bearer token.
///     request_dimensions: Send `dimensions` in the request, for models with vectors of several
///         lengths.
///     timeout: The longest time for one attempt, in seconds.
///     attempts: The largest number of attempts per request.
///     send_baggage: Send the current baggage. By default, it is sent if the application's
///         propagator sends baggage.
///
/// Raises:
///     EmbeddingError: `endpoint` is not a URL, or `api_key` cannot be sent in a header.
///     ValueError: `timeout` is not a number of seconds, or `dimensions` is 0.
///
/// Examples:
///     >>> HttpEmbeddings("http://localhost:8080/v1/embeddings", "minilm", 384).dimensions
///     384
#[pyclass(name = "HttpEmbeddings", module = "percolate_rocks", frozen)]
pub(crate) struct PyHttpEmbeddings {
    provider: Arc<HttpEmbeddings>,
}

#[pymethods]
impl PyHttpEmbeddings {
    #[new]
    #[pyo3(signature = (
        endpoint, model, dimensions, *, api_key = None, request_dimensions = false, timeout = 30.0, attempts = 4,
        send_baggage = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python constructor"
    )]
    fn new(
        py: Python<'_>,
        endpoint: &str,
        model: &str,
        dimensions: usize,
        api_key: Option<&str>,
        request_dimensions: bool,
        timeout: f64,
        attempts: u32,
        send_baggage: Option<bool>,
    ) -> PyResult<Self> {
        if dimensions == 0 {
            return Err(PyValueError::new_err(
                "dimensions must be a positive int, not 0",
            ));
        }
        let timeout = Duration::try_from_secs_f64(timeout).map_err(|_| {
            PyValueError::new_err(format!(
                "timeout must be a number of seconds, 0 or more, not {timeout}"
            ))
        })?;
        let mut options = HttpEmbeddingsOptions::new(endpoint, model, dimensions)
            .request_dimensions(request_dimensions)
            .timeout(timeout)
            .attempts(attempts)
            .send_baggage(send_baggage.unwrap_or_else(|| propagates_baggage(py)));
        if let Some(key) = api_key {
            options = options.api_key(key);
        }
        let provider = released(py, || HttpEmbeddings::new(options))?
            .map_err(|error| raised(py, &Error::from(error)))?;
        Ok(Self {
            provider: Arc::new(provider),
        })
    }

    /// The name of the model.
    #[getter]
    fn name(&self) -> &str {
        self.provider.name()
    }

    /// The length of the vectors.
    #[getter]
    fn dimensions(&self) -> usize {
        self.provider.dimensions()
    }

    /// Return one vector per text, in order.
    ///
    /// Raises:
    ///     EmbeddingError: The endpoint returned no vectors.
    ///     KeyboardInterrupt: Ctrl-C ends the request at once.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "pyo3 passes arguments by value"
    )]
    fn embed(&self, py: Python<'_>, texts: Vec<String>) -> PyResult<Vec<Vec<f32>>> {
        let parent = parent(py, None)?;
        let stop = Stop::of_call(None)?;
        let embedded = traced(py, parent, || {
            block_on_interruptibly(&stop, self.provider.embed(&texts))
        })??;
        embedded.map_err(|error| raised(py, &Error::from(error)))
    }

    fn __repr__(&self) -> String {
        format!(
            "HttpEmbeddings(model={:?}, dimensions={})",
            self.name(),
            self.dimensions()
        )
    }
}

/// Returns whether the application's propagator sends baggage.
fn propagates_baggage(py: Python<'_>) -> bool {
    let fields = py
        .import("opentelemetry.propagate")
        .and_then(|propagate| propagate.call_method0("get_global_textmap"))
        .and_then(|propagator| propagator.getattr("fields"));
    fields
        .and_then(|fields| fields.contains("baggage"))
        .unwrap_or(false)
}

/// An embedder written in Python.
pub(crate) struct PythonEmbeddings {
    name: String,
    dimensions: usize,
    embed: Py<PyAny>,
}

impl PythonEmbeddings {
    /// Reads the name and the dimensions.
    ///
    /// # Errors
    /// `TypeError` if one of the three members is missing or has the wrong type.
    pub(crate) fn new(provider: &Bound<'_, PyAny>) -> PyResult<Self> {
        let refused = |missing: &str| {
            PyTypeError::new_err(format!(
                "an embedder needs `name`, `dimensions` and `embed(texts)`; {missing}"
            ))
        };
        let name = provider.getattr("name").and_then(|name| name.extract());
        let dimensions = provider
            .getattr("dimensions")
            .and_then(|dimensions| dimensions.extract());
        let embed = provider
            .getattr("embed")
            .map_err(|_| refused("this one has no `embed`"))?;
        Ok(Self {
            name: name.map_err(|_| refused("`name` is not a str"))?,
            dimensions: dimensions.map_err(|_| refused("`dimensions` is not a positive int"))?,
            embed: embed.unbind(),
        })
    }

    fn call(&self, py: Python<'_>, texts: &[String]) -> PyResult<Vec<Vec<f32>>> {
        let texts = texts.into_pyobject(py)?.into_any();
        let vectors = call_in_span(py, &self.embed, &texts)?;
        // For numpy arrays, `tolist` is many times faster than iterating.
        let vectors = vectors.bind(py);
        match vectors.call_method0("tolist") {
            Ok(list) => list.extract(),
            Err(_) => vectors
                .try_iter()?
                .map(|vector| vector?.extract::<Vec<f32>>())
                .collect(),
        }
    }
}

impl std::fmt::Debug for PythonEmbeddings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PythonEmbeddings")
            .field("name", &self.name)
            .field("dimensions", &self.dimensions)
            .finish_non_exhaustive()
    }
}

impl EmbeddingProvider for PythonEmbeddings {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a> {
        Box::pin(async move {
            let embedded = Python::try_attach(|py| {
                self.call(py, texts).map_err(|error| {
                    (
                        kind_of(py, &error),
                        Box::new(error) as Box<dyn StdError + Send + Sync>,
                    )
                })
            });
            let gone = || {
                (
                    Cow::Borrowed("shutdown"),
                    PyRuntimeError::new_err("cannot embed: the Python interpreter has shut down")
                        .into(),
                )
            };
            embedded
                .unwrap_or_else(|| Err(gone()))
                .map_err(|(kind, source)| EmbeddingError::Provider {
                    provider: self.name.clone(),
                    kind,
                    source,
                })
        })
    }
}

/// Returns the name of the exception's type, which has low cardinality.
fn kind_of(py: Python<'_>, error: &PyErr) -> Cow<'static, str> {
    error
        .get_type(py)
        .name()
        .map_or(Cow::Borrowed("exception"), |name| {
            Cow::Owned(name.to_string())
        })
}
