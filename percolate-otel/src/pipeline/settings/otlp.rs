//! The settings of one signal's OTLP exporter: the builder's options over the environment over
//! defaults.

use std::path::PathBuf;
use std::time::Duration;

use super::super::env::VariableReader;
use super::super::otlp_options::{Otlp, OtlpCompression, OtlpProtocol};
use super::super::signal::Signal;

/// The settings of one signal's OTLP exporter.
#[derive(Clone)]
#[cfg_attr(
    not(feature = "otlp"),
    expect(
        dead_code,
        reason = "decided in every build, for the warnings; read by the exporters"
    )
)]
pub(in super::super) struct OtlpSettings {
    pub(in super::super) signal: Signal,
    /// The complete URL, with scheme and, over HTTP, with path.
    pub(in super::super) endpoint: String,
    pub(in super::super) protocol: OtlpProtocol,
    pub(in super::super) headers: Vec<(String, String)>,
    pub(in super::super) timeout: Duration,
    pub(in super::super) compression: OtlpCompression,
    pub(in super::super) certificate: Option<PathBuf>,
    pub(in super::super) identity: Option<(PathBuf, PathBuf)>,
}

/// Decides the settings of one signal. In order of precedence: options for the signal, options for
/// all signals, variable of the signal, variable for all signals, default.
pub(super) fn otlp(
    reads: &mut VariableReader<'_>,
    signal: Signal,
    own: &Otlp,
    all: &Otlp,
) -> OtlpSettings {
    let chosen = own.endpoint.as_deref().map(|endpoint| (endpoint, true));
    let chosen = chosen.or_else(|| all.endpoint.as_deref().map(|endpoint| (endpoint, false)));
    let chosen = chosen.or_else(|| {
        reads
            .text(&signal.variable("ENDPOINT"))
            .map(|endpoint| (endpoint, true))
    });
    let chosen = chosen.or_else(|| {
        reads
            .text("OTEL_EXPORTER_OTLP_ENDPOINT")
            .map(|endpoint| (endpoint, false))
    });

    let protocols = [
        ("grpc", OtlpProtocol::Grpc),
        ("http/protobuf", OtlpProtocol::HttpProtobuf),
    ];
    let protocol = own.protocol.or(all.protocol);
    let protocol = protocol.or_else(|| {
        either(reads, signal, "PROTOCOL", |reads, name| {
            reads.choice(name, &protocols)
        })
    });
    let protocol =
        protocol.unwrap_or_else(|| protocol_of_port(chosen.map(|(endpoint, _)| endpoint)));

    let insecure = either(reads, signal, "INSECURE", VariableReader::boolean).unwrap_or(false);
    let endpoint = endpoint(chosen, protocol, signal, insecure);

    let compressions = [
        ("none", OtlpCompression::None),
        ("gzip", OtlpCompression::Gzip),
    ];
    let compression = own.compression.or(all.compression).or_else(|| {
        either(reads, signal, "COMPRESSION", |reads, name| {
            reads.choice(name, &compressions)
        })
    });

    let timeout = own
        .timeout
        .or(all.timeout)
        .or_else(|| either(reads, signal, "TIMEOUT", VariableReader::millis));
    let mut file = |suffix, own: &Option<PathBuf>, all: &Option<PathBuf>| {
        let chosen = own.clone().or_else(|| all.clone());
        chosen.or_else(|| {
            either(reads, signal, suffix, |reads, name| {
                reads.text(name).map(PathBuf::from)
            })
        })
    };
    let certificate = file("CERTIFICATE", &own.certificate, &all.certificate);
    let client_key = file("CLIENT_KEY", &own.client_key, &all.client_key);
    let client_certificate = file(
        "CLIENT_CERTIFICATE",
        &own.client_certificate,
        &all.client_certificate,
    );
    let identity = identity(reads, signal, client_certificate, client_key);

    OtlpSettings {
        signal,
        endpoint,
        protocol,
        headers: headers(reads, signal, own, all),
        timeout: timeout.unwrap_or(Duration::from_secs(10)),
        compression: compression.unwrap_or(OtlpCompression::None),
        certificate,
        identity,
    }
}

/// The variable of the signal, else the one for all signals.
fn either<'a, T>(
    reads: &mut VariableReader<'a>,
    signal: Signal,
    suffix: &str,
    read: impl Fn(&mut VariableReader<'a>, &str) -> Option<T>,
) -> Option<T> {
    let own = read(reads, &signal.variable(suffix));
    own.or_else(|| read(reads, &format!("OTEL_EXPORTER_OTLP_{suffix}")))
}

/// Port 4318 is that of OTLP over HTTP: without a set protocol it selects HTTP.
fn protocol_of_port(endpoint: Option<&str>) -> OtlpProtocol {
    let authority = endpoint.map(|endpoint| {
        endpoint
            .split_once("://")
            .map_or(endpoint, |(_, rest)| rest)
    });
    let authority = authority.and_then(|rest| rest.split('/').next());
    match authority {
        Some(authority) if authority.ends_with(":4318") => OtlpProtocol::HttpProtobuf,
        _ => OtlpProtocol::Grpc,
    }
}

fn endpoint(
    chosen: Option<(&str, bool)>,
    protocol: OtlpProtocol,
    signal: Signal,
    insecure: bool,
) -> String {
    let default = match protocol {
        OtlpProtocol::Grpc => "http://localhost:4317",
        OtlpProtocol::HttpProtobuf => "http://localhost:4318",
    };
    let (chosen, complete) = chosen.unwrap_or((default, false));
    let chosen = match (
        chosen.contains("://"),
        insecure || protocol == OtlpProtocol::HttpProtobuf,
    ) {
        (true, _) => chosen.to_owned(),
        (false, true) => format!("http://{chosen}"),
        (false, false) => format!("https://{chosen}"),
    };
    match protocol {
        OtlpProtocol::HttpProtobuf if !complete => {
            format!("{}/v1/{}", chosen.trim_end_matches('/'), signal.name())
        }
        _ => chosen,
    }
}

fn headers(
    reads: &mut VariableReader<'_>,
    signal: Signal,
    own: &Otlp,
    all: &Otlp,
) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> =
        either(reads, signal, "HEADERS", VariableReader::pairs).unwrap_or_default();
    for (name, value) in all.headers.iter().chain(&own.headers) {
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        headers.push((name.clone(), value.clone()));
    }
    headers
}

fn identity(
    reads: &mut VariableReader<'_>,
    signal: Signal,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Option<(PathBuf, PathBuf)> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let problem = "CLIENT_CERTIFICATE and CLIENT_KEY must be set together; mTLS is off";
            reads.warn(&signal.variable("CLIENT_CERTIFICATE"), problem);
            None
        }
    }
}
