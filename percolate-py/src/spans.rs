//! Delivery of finished Rust spans to the Python application's span processors.
//!
//! Spans arrive on percolate's recording thread and wait in a bounded queue. The thread
//! `percolate-python` delivers them in batches; only this thread attaches to the interpreter for
//! it. The lock of the queue is never held while waiting for the interpreter, so the two cannot
//! deadlock. Spans beyond the bound are dropped and counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::span_ids::span_ids;
use crate::unraisable;

/// The largest number of waiting spans.
const WAITING: usize = 1 << 16;
/// The largest number of spans in one call of Python.
const BATCH: usize = 512;

/// The queue between the recording thread and Python; a [`SpanProcessor`] of percolate's runtime.
#[derive(Debug)]
pub(crate) struct Bridge {
    queue: Mutex<Queue>,
    changed: Condvar,
    dropped: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<SpanData>,
    /// The numbers of spans ever accepted, and of those delivered or dropped since.
    accepted: u64,
    done: u64,
    closed: bool,
}

impl Bridge {
    /// Starts the delivering thread. `deliver` is a Python callable that takes a list of tuples,
    /// one per span.
    pub(crate) fn start(deliver: Py<PyAny>) -> std::io::Result<Arc<Self>> {
        let bridge = Arc::new(Self {
            queue: Mutex::default(),
            changed: Condvar::new(),
            dropped: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let mine = Arc::clone(&bridge);
        thread::Builder::new()
            .name("percolate-python".into())
            .spawn(move || mine.deliver_until_closed(&deliver))?;
        Ok(bridge)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all spans accepted so far are delivered. Returns `false` after `timeout`. To be
    /// called with the interpreter released.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut queue = self.lock();
        let target = queue.accepted;
        self.changed.notify_all();
        while queue.done < target {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || queue.closed {
                return false;
            }
            queue = self
                .changed
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// Ends the delivering thread. Waiting spans are dropped and counted.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        self.dropped
            .fetch_add(queue.waiting.len() as u64, Ordering::Relaxed);
        queue.done = queue.accepted;
        queue.waiting.clear();
        drop(queue);
        self.changed.notify_all();
    }

    /// Returns the numbers of delivered spans, dropped spans and failed batches.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (
            read(&self.delivered),
            read(&self.dropped),
            read(&self.failed),
        )
    }

    fn deliver_until_closed(&self, deliver: &Py<PyAny>) {
        while let Some(batch) = self.next_batch() {
            let count = batch.len() as u64;
            // `None`: the interpreter is shutting down.
            let Some(delivered) = Python::try_attach(|py| hand_over(py, deliver, &batch)) else {
                self.close();
                return;
            };
            if delivered {
                self.delivered.fetch_add(count, Ordering::Relaxed);
            } else {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.dropped.fetch_add(count, Ordering::Relaxed);
            }
            let mut queue = self.lock();
            queue.done = queue.accepted.min(queue.done + count);
            drop(queue);
            self.changed.notify_all();
        }
    }

    fn next_batch(&self) -> Option<Vec<SpanData>> {
        let mut queue = self.lock();
        while queue.waiting.is_empty() {
            if queue.closed {
                return None;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let count = queue.waiting.len().min(BATCH);
        Some(queue.waiting.drain(..count).collect())
    }
}

impl SpanProcessor for Bridge {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        let mut queue = self.lock();
        if queue.closed || queue.waiting.len() >= WAITING {
            drop(queue);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.accepted += 1;
        queue.waiting.push_back(span);
        let first = queue.waiting.len() == 1;
        drop(queue);
        if first {
            self.changed.notify_all();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        let timeout = Duration::from_secs(30);
        if self.flush(timeout) {
            Ok(())
        } else {
            Err(OTelSdkError::Timeout(timeout))
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let flushed = self.flush(timeout);
        self.close();
        if flushed {
            Ok(())
        } else {
            Err(OTelSdkError::Timeout(timeout))
        }
    }
}

/// Passes a batch to Python. Returns `false` after an exception, which is reported as unraisable.
fn hand_over(py: Python<'_>, deliver: &Py<PyAny>, batch: &[SpanData]) -> bool {
    let delivered = batch
        .iter()
        .map(|span| parts(py, span))
        .collect::<PyResult<Vec<_>>>()
        .and_then(|spans| deliver.call1(py, (PyList::new(py, spans)?,)));
    match delivered {
        Ok(_) => true,
        Err(error) => {
            unraisable::report(py, error, Some(deliver.bind(py)));
            false
        }
    }
}

/// Returns the parts of which `percolate_rocks._bridge` builds a `ReadableSpan`.
pub(crate) fn parts<'py>(py: Python<'py>, span: &SpanData) -> PyResult<Bound<'py, PyTuple>> {
    let context = &span.span_context;
    let parent = (span.parent_span_id != SpanId::INVALID).then(|| {
        (
            u64::from_be_bytes(span.parent_span_id.to_bytes()),
            span.parent_span_is_remote,
        )
    });
    let (status, description) = match &span.status {
        Status::Unset => (0, None),
        Status::Ok => (1, None),
        Status::Error { description } => (2, (!description.is_empty()).then_some(&**description)),
    };
    let links = span
        .links
        .links
        .iter()
        .map(|link| {
            Ok((
                span_ids(&link.span_context),
                attributes(py, &link.attributes)?,
            ))
        })
        .collect::<PyResult<Vec<_>>>()?;
    let events = span
        .events
        .events
        .iter()
        .map(|event| {
            Ok((
                &*event.name,
                nanoseconds(event.timestamp),
                attributes(py, &event.attributes)?,
            ))
        })
        .collect::<PyResult<Vec<_>>>()?;
    let scope = &span.instrumentation_scope;
    (
        &*span.name,
        span_ids(context),
        parent,
        kind(&span.span_kind),
        (nanoseconds(span.start_time), nanoseconds(span.end_time)),
        attributes(py, &span.attributes)?,
        (status, description),
        links,
        events,
        (scope.name(), scope.version(), scope.schema_url()),
    )
        .into_pyobject(py)
}

/// Returns the value of Python's `SpanKind`.
pub(crate) fn kind(kind: &SpanKind) -> u8 {
    match kind {
        SpanKind::Internal => 0,
        SpanKind::Server => 1,
        SpanKind::Client => 2,
        SpanKind::Producer => 3,
        SpanKind::Consumer => 4,
    }
}

pub(crate) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn attributes<'py>(
    py: Python<'py>,
    attributes: &[KeyValue],
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for attribute in attributes {
        dict.set_item(attribute.key.as_str(), value(py, &attribute.value)?)?;
    }
    Ok(dict)
}

fn value<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
        Value::I64(value) => value.into_pyobject(py)?.into_any(),
        Value::F64(value) => value.into_pyobject(py)?.into_any(),
        Value::String(value) => value.as_str().into_pyobject(py)?.into_any(),
        Value::Array(Array::Bool(values)) => PyTuple::new(py, values)?.into_any(),
        Value::Array(Array::I64(values)) => PyTuple::new(py, values)?.into_any(),
        Value::Array(Array::F64(values)) => PyTuple::new(py, values)?.into_any(),
        Value::Array(Array::String(values)) => {
            PyTuple::new(py, values.iter().map(opentelemetry::StringValue::as_str))?.into_any()
        }
        other => other.to_string().into_pyobject(py)?.into_any(),
    })
}
