//! [`Otlp`]: the options of the OTLP exporters that the program sets. They are combined with
//! the environment in `settings`; the exporters themselves are in `otlp`.

use std::path::PathBuf;
use std::time::Duration;

use crate::public_url::public_url;

/// The transport of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// gRPC, usually on port 4317.
    Grpc,
    /// Protobuf over HTTP, usually on port 4318.
    HttpProtobuf,
    /// JSON over HTTP, usually on port 4318.
    HttpJson,
}

impl OtlpProtocol {
    pub(super) fn is_http(self) -> bool {
        matches!(self, Self::HttpProtobuf | Self::HttpJson)
    }
}

/// The compression of OTLP requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpCompression {
    /// No compression.
    None,
    /// gzip.
    Gzip,
}

/// Options of the OTLP exporters. Options that are not set come from the `OTEL_EXPORTER_OTLP_*`
/// variables.
///
/// ```
/// use std::time::Duration;
/// use percolate_otel::{Otlp, OtlpCompression, Telemetry};
///
/// let otlp = Otlp::to("https://collector.example:4317")
///     .header("authorization", "Bearer secret")
///     .compression(OtlpCompression::Gzip)
///     .timeout(Duration::from_secs(3));
/// let builder = Telemetry::builder().otlp(otlp);
/// ```
#[derive(Clone, Default)]
#[must_use = "pass it to `TelemetryBuilder::otlp`"]
pub struct Otlp {
    pub(super) endpoint: Option<String>,
    pub(super) protocol: Option<OtlpProtocol>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout: Option<Duration>,
    pub(super) compression: Option<OtlpCompression>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) client_key: Option<PathBuf>,
    pub(super) client_certificate: Option<PathBuf>,
}

impl Otlp {
    /// Creates options of which none is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates options with this endpoint.
    pub fn to(endpoint: impl Into<String>) -> Self {
        Self::default().endpoint(endpoint)
    }

    /// Sets the URL of the collector, with `http://` or `https://`. Over HTTP, `/v1/traces`,
    /// `/v1/metrics` or `/v1/logs` is appended to its path, except to an endpoint for one signal.
    /// `install` and `build` fail for other schemes and for a query string over gRPC.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Sets the transport. Default: HTTP for port 4318, gRPC for any other port.
    pub fn protocol(mut self, protocol: OtlpProtocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Adds a header (gRPC metadata) to each request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets how long one export may take, including retries. Default: 10 s. Zero is no limit, which
    /// is one hour.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the compression of requests. Default: none.
    pub fn compression(mut self, compression: OtlpCompression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets the PEM file of the authorities that may sign the collector's certificate. Default: the
    /// system's authorities. `install` and `build` fail if it cannot be read.
    pub fn certificate(mut self, ca: impl Into<PathBuf>) -> Self {
        self.certificate = Some(ca.into());
        self
    }

    /// Sets the PEM files of the client certificate and its key, for mTLS. `install` and `build`
    /// fail if they cannot be read.
    pub fn identity(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.client_certificate = Some(certificate.into());
        self.client_key = Some(key.into());
        self
    }
}

/// Shows the names of headers but not their values, and the endpoint without the parts that may hold
/// a secret.
impl std::fmt::Debug for Otlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Otlp")
            .field("endpoint", &self.endpoint.as_deref().map(public_url))
            .field("protocol", &self.protocol)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Environment, Telemetry};

    #[test]
    fn no_debug_form_has_a_secret() {
        let url = "https://user:canary@collector.example/v1?api_key=canary#canary";
        let otlp = Otlp::to(url).header("authorization", "canary");
        let environment: Environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=canary"),
        ]
        .into_iter()
        .collect();
        let builder = Telemetry::builder().otlp(otlp.clone());
        for text in [
            format!("{otlp:#?}"),
            format!("{environment:#?}"),
            format!("{builder:#?}"),
        ] {
            assert!(!text.contains("canary"), "{text}");
        }
        let text = format!("{otlp:?}");
        assert!(text.contains("https://collector.example/v1"), "{text}");
        assert!(text.contains("authorization"), "{text}");
    }
}
