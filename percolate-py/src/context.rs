//! `TraceContext`, and how the `trace_context` argument or the current Python span becomes the
//! parent of the Rust spans of a call. Reading the current span is in `current`.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;
use percolate_core::otel::TraceContext;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMapping, PyString};

use crate::call_start;
use crate::current;
use crate::parent::Parent;
use crate::span_ids::{SpanIds, span_ids};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyTraceContext>()?;
    module.add_function(wrap_pyfunction!(_capture, module)?)
}

/// Find and attach the parent as every call does. Return whether there is one. For the benchmark.
#[pyfunction]
#[pyo3(signature = (trace_context = None))]
fn _capture(py: Python<'_>, trace_context: Option<TraceArgument>) -> PyResult<bool> {
    let parent = parent(py, trace_context)?;
    Ok(parent.map(Parent::attach).is_some())
}

/// The W3C trace context of one request.
///
/// It is built from a mapping or a list of headers, with keys in any letter case and of `str` or
/// `bytes`, and keeps only `traceparent` and `tracestate`. An invalid `traceparent` does not raise:
/// it restarts the trace.
///
/// Args:
///     headers: The headers of a request, or a dict filled by `opentelemetry.propagate.inject`.
///         Without it, the context is empty.
///
/// Raises:
///     TypeError: `headers` is neither a mapping nor a list of pairs.
///
/// Examples:
///     >>> context = TraceContext({"TraceParent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
///     >>> context.trace_id, context.span_id, context.sampled
///     ('0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331', True)
///     >>> TraceContext({"traceparent": "nonsense"}).is_valid
///     False
#[pyclass(
    name = "TraceContext",
    module = "percolate_rocks",
    frozen,
    eq,
    skip_from_py_object
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PyTraceContext(TraceContext);

#[pymethods]
impl PyTraceContext {
    #[new]
    #[pyo3(signature = (headers = None, /))]
    fn new(headers: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        headers.map_or_else(
            || Ok(Self(TraceContext::default())),
            |headers| Ok(Self(from_headers(headers)?)),
        )
    }

    /// Return the context of the current Python span, or `None` without a span.
    ///
    /// Examples:
    ///     >>> TraceContext.current() is None
    ///     True
    #[staticmethod]
    fn current(py: Python<'_>) -> PyResult<Option<Self>> {
        let parent = current::parent(py)?;
        let _attached = parent.map(Parent::attach);
        Ok(TraceContext::current().map(Self))
    }

    /// The headers as received, keys in lower case.
    #[getter]
    fn headers(&self) -> HashMap<String, String> {
        self.0.headers.clone()
    }

    /// The `traceparent` as received, or `None`.
    #[getter]
    fn traceparent(&self) -> Option<&str> {
        self.0.headers.get("traceparent").map(String::as_str)
    }

    /// The `tracestate` as received, or `None`.
    #[getter]
    fn tracestate(&self) -> Option<&str> {
        self.0.headers.get("tracestate").map(String::as_str)
    }

    /// Whether there is a valid `traceparent`.
    #[getter]
    fn is_valid(&self) -> bool {
        self.0.parent().is_some()
    }

    /// The trace id as 32 lower-case hexadecimal digits, or `None` if the context is invalid.
    #[getter]
    fn trace_id(&self) -> Option<String> {
        self.0.parent().map(|parent| parent.trace_id().to_string())
    }

    /// The caller's span id as 16 lower-case hexadecimal digits, or `None` if the context is
    /// invalid.
    #[getter]
    fn span_id(&self) -> Option<String> {
        self.0.parent().map(|parent| parent.span_id().to_string())
    }

    /// Whether the caller sampled the trace.
    #[getter]
    fn sampled(&self) -> bool {
        self.0.parent().is_some_and(|parent| parent.is_sampled())
    }

    /// The flags of the `traceparent`: 1 is sampled, 2 is a random trace id; 0 if the context is
    /// invalid.
    #[getter]
    fn trace_flags(&self) -> u8 {
        self.0.parent().map_or(0, |parent| parent.flags().to_u8())
    }

    /// Return a context of `opentelemetry-api` with this as the remote parent, for
    /// `opentelemetry.context.attach` or `tracer.start_span(name, context=...)`.
    ///
    /// Spans below it, of Python and of Rust, continue the trace. While it is attached, Rust keeps
    /// what the Python types cannot hold: the random flag, and entries of the trace state that they
    /// refuse. An invalid context restarts the trace.
    ///
    /// Args:
    ///     context: The context to derive it from. Default: the current one.
    ///
    /// Raises:
    ///     ImportError: `opentelemetry-api` is not installed.
    ///
    /// Examples:
    ///     >>> from opentelemetry import trace
    ///     >>> received = TraceContext({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    ///     >>> span = trace.get_current_span(received.to_context())
    ///     >>> format(span.get_span_context().trace_id, "032x") == received.trace_id
    ///     True
    #[pyo3(signature = (context = None))]
    fn to_context<'py>(
        slf: &Bound<'py, Self>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let trace = py.import("opentelemetry.trace")?;
        let in_context = trace.getattr("set_span_in_context")?;
        let Some(parent) = slf.get().0.parent() else {
            return in_context.call1((trace.getattr("INVALID_SPAN")?, context));
        };
        let state = slf.get().0.to_headers().remove("tracestate");
        let state = state.map(|header| {
            let parse = trace.getattr("TraceState")?.getattr("from_header")?;
            parse.call1((vec![header],))
        });
        let state = state.transpose()?;
        let span_context = trace.getattr("SpanContext")?.call1((
            u128::from_be_bytes(parent.trace_id().to_bytes()),
            u64::from_be_bytes(parent.span_id().to_bytes()),
            true,
            trace
                .getattr("TraceFlags")?
                .call1((parent.flags().to_u8(),))?,
            &state,
        ))?;
        let span = trace.getattr("NonRecordingSpan")?.call1((span_context,))?;
        let context = in_context.call1((span, context))?;
        py.import("opentelemetry.context")?
            .getattr("set_value")?
            .call1((current::RECEIVED, (slf, state), context))
    }

    /// Return the normalised headers to send on; an empty dict without a valid `traceparent`.
    ///
    /// Examples:
    ///     >>> TraceContext({"tracestate": "a=1"}).to_headers()
    ///     {}
    fn to_headers(&self) -> HashMap<String, String> {
        self.0.to_headers()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("TraceContext({})", self.ordered(py)?.repr()?))
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        (self.traceparent(), self.tracestate()).hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>,))> {
        Ok((slf.get_type().into_any(), (slf.get().ordered(slf.py())?,)))
    }
}

impl PyTraceContext {
    pub(crate) fn inner(&self) -> &TraceContext {
        &self.0
    }

    fn ordered<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let mut headers: Vec<_> = self.0.headers.iter().collect();
        headers.sort();
        let dict = PyDict::new(py);
        for (key, value) in headers {
            dict.set_item(key, value)?;
        }
        Ok(dict)
    }
}

fn from_headers(headers: &Bound<'_, PyAny>) -> PyResult<TraceContext> {
    let pairs = match headers.cast::<PyMapping>() {
        Ok(mapping) => mapping.items()?.into_any(),
        Err(_) => headers.clone(),
    };
    let refused = || {
        PyTypeError::new_err(format!(
            "headers of a trace context must be a mapping or a list of pairs, not {}",
            type_name(headers)
        ))
    };
    if pairs.is_instance_of::<PyString>() || pairs.is_instance_of::<PyBytes>() {
        return Err(refused());
    }
    let mut collected: Vec<(String, Vec<u8>)> = Vec::new();
    for pair in pairs.try_iter().map_err(|_| refused())? {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) =
            pair?.extract().map_err(|_| refused())?;
        let (Some(key), Some(value)) = (text(&key), text(&value)) else {
            continue;
        };
        collected.push((String::from_utf8_lossy(&key).into_owned(), value));
    }
    Ok(TraceContext::from_headers(collected))
}

/// Returns the bytes of a header's key or value; `None` if it is neither `str` nor `bytes`.
fn text(value: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
    if let Ok(text) = value.cast::<PyString>() {
        // Lone surrogates cannot be encoded: the header counts as present and invalid.
        return Some(
            text.to_cow()
                .map_or_else(|_| b"?".to_vec(), |text| text.as_bytes().to_vec()),
        );
    }
    value
        .cast::<PyBytes>()
        .ok()
        .map(|bytes| bytes.as_bytes().to_vec())
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    value
        .get_type()
        .name()
        .map_or_else(|_| "an object".to_owned(), |name| name.to_string())
}

/// A `trace_context` argument that is not `None`: a [`TraceContext`] or a mapping of headers.
#[derive(Debug)]
pub(crate) struct TraceArgument(TraceContext);

impl<'a, 'py> FromPyObject<'a, 'py> for TraceArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(context) = value.cast::<PyTraceContext>() {
            return Ok(Self(context.get().0.clone()));
        }
        if value.cast::<PyMapping>().is_ok() {
            return from_headers(&value).map(Self);
        }
        Err(PyTypeError::new_err(format!(
            "trace_context must be a TraceContext, a mapping of headers or None, not {}",
            type_name(&value)
        )))
    }
}

/// Returns the parent of the Rust spans of a call: the argument, else the current Python span.
pub(crate) fn parent(py: Python<'_>, given: Option<TraceArgument>) -> PyResult<Option<Parent>> {
    let parent = match given {
        Some(TraceArgument(context)) => {
            crate::telemetry::ready(py, || {
                context.parent().is_some_and(|parent| parent.is_sampled())
            })?;
            let context = current::with_baggage(py, context.to_context())?;
            Some(Parent(context))
        }
        None => current::parent(py)?,
    };
    call_start::prepare(py, parent)
}

/// The current Rust span and baggage, for Python code that Rust calls.
#[derive(Debug, IntoPyObject)]
pub(crate) struct Surroundings {
    span: Option<SpanIds>,
    baggage: Vec<(String, String)>,
}

/// Returns the current Rust span and baggage; `None` if there is neither.
pub(crate) fn surroundings() -> Option<Surroundings> {
    Context::map_current(surroundings_of)
}

/// Returns the span and the baggage of a context; `None` if it has neither.
pub(crate) fn surroundings_of(context: &Context) -> Option<Surroundings> {
    let baggage = context.baggage().iter();
    let baggage = baggage
        .map(|(name, (value, _))| (name.to_string(), value.to_string()))
        .collect();
    let found = Surroundings {
        span: ids_of(context),
        baggage,
    };
    (found.span.is_some() || !found.baggage.is_empty()).then_some(found)
}

fn ids_of(context: &Context) -> Option<SpanIds> {
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| span_ids(span))
}
