//! [`Parent`]: the context that becomes the parent of the Rust spans of a call.
//!
//! How it is found is in `context` (the `trace_context` argument) and `current` (the current
//! Python span).

use opentelemetry::Context;
use pyo3::prelude::*;

/// A context to make current around Rust work, on whichever thread runs it.
#[derive(Debug, Clone)]
pub(crate) struct Parent(pub(crate) Context);

impl Parent {
    /// Makes the context current until the guard is dropped.
    pub(crate) fn attach(self) -> opentelemetry::ContextGuard {
        self.0.attach()
    }
}

/// Runs Rust work with the interpreter released, inside the parent's context if there is one.
pub(crate) fn traced<T: Send>(
    py: Python<'_>,
    parent: Option<Parent>,
    work: impl FnOnce() -> T + Send,
) -> T {
    py.detach(|| {
        let _attached = parent.map(Parent::attach);
        work()
    })
}
