//! Names of metrics and attributes in Prometheus, as OpenTelemetry's specification translates them
//! (`compatibility/prometheus_and_openmetrics.md`). The Collector's exporters and Prometheus's OTLP
//! receiver implement it with the suffixes for units and types, which is their default.

use crate::conventions::{METRICS, MetricDef};

/// Returns the definition of one of percolate's metrics.
pub(super) fn definition(metric: &str) -> &'static MetricDef {
    METRICS
        .iter()
        .find(|known| known.name == metric)
        .unwrap_or_else(|| panic!("`{metric}` is not in the table of metrics"))
}

/// Returns the name of a metric without the suffixes of a histogram's series.
pub(super) fn name(metric: &MetricDef) -> String {
    let mut parts: Vec<&str> = metric
        .name
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != ':')
        .filter(|part| !part.is_empty())
        .collect();
    let (unit, per) = units(metric.unit);
    let suffixes = [unit.unwrap_or_default(), per.unwrap_or_default()];
    for suffix in suffixes.iter().filter(|suffix| !suffix.is_empty()) {
        if !parts.contains(suffix) {
            parts.push(suffix);
        }
    }
    if metric.instrument == "counter" {
        parts.retain(|part| *part != "total");
        parts.push("total");
    }
    if metric.unit == "1" && metric.instrument == "gauge" {
        parts.retain(|part| *part != "ratio");
        parts.push("ratio");
    }
    parts.join("_")
}

/// Returns the names of all series of a metric.
pub(super) fn series(metric: &MetricDef) -> Vec<String> {
    let name = name(metric);
    match metric.instrument {
        "histogram" => ["bucket", "sum", "count"]
            .map(|suffix| format!("{name}_{suffix}"))
            .to_vec(),
        _ => vec![name],
    }
}

/// Returns the label of an attribute.
pub(super) fn label(attribute: &str) -> String {
    attribute
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

/// Returns the suffixes of a unit and of the unit after its slash. Annotations in braces have none.
fn units(unit: &str) -> (Option<&'static str>, Option<&'static str>) {
    let bare = |unit: &str| {
        let annotation = unit.find('{').unwrap_or(unit.len());
        unit[..annotation].to_owned()
    };
    let (unit, per) = unit.split_once('/').unwrap_or((unit, ""));
    let unit = match &*bare(unit) {
        "" | "1" => None,
        "s" => Some("seconds"),
        "ms" => Some("milliseconds"),
        "us" => Some("microseconds"),
        "ns" => Some("nanoseconds"),
        "By" => Some("bytes"),
        "%" => Some("percent"),
        other => panic!("the translation of the unit `{other}` is missing here"),
    };
    let per = match &*bare(per) {
        "" => None,
        "s" => Some("per_second"),
        other => panic!("the translation of the unit `/{other}` is missing here"),
    };
    (unit, per)
}

#[test]
fn names_are_translated_as_opentelemetry_specifies() {
    let cases = [
        (
            "http.server.request.duration",
            "s",
            "histogram",
            "http_server_request_duration_seconds",
        ),
        (
            "system.filesystem.usage",
            "By",
            "updowncounter",
            "system_filesystem_usage_bytes",
        ),
        (
            "system.network.dropped",
            "{packet}",
            "counter",
            "system_network_dropped_total",
        ),
        (
            "system.memory.utilization",
            "1",
            "gauge",
            "system_memory_utilization_ratio",
        ),
        ("system.io", "By", "counter", "system_io_bytes_total"),
        ("sent.bytes", "By", "counter", "sent_bytes_total"),
        ("disk.speed", "By/s", "gauge", "disk_speed_bytes_per_second"),
        ("items.total", "{item}", "counter", "items_total"),
        ("two..dots", "{item}", "gauge", "two_dots"),
    ];
    for (otel, unit, instrument, expected) in cases {
        let metric = MetricDef {
            name: otel,
            unit,
            instrument,
            ..METRICS[0]
        };
        assert_eq!(name(&metric), expected);
    }
    assert_eq!(label("db.collection.name"), "db_collection_name");
    assert_eq!(label("job.batch_size"), "job_batch_size");
}
