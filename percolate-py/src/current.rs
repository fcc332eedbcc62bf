//! The current Python span and baggage as an OpenTelemetry `Context`.
//!
//! The span is read without building strings. Without a span, reading costs one call of a bound
//! method and one look-up in a dict. `opentelemetry-api` is looked up once; if it is not installed,
//! nothing is read.

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt as _};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use percolate_core::otel::TraceContext;
use pyo3::exceptions::{PyException, PyImportError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyMapping, PyTuple};

use crate::context::PyTraceContext;
use crate::parent::Parent;

/// The key in Python's context of a received trace context, with the state that Python's type holds
/// of it.
pub(crate) const RECEIVED: &str = "percolate-received-trace-context";

/// The flag of W3C Trace Context Level 2 for random trace ids.
const RANDOM: u8 = 0x02;

/// The parts of `opentelemetry-api` that are used.
struct Api {
    /// Returns the current context, which is a dict.
    current: Py<PyAny>,
    span_key: Py<PyAny>,
    suppress_key: Py<PyAny>,
    baggage_key: Py<PyAny>,
}

static API: PyOnceLock<Option<Api>> = PyOnceLock::new();

fn api(py: Python<'_>) -> PyResult<Option<&Api>> {
    API.get_or_try_init(py, || Api::find(py))
        .map(Option::as_ref)
}

/// Returns whether `opentelemetry-api` is installed.
pub(crate) fn is_available(py: Python<'_>) -> bool {
    matches!(api(py), Ok(Some(_)))
}

impl Api {
    fn find(py: Python<'_>) -> PyResult<Option<Self>> {
        let module = match py.import("opentelemetry.context") {
            Ok(module) => module,
            Err(error) if error.is_instance_of::<PyImportError>(py) => return Ok(None),
            Err(error) => return Err(error),
        };
        let span_key = py
            .import("opentelemetry.trace.propagation")?
            .getattr("_SPAN_KEY")?;
        // The method of the context variable saves two Python frames. Other runtime contexts have
        // only the public function.
        let current = match module
            .getattr("_RUNTIME_CONTEXT")
            .and_then(|context| context.getattr("_current_context"))
        {
            Ok(variable) => variable.getattr("get")?,
            Err(_) => module.getattr("get_current")?,
        };
        let suppress_key = module
            .getattr("_SUPPRESS_INSTRUMENTATION_KEY")
            .unwrap_or_else(|_| py.None().into_bound(py));
        let baggage_key = py
            .import("opentelemetry.baggage")
            .and_then(|baggage| baggage.getattr("_BAGGAGE_KEY"));
        let baggage_key = baggage_key.unwrap_or_else(|_| py.None().into_bound(py));
        Ok(Some(Self {
            current: current.unbind(),
            span_key: span_key.unbind(),
            suppress_key: suppress_key.unbind(),
            baggage_key: baggage_key.unbind(),
        }))
    }
}

/// Returns the current Python span, as the parent of Rust spans, with the current baggage; `None`
/// if there is neither.
pub(crate) fn parent(py: Python<'_>) -> PyResult<Option<Parent>> {
    match read(py) {
        // A span that cannot be read does not fail the call; Ctrl-C does.
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(None),
        read => read,
    }
}

/// Replaces the baggage of a context by the current Python baggage.
pub(crate) fn with_baggage(py: Python<'_>, context: Context) -> PyResult<Context> {
    let read = || -> PyResult<Option<Baggage>> {
        let Some(api) = api(py)? else { return Ok(None) };
        let values = api.current.bind(py).call0()?;
        values
            .cast::<PyDict>()
            .map_or(Ok(None), |values| baggage(api, values))
    };
    match read() {
        Ok(Some(baggage)) => Ok(context.with_baggage(baggage)),
        Err(error) if !error.is_instance_of::<PyException>(py) => Err(error),
        _ => Ok(context),
    }
}

fn read(py: Python<'_>) -> PyResult<Option<Parent>> {
    let Some(api) = api(py)? else { return Ok(None) };
    crate::telemetry::ready_without_parent(py)?;
    let values = api.current.bind(py).call0()?;
    let Ok(values) = values.cast::<PyDict>() else {
        return Ok(None);
    };
    if values.is_empty() {
        return Ok(None);
    }
    if values
        .get_item(&api.suppress_key)?
        .is_some_and(|value| value.is_truthy().unwrap_or(false))
    {
        return Ok(Some(Parent(Context::map_current(
            Context::with_telemetry_suppressed,
        ))));
    }
    let mut span = current_span(api, values)?;
    if let Some(span) = &mut span {
        span.restore(values)?;
        crate::telemetry::ready(py, || span.flags.is_sampled())?;
    }
    let context = span.map(|span| span.into_context(py)).transpose()?;
    Ok(match baggage(api, values)? {
        Some(baggage) => Some(Parent(
            context
                .unwrap_or_else(Context::current)
                .with_baggage(baggage),
        )),
        None => context.map(Parent),
    })
}

fn current_span<'py>(api: &Api, values: &Bound<'py, PyDict>) -> PyResult<Option<Read<'py>>> {
    let Some(span) = values.get_item(&api.span_key)? else {
        return Ok(None);
    };
    let span_context = match span.getattr(intern!(span.py(), "_context")) {
        Ok(span_context) => span_context,
        Err(_) => span.call_method0(intern!(span.py(), "get_span_context"))?,
    };
    span_context.cast::<PyTuple>().map_or(Ok(None), Read::from)
}

/// Returns the Python baggage; `None` if it is empty. The Rust type drops members beyond its
/// limits.
fn baggage(api: &Api, values: &Bound<'_, PyDict>) -> PyResult<Option<Baggage>> {
    let Some(members) = values.get_item(&api.baggage_key)? else {
        return Ok(None);
    };
    let Ok(members) = members.cast::<PyMapping>() else {
        return Ok(None);
    };
    let mut baggage = Baggage::new();
    for (name, value) in members
        .items()?
        .extract::<Vec<(String, Bound<'_, PyAny>)>>()?
    {
        baggage.insert(name, value.str()?.to_string());
    }
    Ok((!baggage.is_empty()).then_some(baggage))
}

/// A Python `SpanContext`: a tuple of ids, `is_remote`, flags, state and `is_valid`.
struct Read<'py> {
    trace_id: TraceId,
    span_id: SpanId,
    is_remote: bool,
    flags: TraceFlags,
    state: Option<Bound<'py, PyAny>>,
    /// The state as it was received, if Python's type could not hold all of it.
    received_state: Option<String>,
}

impl<'py> Read<'py> {
    fn from(parts: &Bound<'py, PyTuple>) -> PyResult<Option<Self>> {
        let trace_id: u128 = parts.get_item(0)?.extract()?;
        let span_id: u64 = parts.get_item(1)?.extract()?;
        if trace_id == 0 || span_id == 0 {
            return Ok(None);
        }
        let state = parts.get_item(4)?;
        Ok(Some(Self {
            trace_id: TraceId::from(trace_id),
            span_id: SpanId::from(span_id),
            is_remote: parts.get_item(2)?.is_truthy()?,
            flags: TraceFlags::new(parts.get_item(3)?.extract()?),
            state: if state.is_none() || state.is_empty()? {
                None
            } else {
                Some(state)
            },
            received_state: None,
        }))
    }

    /// Restores what Python's span lost of the received context of its trace: the random flag, and
    /// entries of the trace state. `TraceContext.to_context` has put it into the context.
    fn restore(&mut self, values: &Bound<'py, PyDict>) -> PyResult<()> {
        let Some(received) = values.get_item(RECEIVED)? else {
            return Ok(());
        };
        let Ok((received, state)) =
            received.extract::<(PyRef<'py, PyTraceContext>, Bound<'py, PyAny>)>()
        else {
            return Ok(());
        };
        let Some(parent) = received.inner().parent() else {
            return Ok(());
        };
        if parent.trace_id() != self.trace_id {
            return Ok(());
        }
        self.flags = self.flags | TraceFlags::new(parent.flags().to_u8() & RANDOM);
        let is_unchanged = match &self.state {
            Some(own) => own.eq(&state)?,
            None => state.is_none() || state.is_empty()?,
        };
        if is_unchanged {
            let mut headers = received.inner().to_headers();
            self.received_state = headers.remove("tracestate");
        }
        Ok(())
    }

    fn into_context(self, py: Python<'py>) -> PyResult<Context> {
        let state = match (self.received_state, &self.state) {
            (Some(received), _) => Some(received),
            // Rare. The header form keeps entries that the SDK's type would refuse.
            (None, Some(state)) => Some(state.call_method0(intern!(py, "to_header"))?.extract()?),
            (None, None) => None,
        };
        let Some(state) = state else {
            let span = SpanContext::new(
                self.trace_id,
                self.span_id,
                self.flags,
                self.is_remote,
                TraceState::NONE,
            );
            return Ok(Context::map_current(|cx| cx.with_remote_span_context(span)));
        };
        let parent = format!(
            "00-{}-{}-{:02x}",
            self.trace_id,
            self.span_id,
            self.flags.to_u8() & 0x03
        );
        let mut context: TraceContext = parent.parse().unwrap_or_default();
        context.headers.insert("tracestate".to_owned(), state);
        let context = context.to_context();
        let held = context.span().span_context().trace_state().clone();
        let span = SpanContext::new(
            self.trace_id,
            self.span_id,
            self.flags,
            self.is_remote,
            held,
        );
        Ok(context.with_remote_span_context(span))
    }
}
