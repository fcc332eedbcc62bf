//! No telemetry about telemetry: the threads that export are not instrumented.

use opentelemetry::{Context, ContextGuard};
#[cfg(feature = "http-client")]
use tracing_core::dispatcher::{self, DefaultGuard, Dispatch};

/// Suppresses telemetry on this thread until the guard is dropped. Events still reach the program's
/// subscriber, so that warnings of the SDK and of the program's exporters are not lost; the layers of
/// the pipeline ignore them.
pub(crate) fn unrecorded() -> ContextGuard {
    Context::enter_telemetry_suppressed_scope()
}

/// Suppresses telemetry and all `tracing` spans and events on this thread until the guards are
/// dropped.
///
/// `Dispatch::none()` is not registered, unlike a new dispatcher. A second registered dispatcher
/// would disable the cached interest of call sites, and registering takes a lock, which a forked
/// child could find locked for ever.
#[cfg(feature = "http-client")]
pub(crate) fn quiet() -> (ContextGuard, DefaultGuard) {
    (unrecorded(), dispatcher::set_default(&Dispatch::none()))
}
