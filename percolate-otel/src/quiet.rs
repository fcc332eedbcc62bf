//! Threads that make telemetry out of telemetry make none themselves.

use opentelemetry::{Context, ContextGuard};
use tracing_core::dispatcher::{self, DefaultGuard, Dispatch};

/// While it lives, what this thread does makes no telemetry: exporting must not cause more to export.
///
/// `Dispatch::none()` is not registered as a new one would be. A second registered dispatcher makes `tracing` ask for
/// every event anew; and registering takes a lock, which a child that is forked meanwhile would find taken for good.
pub(crate) fn quiet() -> (ContextGuard, DefaultGuard) {
    (
        Context::enter_telemetry_suppressed_scope(),
        dispatcher::set_default(&Dispatch::none()),
    )
}
