//! A sampler written in Python, called for root spans. The SDK's own samplers are translated to
//! Rust and do not use this file.

use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use pyo3::prelude::*;

/// Calls a Python function with the trace id and the name of a span to decide whether to record it.
pub(crate) struct PythonSampler(Py<PyAny>);

impl PythonSampler {
    pub(crate) fn new(decide: Py<PyAny>) -> Self {
        Self(decide)
    }

    fn is_recorded(&self, py: Python<'_>, trace_id: TraceId, name: &str) -> bool {
        let id = u128::from_be_bytes(trace_id.to_bytes());
        let answer = self
            .0
            .call1(py, (id, name))
            .and_then(|answer| answer.is_truthy(py));
        answer.unwrap_or_else(|error| {
            error.write_unraisable(py, Some(self.0.bind(py)));
            false
        })
    }
}

impl std::fmt::Debug for PythonSampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PythonSampler")
    }
}

impl Clone for PythonSampler {
    fn clone(&self) -> Self {
        Python::attach(|py| Self(self.0.clone_ref(py)))
    }
}

impl ShouldSample for PythonSampler {
    fn should_sample(
        &self,
        _parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let record = Python::try_attach(|py| self.is_recorded(py, trace_id, name)).unwrap_or(false);
        SamplingResult {
            decision: if record {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::Drop
            },
            attributes: Vec::new(),
            trace_state: TraceState::default(),
        }
    }
}
