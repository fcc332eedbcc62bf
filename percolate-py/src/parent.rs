//! [`Parent`]: the context that becomes the parent of the Rust spans of a call.
//!
//! How it is found is in `context` (the `trace_context` argument) and `current` (the current
//! Python span).

use opentelemetry::Context;

/// A context to make current around Rust work, on whichever thread runs it.
#[derive(Debug, Clone)]
pub(crate) struct Parent(pub(crate) Context);

impl Parent {
    /// Makes the context current until the guard is dropped.
    pub(crate) fn attach(self) -> opentelemetry::ContextGuard {
        self.0.attach()
    }
}
