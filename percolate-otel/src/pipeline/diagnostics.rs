//! The pipeline's own messages: their `tracing` target, and the log of an exporter's failures.

use std::fmt::Display;

/// The `tracing` target of the pipeline's messages.
pub(super) const TELEMETRY_TARGET: &str = "percolate::telemetry";

/// Reports the first failure of an exporter and its recovery; the failures between are only
/// counted.
///
/// `data` is the exported data, such as `12 spans` or `metrics`, and `to` the exporter's name.
pub(super) fn report_change(
    was_failing: bool,
    data: impl Display,
    to: &str,
    result: Result<(), &dyn Display>,
) {
    match (was_failing, result) {
        (false, Err(error)) => tracing::warn!(
            target: TELEMETRY_TARGET,
            "cannot export {data} to {to}: {error}; further failures are counted in \
             `TelemetryGuard::status`"
        ),
        (true, Ok(())) => {
            tracing::info!(target: TELEMETRY_TARGET, "exporting {data} to {to} works again");
        }
        (true, Err(_)) | (false, Ok(())) => {}
    }
}
