//! [`Otlp`]: the options of the OTLP exporters as the program gives them. They are combined with the
//! environment in `settings`; the exporters themselves are in `otlp`.

use std::path::PathBuf;
use std::time::Duration;

/// How OTLP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// gRPC, usually on port 4317.
    Grpc,
    /// Protobuf over HTTP, usually on port 4318.
    HttpProtobuf,
}

/// How OTLP is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpCompression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
}

/// Options of the OTLP exporters. What is not said here comes from the `OTEL_EXPORTER_OTLP_*` variables.
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
#[must_use = "give it to `TelemetryBuilder::otlp`"]
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
    /// No option said yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Export to this endpoint.
    pub fn to(endpoint: impl Into<String>) -> Self {
        Self::default().endpoint(endpoint)
    }

    /// The collector's URL. Over HTTP `/v1/traces` and `/v1/metrics` are appended, except where it is given for one
    /// signal only.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// gRPC or HTTP. Unsaid everywhere, it is HTTP for port 4318 and gRPC for any other.
    pub fn protocol(mut self, protocol: OtlpProtocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Adds a header (gRPC metadata) to each request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How long one export may take, retries included; 10 seconds if unsaid everywhere.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Compression of requests; none if unsaid everywhere.
    pub fn compression(mut self, compression: OtlpCompression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// PEM file of the authorities trusted to sign the collector's certificate; the system's if unsaid everywhere.
    pub fn certificate(mut self, ca: impl Into<PathBuf>) -> Self {
        self.certificate = Some(ca.into());
        self
    }

    /// PEM files of our own certificate and its key, for collectors that ask for one (mTLS).
    pub fn identity(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.client_certificate = Some(certificate.into());
        self.client_key = Some(key.into());
        self
    }
}

/// Headers may hold secrets: their names are shown, never their values.
impl std::fmt::Debug for Otlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Otlp")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}
