//! The settings of one signal's OTLP exporter: the builder's options over the environment over
//! defaults.

use std::path::PathBuf;
use std::time::Duration;

use super::super::env::Reader;
use super::super::otlp_options::{Otlp, OtlpCompression, OtlpProtocol};
use super::super::signal::Signal;

/// The settings of one signal's OTLP exporter.
#[derive(Clone)]
#[cfg_attr(
    not(feature = "otlp"),
    expect(
        dead_code,
        reason = "decided and reported all the same, used by exporters"
    )
)]
pub(in super::super) struct OtlpSettings {
    pub(in super::super) signal: Signal,
    /// Complete, with scheme and, over HTTP, with its path.
    pub(in super::super) endpoint: String,
    pub(in super::super) protocol: OtlpProtocol,
    pub(in super::super) headers: Vec<(String, String)>,
    pub(in super::super) timeout: Duration,
    pub(in super::super) compression: OtlpCompression,
    pub(in super::super) certificate: Option<PathBuf>,
    pub(in super::super) identity: Option<(PathBuf, PathBuf)>,
}

/// Builder for the signal, builder for all, variable of the signal, variable for all, default.
pub(super) fn otlp(reads: &mut Reader<'_>, signal: Signal, own: &Otlp, all: &Otlp) -> OtlpSettings {
    let said = own.endpoint.as_deref().map(|endpoint| (endpoint, true));
    let said = said.or_else(|| all.endpoint.as_deref().map(|endpoint| (endpoint, false)));
    let said = said.or_else(|| {
        reads
            .text(&signal.variable("ENDPOINT"))
            .map(|endpoint| (endpoint, true))
    });
    let said = said.or_else(|| {
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
    let protocol = protocol.unwrap_or_else(|| protocol_of_port(said.map(|(endpoint, _)| endpoint)));

    let insecure = either(reads, signal, "INSECURE", Reader::boolean).unwrap_or(false);
    let endpoint = endpoint(said, protocol, signal, insecure);

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
        .or_else(|| either(reads, signal, "TIMEOUT", Reader::millis));
    let mut file = |suffix, own: &Option<PathBuf>, all: &Option<PathBuf>| {
        let said = own.clone().or_else(|| all.clone());
        said.or_else(|| {
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
    reads: &mut Reader<'a>,
    signal: Signal,
    suffix: &str,
    read: impl Fn(&mut Reader<'a>, &str) -> Option<T>,
) -> Option<T> {
    let own = read(reads, &signal.variable(suffix));
    own.or_else(|| read(reads, &format!("OTEL_EXPORTER_OTLP_{suffix}")))
}

/// 4318 is the port of OTLP over HTTP; whoever names it without a protocol means that.
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
    said: Option<(&str, bool)>,
    protocol: OtlpProtocol,
    signal: Signal,
    insecure: bool,
) -> String {
    let default = match protocol {
        OtlpProtocol::Grpc => "http://localhost:4317",
        OtlpProtocol::HttpProtobuf => "http://localhost:4318",
    };
    let (said, complete) = said.unwrap_or((default, false));
    let said = match (
        said.contains("://"),
        insecure || protocol == OtlpProtocol::HttpProtobuf,
    ) {
        (true, _) => said.to_owned(),
        (false, true) => format!("http://{said}"),
        (false, false) => format!("https://{said}"),
    };
    match protocol {
        OtlpProtocol::HttpProtobuf if !complete => {
            format!("{}/v1/{}", said.trim_end_matches('/'), signal.name())
        }
        _ => said,
    }
}

fn headers(
    reads: &mut Reader<'_>,
    signal: Signal,
    own: &Otlp,
    all: &Otlp,
) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> =
        either(reads, signal, "HEADERS", Reader::pairs).unwrap_or_default();
    for (name, value) in all.headers.iter().chain(&own.headers) {
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        headers.push((name.clone(), value.clone()));
    }
    headers
}

fn identity(
    reads: &mut Reader<'_>,
    signal: Signal,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Option<(PathBuf, PathBuf)> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let problem =
                "CLIENT_CERTIFICATE and CLIENT_KEY belong together and one is missing; mTLS is off";
            reads.warn(&signal.variable("CLIENT_CERTIFICATE"), problem);
            None
        }
    }
}
