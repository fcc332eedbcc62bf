//! The name of an endpoint in messages and errors, without the parts that may hold a secret.

use super::super::error::TelemetryError;
use super::super::otlp_options::OtlpProtocol;
use super::super::settings::OtlpSettings;
use crate::public_url::public_url;

/// Returns the name of an endpoint in messages.
pub(in super::super) fn describe(settings: &OtlpSettings) -> String {
    let protocol = match settings.protocol {
        OtlpProtocol::Grpc => "OTLP/gRPC",
        OtlpProtocol::HttpProtobuf => "OTLP/HTTP",
        OtlpProtocol::HttpJson => "OTLP/HTTP/JSON",
    };
    format!("{} ({protocol})", public_url(&settings.endpoint))
}

/// Returns an error about the exporter with these settings.
pub(super) fn failed(settings: &OtlpSettings, problem: impl Into<String>) -> TelemetryError {
    TelemetryError::Exporter {
        signal: settings.signal.name(),
        endpoint: public_url(&settings.endpoint),
        problem: problem.into(),
    }
}
