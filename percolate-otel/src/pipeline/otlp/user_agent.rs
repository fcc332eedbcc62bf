//! The header `user-agent` of all OTLP requests.

/// The exporter's product in the form that the specification recommends.
pub(super) const USER_AGENT: &str = concat!(
    "OTel-OTLP-Exporter-Rust/",
    env!("CARGO_PKG_VERSION"),
    " percolate-otel"
);
