//! The start of a call for the `on_start` of the application's span processors.
//!
//! The first sampled span of a call from Python is shown to the processors, in the context variables
//! of the caller. What they set is on all spans of the call, on every thread. Which processors there
//! are is decided in `percolate_rocks._bridge`; without one that works in `on_start`, a call only reads
//! [`IS_SET`].

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use opentelemetry::trace::{Link, SpanContext, SpanId, Status};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use percolate_core::otel::runtime::{
    AttributeSource, SharedAttributes, SpanStart, instrumentation_scope,
};
use pyo3::prelude::*;
use pyo3::sync::{OnceLockExt as _, PyOnceLock};
use pyo3::types::PyDict;

use crate::parent::Parent;
use crate::sampler::attribute;
use crate::spans::parts;
use crate::unraisable;

/// Whether there is a function to call.
static IS_SET: AtomicBool = AtomicBool::new(false);
/// Called with the parts of a span; returns the attributes that processors set. Locked only with the
/// interpreter attached, and never while Python runs.
static ON_START: Mutex<Option<Py<PyAny>>> = Mutex::new(None);

thread_local! {
    /// Whether this thread is inside the function. The calls that processors make are not shown to
    /// them again.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_set_on_start, module)?)
}

/// Set the function that is called at the start of each sampled call, or remove it.
#[pyfunction]
#[pyo3(signature = (function, /))]
fn _set_on_start(function: Option<Py<PyAny>>) {
    let is_set = function.is_some();
    let before = {
        let mut on_start = ON_START.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *on_start, function)
    };
    IS_SET.store(is_set, Ordering::Release);
    drop(before);
}

/// Prepares the context of a call, so that processors see its first sampled span.
pub(crate) fn prepare(py: Python<'_>, parent: Option<Parent>) -> PyResult<Option<Parent>> {
    if !IS_SET.load(Ordering::Acquire) || IS_INSIDE.get() {
        return Ok(parent);
    }
    let function = {
        let on_start = ON_START.lock().unwrap_or_else(PoisonError::into_inner);
        on_start.as_ref().map(|function| function.clone_ref(py))
    };
    let Some(function) = function else {
        return Ok(parent);
    };
    let context = parent.map_or_else(Context::current, |Parent(context)| context);
    let source = CallStart {
        function,
        variables: copy_variables(py)?,
        outer: SharedAttributes::of(&context).cloned(),
        decided: OnceLock::new(),
    };
    let shared = SharedAttributes::from_source(Arc::new(source));
    Ok(Some(Parent(shared.on(&context))))
}

/// Returns a copy of the current context variables.
fn copy_variables(py: Python<'_>) -> PyResult<Py<PyAny>> {
    static COPY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    COPY.import(py, "contextvars", "copy_context")?
        .call0()
        .map(Bound::unbind)
}

/// The attributes of one call.
struct CallStart {
    function: Py<PyAny>,
    /// A copy of the context variables of the caller, used once.
    variables: Py<PyAny>,
    /// The attributes of the Rust call that called the Python function that makes this call.
    outer: Option<SharedAttributes>,
    decided: OnceLock<SharedAttributes>,
}

impl fmt::Debug for CallStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallStart").finish_non_exhaustive()
    }
}

impl AttributeSource for CallStart {
    fn attributes(&self, start: &dyn Fn() -> SpanStart) -> SharedAttributes {
        if let Some(decided) = self.decided.get() {
            return decided.clone();
        }
        let outer = || match &self.outer {
            Some(outer) => outer.resolved(start),
            None => SharedAttributes::default(),
        };
        if IS_INSIDE.get() {
            return outer();
        }
        // Without an interpreter, nothing can be called.
        let decided = Python::try_attach(|py| {
            let decide = || {
                let outer = outer();
                let set = self.call(py, &outer, start()).unwrap_or_else(|error| {
                    unraisable::report(py, error, Some(self.function.bind(py)));
                    Vec::new()
                });
                outer.extended(set)
            };
            self.decided.get_or_init_py_attached(py, decide).clone()
        });
        decided.unwrap_or_else(outer)
    }
}

impl CallStart {
    /// Calls the function with the span that starts, and returns the attributes that were set.
    fn call(
        &self,
        py: Python<'_>,
        outer: &SharedAttributes,
        start: SpanStart,
    ) -> PyResult<Vec<KeyValue>> {
        let span = parts(py, &as_data(start, outer))?;
        let before = IS_INSIDE.replace(true);
        let returned = self
            .variables
            .bind(py)
            .call_method1("run", (&self.function, span));
        IS_INSIDE.set(before);
        let returned = returned?.cast_into::<PyDict>()?;
        // The SDK accepts values of further types, which Rust cannot hold.
        let set = returned.iter().filter_map(|(key, value)| {
            let key: String = key.extract().ok()?;
            Some(KeyValue::new(Key::from(key), attribute(&value).ok()?))
        });
        Ok(set.collect())
    }
}

/// Returns a span that has started, in the form of a finished one.
fn as_data(start: SpanStart, outer: &SharedAttributes) -> SpanData {
    let mut attributes = start.attributes;
    for shared in outer.list() {
        if attributes.iter().all(|own| own.key != shared.key) {
            attributes.push(shared.clone());
        }
    }
    let parent = start.parent.as_ref();
    let now = SystemTime::now();
    let mut links = SpanLinks::default();
    links.links.extend(start.link.map(Link::with_context));
    SpanData {
        parent_span_id: parent.map_or(SpanId::INVALID, SpanContext::span_id),
        parent_span_is_remote: parent.is_some_and(SpanContext::is_remote),
        span_context: start.span_context,
        span_kind: start.kind,
        name: start.name.into(),
        start_time: now,
        end_time: now,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status: Status::Unset,
        instrumentation_scope: instrumentation_scope(),
    }
}
