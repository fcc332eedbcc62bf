//! No telemetry about telemetry: the threads that export are not instrumented.

use opentelemetry::{Context, ContextGuard};
use tracing_core::dispatcher::{self, DefaultGuard, Dispatch};

/// Suppresses telemetry on this thread until the guards are dropped.
///
/// `Dispatch::none()` is not registered, unlike a new dispatcher. A second registered dispatcher
/// would disable the cached interest of call sites, and registering takes a lock, which a forked
/// child could find locked for ever.
pub(crate) fn quiet() -> (ContextGuard, DefaultGuard) {
    (
        Context::enter_telemetry_suppressed_scope(),
        dispatcher::set_default(&Dispatch::none()),
    )
}
