//! Embeddings made in Python: any object with `name`, `dimensions` and `embed(texts)`.
//!
//! `embed` runs inside the Rust span that asks for it, so that spans it makes are children. An exception in it ends the
//! operation, and comes back as the cause of what the operation raises.

use std::borrow::Cow;
use std::error::Error as StdError;

use percolate_core::embeddings::{EmbeddingError, EmbeddingFuture, EmbeddingProvider};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

use crate::callback::call_in_span;

/// An embedding provider written in Python.
pub(crate) struct PythonEmbeddings {
    name: String,
    dimensions: usize,
    embed: Py<PyAny>,
}

impl PythonEmbeddings {
    /// Reads what the provider says of itself.
    pub(crate) fn new(provider: &Bound<'_, PyAny>) -> PyResult<Self> {
        let refused = |missing: &str| {
            PyTypeError::new_err(format!("an embedder needs `name`, `dimensions` and `embed(texts)`; {missing}"))
        };
        let name = provider.getattr("name").and_then(|name| name.extract());
        let dimensions = provider.getattr("dimensions").and_then(|dimensions| dimensions.extract());
        let embed = provider.getattr("embed").map_err(|_| refused("this one has no `embed`"))?;
        Ok(Self {
            name: name.map_err(|_| refused("`name` is not a str"))?,
            dimensions: dimensions.map_err(|_| refused("`dimensions` is not a positive int"))?,
            embed: embed.unbind(),
        })
    }

    fn call(&self, py: Python<'_>, texts: &[String]) -> PyResult<Vec<Vec<f32>>> {
        let texts = texts.into_pyobject(py)?.into_any();
        let vectors = call_in_span(py, &self.embed, &texts)?;
        // Arrays of numpy give lists with `tolist`, which is many times faster than their iterators.
        let vectors = vectors.bind(py);
        match vectors.call_method0("tolist") {
            Ok(list) => list.extract(),
            Err(_) => vectors.try_iter()?.map(|vector| vector?.extract::<Vec<f32>>()).collect(),
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
                self.call(py, texts)
                    .map_err(|error| (kind_of(py, &error), Box::new(error) as Box<dyn StdError + Send + Sync>))
            });
            let gone = || (Cow::Borrowed("shutdown"), PyRuntimeError::new_err("the interpreter has ended").into());
            embedded.unwrap_or_else(|| Err(gone())).map_err(|(kind, source)| EmbeddingError::Provider {
                provider: self.name.clone(),
                kind,
                source,
            })
        })
    }
}

/// The exception's type: a program has only so many.
fn kind_of(py: Python<'_>, error: &PyErr) -> Cow<'static, str> {
    error.get_type(py).name().map_or(Cow::Borrowed("exception"), |name| Cow::Owned(name.to_string()))
}
