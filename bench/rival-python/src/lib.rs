//! One call with one span, through the wheel's own sources and through pyo3-tracing-opentelemetry.
//! `measure.py` compares them.

#[path = "../../../percolate-py/src/call_start.rs"]
mod call_start;
#[path = "../../../percolate-py/src/context.rs"]
mod context;
#[path = "../../../percolate-py/src/current.rs"]
#[allow(dead_code, reason = "the wheel uses more of it")]
mod current;
#[path = "../../../percolate-py/src/parent.rs"]
mod parent;
#[path = "../../../percolate-py/src/sampler.rs"]
#[allow(dead_code, reason = "the wheel uses more of it")]
mod sampler;
#[path = "../../../percolate-py/src/span_ids.rs"]
mod span_ids;
#[path = "../../../percolate-py/src/spans.rs"]
#[allow(dead_code, reason = "the wheel uses more of it")]
mod spans;

/// The wheel looks for a provider here; the benchmark installs one.
mod telemetry {
    use pyo3::prelude::*;

    pub(crate) fn ready(_: Python<'_>, _: impl FnOnce() -> bool) -> PyResult<()> {
        Ok(())
    }

    pub(crate) fn ready_without_parent(_: Python<'_>) -> PyResult<()> {
        Ok(())
    }
}

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry_sdk::trace::SpanProcessor;
use percolate_otel::runtime::{self, Runtime, RuntimeConfig};
use percolate_otel::{carry, db_op};
use pyo3::prelude::*;
use pyo3_tracing_opentelemetry::TracingBridge;

use spans::Bridge;

const TRACING: TracingBridge = TracingBridge::new("rival");

static INSTALLED: OnceLock<(&'static Runtime, Arc<Bridge>)> = OnceLock::new();

#[db_op(get, collection, namespace = "library", system = "rocksdb")]
fn annotated(collection: &str) -> Option<usize> {
    Some(collection.len())
}

#[tracing::instrument(
    name = "get",
    skip_all,
    fields(
        otel.name = "get resources",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "get",
        db.collection.name = collection,
        db.namespace = "library",
        db.response.returned_rows = 1
    )
)]
fn instrumented(collection: &str) -> Option<usize> {
    Some(collection.len())
}

/// Deliver spans of `percolate` to this function.
#[pyfunction]
fn install(deliver: Py<PyAny>) -> PyResult<()> {
    let bridge = Bridge::start(deliver)?;
    let sink = runtime::sdk_sink(vec![Arc::clone(&bridge) as Arc<dyn SpanProcessor>]);
    let runtime = Runtime::build(RuntimeConfig {
        sink,
        ..RuntimeConfig::default()
    })?;
    _ = runtime::install(runtime);
    _ = INSTALLED.set((runtime, bridge));
    Ok(())
}

/// Deliver all spans of `percolate`.
#[pyfunction]
fn flush(py: Python<'_>) -> bool {
    let limit = Duration::from_secs(60);
    py.detach(|| {
        INSTALLED
            .get()
            .is_some_and(|(runtime, bridge)| runtime.flush(limit) && bridge.flush(limit))
    })
}

/// A call with `spans` spans below the current Python span, as the wheel makes it.
#[pyfunction]
fn percolate(py: Python<'_>, spans: usize) -> PyResult<usize> {
    let parent = context::parent(py, None)?;
    Ok(py.detach(|| {
        let _attached = parent.map(parent::Parent::attach);
        (0..spans).filter_map(|_| annotated("resources")).sum()
    }))
}

/// The same with pyo3-tracing-opentelemetry, as its documentation shows.
#[pyfunction]
fn rival(py: Python<'_>, spans: usize) -> usize {
    let _guard = TRACING.attach_parent_context(py);
    py.detach(|| (0..spans).filter_map(|_| instrumented("resources")).sum())
}

/// The same without releasing the interpreter.
#[pyfunction]
fn rival_attached(py: Python<'_>) -> Option<usize> {
    let _guard = TRACING.attach_parent_context(py);
    instrumented("resources")
}

/// The same without spans.
#[pyfunction]
fn plain(py: Python<'_>, spans: usize) -> usize {
    py.detach(|| {
        (0..spans)
            .map(|_| std::hint::black_box("resources").len())
            .sum()
    })
}

/// Call a Python function in a span of `percolate`.
#[pyfunction]
fn percolate_calls(py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
    let parent = context::parent(py, None)?;
    py.detach(|| {
        let _attached = parent.map(parent::Parent::attach);
        called(&function)
    })
}

#[db_op(scan, collection = none, namespace = "library", system = "rocksdb")]
fn called(function: &Py<PyAny>) -> PyResult<()> {
    let around = context::surroundings();
    Python::attach(|py| {
        let callback = py.import("percolate_rocks._callback")?;
        callback
            .call_method1("call_in_span", (function, py.None(), around))
            .map(drop)
    })
}

/// The same with pyo3-tracing-opentelemetry.
#[pyfunction]
fn rival_calls(py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
    let _guard = TRACING.attach_parent_context(py);
    py.detach(|| {
        tracing::info_span!("scan")
            .in_scope(|| Python::attach(|py| function.call1(py, (py.None(),)).map(drop)))
    })
}

/// A span on another thread: with `carry`, and with a plain thread for pyo3-tracing-opentelemetry.
#[pyfunction]
fn in_threads(py: Python<'_>) -> PyResult<()> {
    let parent = context::parent(py, None)?;
    py.detach(|| {
        let _attached = parent.map(parent::Parent::attach);
        _ = std::thread::spawn(carry(|| annotated("resources"))).join();
    });
    let _guard = TRACING.attach_parent_context(py);
    py.detach(|| _ = std::thread::spawn(|| instrumented("resources")).join());
    Ok(())
}

#[pymodule(gil_used = true)]
#[pyo3(name = "rival")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    call_start::register(module)?;
    context::register(module)?;
    for function in [
        wrap_pyfunction!(install, module)?,
        wrap_pyfunction!(flush, module)?,
        wrap_pyfunction!(percolate, module)?,
        wrap_pyfunction!(rival, module)?,
        wrap_pyfunction!(rival_attached, module)?,
        wrap_pyfunction!(plain, module)?,
        wrap_pyfunction!(percolate_calls, module)?,
        wrap_pyfunction!(rival_calls, module)?,
        wrap_pyfunction!(in_threads, module)?,
    ] {
        module.add_function(function)?;
    }
    Ok(())
}
