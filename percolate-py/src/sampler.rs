//! A sampler written in Python. The SDK's own samplers are translated to Rust and do not use this
//! file.

use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, Key, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

use crate::context::{Surroundings, surroundings_of};
use crate::span_ids::{SpanIds, span_ids};
use crate::spans::{attributes, kind};
use crate::unraisable;

/// Calls the function that `percolate_rocks._bridge` creates for a sampler.
pub(crate) struct PythonSampler(Py<PyAny>);

/// What the function returns: whether to record the span, its attributes, and its trace state.
type Answer<'py> = (bool, Bound<'py, PyDict>, Vec<(String, String)>);

impl PythonSampler {
    pub(crate) fn new(decide: Py<PyAny>) -> Self {
        Self(decide)
    }

    fn ask(
        &self,
        py: Python<'_>,
        parent: Option<Surroundings>,
        trace_id: TraceId,
        start: (&str, &SpanKind, &[KeyValue], &[Link]),
    ) -> PyResult<Option<SamplingResult>> {
        let (name, span_kind, own, links) = start;
        let id = u128::from_be_bytes(trace_id.to_bytes());
        let links = links
            .iter()
            .map(|link| {
                Ok((
                    span_ids(&link.span_context),
                    attributes(py, &link.attributes)?,
                ))
            })
            .collect::<PyResult<Vec<(SpanIds, _)>>>()?;
        let own = attributes(py, own)?;
        let arguments = (parent, id, name, kind(span_kind), own, links);
        let answer = self.0.bind(py).call1(arguments)?;
        let (is_recorded, attributes, state): Answer<'_> = answer.extract()?;
        if !is_recorded {
            return Ok(None);
        }
        let attributes = attributes.iter().map(|(key, value)| {
            let key: String = key.extract()?;
            Ok(KeyValue::new(Key::from(key), attribute(&value)?))
        });
        Ok(Some(SamplingResult {
            decision: SamplingDecision::RecordAndSample,
            attributes: attributes.collect::<PyResult<_>>()?,
            trace_state: TraceState::from_key_value(state).unwrap_or_default(),
        }))
    }
}

/// Converts the value of an attribute.
pub(crate) fn attribute(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(text) = value.cast::<PyString>() {
        Ok(Value::from(text.to_string()))
    } else if let Ok(truth) = value.cast::<PyBool>() {
        Ok(Value::from(truth.is_true()))
    } else if value.is_instance_of::<PyInt>() {
        Ok(Value::from(value.extract::<i64>()?))
    } else if value.is_instance_of::<PyFloat>() {
        Ok(Value::from(value.extract::<f64>()?))
    } else if let Ok(values) = value.extract::<Vec<bool>>() {
        Ok(Value::Array(values.into()))
    } else if let Ok(values) = value.extract::<Vec<i64>>() {
        Ok(Value::Array(values.into()))
    } else if let Ok(values) = value.extract::<Vec<f64>>() {
        Ok(Value::Array(values.into()))
    } else if let Ok(values) = value.extract::<Vec<String>>() {
        let values: Vec<StringValue> = values.into_iter().map(StringValue::from).collect();
        Ok(Value::Array(values.into()))
    } else {
        let type_name = value.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "an attribute cannot be of the type {type_name}"
        )))
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
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let start = (name, span_kind, attributes, links);
        let answer = Python::try_attach(|py| {
            let parent = parent.and_then(surroundings_of);
            self.ask(py, parent, trace_id, start)
                .unwrap_or_else(|error| {
                    unraisable::report(py, error, Some(self.0.bind(py)));
                    None
                })
        });
        answer.flatten().unwrap_or_else(|| SamplingResult {
            decision: SamplingDecision::Drop,
            attributes: Vec::new(),
            trace_state: TraceState::default(),
        })
    }
}
