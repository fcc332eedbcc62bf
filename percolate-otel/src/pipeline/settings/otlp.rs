//! The settings of one signal's OTLP exporter: the builder's options over the environment over
//! defaults.

use std::path::PathBuf;
use std::time::Duration;

use super::super::drive::time_limit;
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
    /// Why no exporter can be created from these settings.
    pub(in super::super) refused: Option<String>,
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
    let chosen = chosen_endpoint(reads, signal, own, all);
    let protocols = [
        ("grpc", OtlpProtocol::Grpc),
        ("http/protobuf", OtlpProtocol::HttpProtobuf),
        ("http/json", OtlpProtocol::HttpJson),
    ];
    let protocol = own.protocol.or(all.protocol).or_else(|| {
        either(reads, signal, "PROTOCOL", |reads, name| {
            reads.choice(name, &protocols)
        })
    });
    let protocol = protocol
        .unwrap_or_else(|| protocol_of_port(chosen.as_ref().map(|chosen| chosen.url.as_str())));

    let insecure = either(reads, signal, "INSECURE", VariableReader::boolean).unwrap_or(false);
    let (endpoint, refused) = match endpoint(reads, chosen, protocol, signal, insecure) {
        Ok(endpoint) => (endpoint, None),
        Err((endpoint, problem)) => (endpoint, Some(problem)),
    };

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
        refused,
        protocol,
        headers: headers(reads, signal, own, all),
        timeout: time_limit(timeout.unwrap_or(Duration::from_secs(10))),
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

/// An endpoint as it was set.
struct Chosen {
    url: String,
    /// Over HTTP the URL has the path of the signal.
    complete: bool,
    /// The variable or the builder's method.
    source: String,
}

fn chosen_endpoint(
    reads: &VariableReader<'_>,
    signal: Signal,
    own: &Otlp,
    all: &Otlp,
) -> Option<Chosen> {
    let from_builder = |otlp: &Otlp, complete| {
        otlp.endpoint.clone().map(|url| Chosen {
            url,
            complete,
            source: "Otlp::endpoint".to_owned(),
        })
    };
    let from_variable = |source: String, complete| {
        reads.text(&source).map(|url| Chosen {
            url: url.to_owned(),
            complete,
            source,
        })
    };
    from_builder(own, true)
        .or_else(|| from_builder(all, false))
        .or_else(|| from_variable(signal.variable("ENDPOINT"), true))
        .or_else(|| from_variable("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), false))
}

/// Port 4318 is that of OTLP over HTTP: without a set protocol it selects HTTP.
fn protocol_of_port(endpoint: Option<&str>) -> OtlpProtocol {
    let authority = endpoint.map(|endpoint| {
        endpoint
            .split_once("://")
            .map_or(endpoint, |(_, rest)| rest)
    });
    let authority = authority.and_then(|rest| rest.split(['/', '?', '#']).next());
    match authority {
        Some(authority) if authority.ends_with(":4318") => OtlpProtocol::HttpProtobuf,
        _ => OtlpProtocol::Grpc,
    }
}

/// Returns the complete URL, or a URL and why it is refused.
fn endpoint(
    reads: &mut VariableReader<'_>,
    chosen: Option<Chosen>,
    protocol: OtlpProtocol,
    signal: Signal,
    insecure: bool,
) -> Result<String, (String, String)> {
    let is_http = protocol.is_http();
    let chosen = chosen.unwrap_or_else(|| Chosen {
        url: if is_http {
            "http://localhost:4318".to_owned()
        } else {
            "http://localhost:4317".to_owned()
        },
        complete: false,
        source: String::new(),
    });
    let refuse = |problem: &str| Err((chosen.url.clone(), problem.to_owned()));
    if starts_with(&chosen.url, "unix:") {
        return refuse("Unix sockets are not supported; set an http:// or https:// URL");
    }
    // A fragment is not sent.
    let url = chosen.url.split('#').next().unwrap_or_default();
    let (base, query) = match url.split_once('?') {
        Some((base, query)) => (base, Some(query)),
        None => (url, None),
    };
    let (scheme, rest) = match base.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None if insecure || is_http => ("http".to_owned(), base),
        None => ("https".to_owned(), base),
    };
    if scheme != "http" && scheme != "https" {
        return refuse("only http:// and https:// URLs are supported");
    }
    let has_path = rest
        .split_once('/')
        .is_some_and(|(_, path)| !path.is_empty());
    if !is_http && query.is_some() {
        return refuse("a URL for gRPC has no query string; remove it, or set http/protobuf");
    }
    if !is_http && has_path {
        reads.warn(&chosen.source, "a URL for gRPC has no path; it is ignored");
    }
    let mut complete = format!("{scheme}://{rest}");
    if is_http && !chosen.complete {
        complete.truncate(complete.trim_end_matches('/').len());
        complete.push_str("/v1/");
        complete.push_str(signal.name());
    }
    if let Some(query) = query {
        complete.push('?');
        complete.push_str(query);
    }
    Ok(complete)
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
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
