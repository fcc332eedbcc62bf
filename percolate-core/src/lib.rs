//! One annotation gives storage code OpenTelemetry-compliant spans and exact metrics.
