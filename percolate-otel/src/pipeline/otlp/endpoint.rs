//! The name of an endpoint in messages and errors. Invariant: it has no user name and no password.

use super::super::error::TelemetryError;
use super::super::otlp_options::OtlpProtocol;
use super::super::settings::OtlpSettings;

/// Returns the name of an endpoint in messages, without user name and password.
pub(in super::super) fn describe(settings: &OtlpSettings) -> String {
    let protocol = match settings.protocol {
        OtlpProtocol::Grpc => "OTLP/gRPC",
        OtlpProtocol::HttpProtobuf => "OTLP/HTTP",
    };
    format!("{} ({protocol})", without_userinfo(&settings.endpoint))
}

fn without_userinfo(endpoint: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('@') {
            Some((userinfo, host)) if !userinfo.contains('/') => format!("{scheme}://{host}"),
            _ => endpoint.to_owned(),
        },
        None => endpoint.to_owned(),
    }
}

/// Returns an error about the exporter with these settings.
pub(super) fn failed(settings: &OtlpSettings, problem: impl Into<String>) -> TelemetryError {
    TelemetryError::Exporter {
        signal: settings.signal.name(),
        endpoint: without_userinfo(&settings.endpoint),
        problem: problem.into(),
    }
}
