//! The process-wide state of the installed pipeline: its runtime, OpenTelemetry's global providers
//! and propagator, and the slot of [`Telemetry::layer`](super::Telemetry::layer). Invariant: every
//! step that can fail precedes the first change of global state.

use std::sync::atomic::{AtomicBool, Ordering};

use super::assemble;
use super::choices::Choices;
use super::diagnostics::TELEMETRY_TARGET;
use super::error::TelemetryError;
use super::layer;
use super::parts::Parts;
use super::propagator;
use crate::layer::ConventionLayer;
use crate::own_providers::OwnProvider;
use crate::runtime;

/// Set while a pipeline is installed.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Builds the pipeline and installs it.
pub(super) fn install(choices: Choices) -> Result<Parts, TelemetryError> {
    if INSTALLED.swap(true, Ordering::AcqRel) {
        return Err(TelemetryError::AlreadyInstalled);
    }
    let parts = match assemble::assemble(choices) {
        Ok(parts) => parts,
        Err(error) => {
            release();
            return Err(error);
        }
    };
    if let Some(runtime) = parts.runtime
        && runtime::install(runtime).is_err()
    {
        release();
        return Err(TelemetryError::AlreadyInstalled);
    }
    propagator::install(&parts.propagators);
    if let Some(provider) = &parts.tracer_provider {
        opentelemetry::global::set_tracer_provider(OwnProvider(provider.clone()));
        layer::installed_slot().fill(layer::tracer(provider), parts.logger_provider.as_ref());
    }
    if let Some(provider) = &parts.meter_provider {
        opentelemetry::global::set_meter_provider(OwnProvider(provider.clone()));
    }
    if parts.installs_subscriber {
        install_subscriber(&parts);
    }
    for warning in &parts.warnings {
        if warning.is_severe() {
            tracing::error!(target: TELEMETRY_TARGET, "{warning}");
        } else {
            tracing::warn!(target: TELEMETRY_TARGET, "{warning}");
        }
    }
    Ok(parts)
}

/// Installs the subscriber, with a convention check for the report.
fn install_subscriber(parts: &Parts) {
    let report = parts.report.as_ref().map(|part| &part.report);
    let conventions = report.map(|_| ConventionLayer::new());
    let slot = layer::installed_slot();
    if layer::install_subscriber(&slot, parts.log_level, conventions.as_ref())
        && let (Some(report), Some(conventions)) = (report, conventions)
    {
        report.set_conventions(conventions);
    }
}

/// Stops annotated calls and [`Telemetry::layer`](super::Telemetry::layer) from reaching the
/// installed pipeline. It counts later calls, unless it is that of the parent of a fork.
pub(super) fn detach(parts: &Parts, is_forked: bool) {
    match parts.runtime {
        Some(runtime) if is_forked => runtime::uninstall(runtime),
        Some(runtime) => runtime::end(runtime),
        None => {}
    }
    layer::installed_slot().empty();
}

/// Permits the installation of another pipeline.
pub(super) fn release() {
    INSTALLED.store(false, Ordering::Release);
}
