//! Registries of conventions, in YAML.

use std::time::{Duration, Instant};

use percolate_core::otel::ConventionLayer;

/// Reads a registry. It is read, or the error names the file; the time is limited.
pub fn registry(data: &[u8]) {
    const LIMIT: Duration = Duration::from_secs(10);
    let text = String::from_utf8_lossy(data);
    let started = Instant::now();
    match ConventionLayer::builder().registry_str("fuzz.yaml", &text) {
        Ok(builder) => drop(builder.build()),
        Err(error) => assert!(error.to_string().contains("fuzz.yaml"), "{error}"),
    }
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
}
