//! The name of an endpoint in messages and errors. Invariant: it has no user name, no password and
//! no query string.

use super::super::error::TelemetryError;
use super::super::otlp_options::OtlpProtocol;
use super::super::settings::OtlpSettings;

/// Returns the name of an endpoint in messages.
pub(in super::super) fn describe(settings: &OtlpSettings) -> String {
    let protocol = match settings.protocol {
        OtlpProtocol::Grpc => "OTLP/gRPC",
        OtlpProtocol::HttpProtobuf => "OTLP/HTTP",
        OtlpProtocol::HttpJson => "OTLP/HTTP/JSON",
    };
    format!("{} ({protocol})", public_part(&settings.endpoint))
}

/// Returns a URL without the parts that may hold a secret.
fn public_part(endpoint: &str) -> String {
    let endpoint = endpoint.split(['?', '#']).next().unwrap_or_default();
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
        endpoint: public_part(&settings.endpoint),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_endpoint_has_no_secret() {
        let of = public_part;
        assert_eq!(of("https://user:key@host:4317/a"), "https://host:4317/a");
        assert_eq!(
            of("https://host/v1/traces?api-key=x"),
            "https://host/v1/traces"
        );
        assert_eq!(of("http://host:4317"), "http://host:4317");
    }
}
