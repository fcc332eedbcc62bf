//! What promtool tests the rules with: synthetic series in which each alert fires, and others in
//! which it does not. The series have the names as Prometheus stores them.

use std::fmt::Write as _;

use super::rules::{Alert, alerts, quoted};

/// Series, and what the rules make of them.
pub(super) struct Scenario {
    /// The alert under test.
    pub(super) alert: &'static str,
    /// Name and labels, and values of one minute each in the notation of promtool.
    series: &'static [(&'static str, &'static str)],
    at: &'static str,
    /// The labels and the summary of the firing alert.
    pub(super) fires: Option<(&'static [(&'static str, &'static str)], &'static str)>,
    /// Expressions and their value at this time: recorded series.
    pub(super) values: &'static [(&'static str, &'static str, f64)],
}

const GET: &[(&str, &str)] = &[
    ("severity", "warning"),
    ("job", "shop"),
    ("db_namespace", "library"),
    ("db_collection_name", "articles"),
    ("db_operation_name", "get"),
];
const GET_LABELS: &str = r#"{db_collection_name="articles", db_namespace="library", db_operation_name="get", job="shop"}"#;
const JOB_LABELS: &str = r#"{job="shop", job_target="hnsw", job_type="index.build"}"#;

pub(super) const SCENARIOS: &[Scenario] = &[
    // One call in ten fails, over two instances of the service.
    Scenario {
        alert: "PercolateFailedOperations",
        series: &[
            (
                r#"db_client_operation_duration_seconds_count{job="shop", instance="a", db_namespace="library", db_collection_name="articles", db_operation_name="get"}"#,
                "0+270x60",
            ),
            (
                r#"db_client_operation_duration_seconds_count{job="shop", instance="b", db_namespace="library", db_collection_name="articles", db_operation_name="get", error_type="IOError"}"#,
                "0+30x60",
            ),
        ],
        at: "30m",
        fires: Some((GET, "10% of `get articles` fail")),
        values: &[
            (
                "operation:db_client_operation_duration_seconds_count:rate5m",
                GET_LABELS,
                5.0,
            ),
            (
                "operation:db_client_operation_failures:ratio_rate5m",
                GET_LABELS,
                0.1,
            ),
        ],
    },
    // All calls fail, but there is only one in ten minutes.
    Scenario {
        alert: "PercolateFailedOperations",
        series: &[(
            r#"db_client_operation_duration_seconds_count{job="shop", db_operation_name="get", error_type="IOError"}"#,
            "0x10 1x10 2x10 3x30",
        )],
        at: "30m",
        fires: None,
        values: &[],
    },
    // Every call takes between 0.5 s and 1 s.
    Scenario {
        alert: "PercolateSlowOperations",
        series: &[
            (
                r#"db_client_operation_duration_seconds_bucket{job="shop", db_namespace="library", db_collection_name="articles", db_operation_name="get", le="0.5"}"#,
                "0x60",
            ),
            (
                r#"db_client_operation_duration_seconds_bucket{job="shop", db_namespace="library", db_collection_name="articles", db_operation_name="get", le="1"}"#,
                "0+60x60",
            ),
            (
                r#"db_client_operation_duration_seconds_bucket{job="shop", db_namespace="library", db_collection_name="articles", db_operation_name="get", le="+Inf"}"#,
                "0+60x60",
            ),
        ],
        at: "30m",
        fires: Some((GET, "1 % of `get articles` take 995ms or more")),
        values: &[(
            "operation:db_client_operation_duration_seconds:p99_rate5m",
            GET_LABELS,
            0.995,
        )],
    },
    // One call in two hundred is slow.
    Scenario {
        alert: "PercolateSlowOperations",
        series: &[
            (
                r#"db_client_operation_duration_seconds_bucket{job="shop", db_operation_name="get", le="0.5"}"#,
                "0+199x60",
            ),
            (
                r#"db_client_operation_duration_seconds_bucket{job="shop", db_operation_name="get", le="1"}"#,
                "0+200x60",
            ),
            (
                r#"db_client_operation_duration_seconds_bucket{job="shop", db_operation_name="get", le="+Inf"}"#,
                "0+200x60",
            ),
        ],
        at: "30m",
        fires: None,
        values: &[],
    },
    // One run of four fails.
    Scenario {
        alert: "PercolateFailedJobs",
        series: &[
            (
                r#"job_duration_seconds_count{job="shop", job_type="index.build", job_target="hnsw", job_status="success"}"#,
                "0+3x90",
            ),
            (
                r#"job_duration_seconds_count{job="shop", job_type="index.build", job_target="hnsw", job_status="failed", error_type="Corruption"}"#,
                "0+1x90",
            ),
        ],
        at: "80m",
        fires: Some((
            &[
                ("severity", "warning"),
                ("job", "shop"),
                ("job_type", "index.build"),
                ("job_target", "hnsw"),
            ],
            "25% of `index.build hnsw` failed in the last hour",
        )),
        values: &[
            (
                "job_type:job_duration_seconds_count:increase1h",
                JOB_LABELS,
                240.0,
            ),
            ("job_type:job_failures:ratio_increase1h", JOB_LABELS, 0.25),
        ],
    },
    // Cancelled runs have not failed.
    Scenario {
        alert: "PercolateFailedJobs",
        series: &[(
            r#"job_duration_seconds_count{job="shop", job_type="index.build", job_status="cancelled"}"#,
            "0+1x90",
        )],
        at: "80m",
        fires: None,
        values: &[],
    },
    Scenario {
        alert: "PercolateQueueWait",
        series: &[
            (
                r#"job_queue_wait_seconds_bucket{job="shop", job_queue_name="background", le="5"}"#,
                "0x60",
            ),
            (
                r#"job_queue_wait_seconds_bucket{job="shop", job_queue_name="background", le="10"}"#,
                "0+60x60",
            ),
            (
                r#"job_queue_wait_seconds_bucket{job="shop", job_queue_name="background", le="+Inf"}"#,
                "0+60x60",
            ),
        ],
        at: "30m",
        fires: Some((
            &[
                ("severity", "warning"),
                ("job", "shop"),
                ("job_queue_name", "background"),
            ],
            "1 % of the jobs in `background` wait 9.95s or more",
        )),
        values: &[(
            "queue:job_queue_wait_seconds:p99_rate5m",
            r#"{job="shop", job_queue_name="background"}"#,
            9.95,
        )],
    },
    Scenario {
        alert: "PercolateQueueWait",
        series: &[
            (
                r#"job_queue_wait_seconds_bucket{job="shop", job_queue_name="background", le="5"}"#,
                "0+60x60",
            ),
            (
                r#"job_queue_wait_seconds_bucket{job="shop", job_queue_name="background", le="+Inf"}"#,
                "0+60x60",
            ),
        ],
        at: "30m",
        fires: None,
        values: &[],
    },
    // Six seconds of a minute.
    Scenario {
        alert: "PercolateWriteStall",
        series: &[(
            r#"rocksdb_write_stalled_seconds_total{job="shop", db_system_name="rocksdb", db_namespace="library"}"#,
            "0+6x60",
        )],
        at: "30m",
        fires: Some((
            &[
                ("severity", "critical"),
                ("job", "shop"),
                ("db_system_name", "rocksdb"),
                ("db_namespace", "library"),
            ],
            "writes to `library` were stalled 10% of the time",
        )),
        values: &[],
    },
    // Half a second of a minute.
    Scenario {
        alert: "PercolateWriteStall",
        series: &[(
            r#"rocksdb_write_stalled_seconds_total{job="shop", db_namespace="library"}"#,
            "0+0.5x60",
        )],
        at: "30m",
        fires: None,
        values: &[],
    },
    Scenario {
        alert: "PercolateCompactionBacklog",
        series: &[(
            r#"rocksdb_compaction_pending_bytes{job="shop", db_namespace="library", db_collection_name="articles"}"#,
            "42949672960x60",
        )],
        at: "30m",
        fires: Some((
            &[
                ("severity", "warning"),
                ("job", "shop"),
                ("db_namespace", "library"),
                ("db_collection_name", "articles"),
            ],
            "compactions of `articles` in `library` are 40GiB behind",
        )),
        values: &[],
    },
    // More than the threshold, but only for ten minutes.
    Scenario {
        alert: "PercolateCompactionBacklog",
        series: &[(
            r#"rocksdb_compaction_pending_bytes{job="shop", db_namespace="library", db_collection_name="articles"}"#,
            "42949672960x10 0x50",
        )],
        at: "10m",
        fires: None,
        values: &[],
    },
    Scenario {
        alert: "PercolateDroppedSpans",
        series: &[(
            r#"percolate_span_dropped_total{job="shop", instance="a", percolate_reason="hand_over_full"}"#,
            "0x20 512x40",
        )],
        at: "30m",
        fires: Some((
            &[
                ("severity", "warning"),
                ("job", "shop"),
                ("instance", "a"),
                ("percolate_reason", "hand_over_full"),
            ],
            "spans were dropped before they were queued: hand_over_full",
        )),
        values: &[],
    },
    // Dropped long ago.
    Scenario {
        alert: "PercolateDroppedSpans",
        series: &[(
            r#"percolate_span_dropped_total{job="shop", percolate_reason="hand_over_full"}"#,
            "0x20 512x60",
        )],
        at: "60m",
        fires: None,
        values: &[],
    },
    // The series begins with the first loss, and stays.
    Scenario {
        alert: "PercolateLostTelemetry",
        series: &[
            (
                r#"otel_sdk_processor_span_processed_total{job="shop", otel_component_name="batching_span_processor/0"}"#,
                "0+100x60",
            ),
            (
                r#"otel_sdk_processor_span_processed_total{job="shop", otel_component_name="batching_span_processor/0", error_type="export_failed"}"#,
                "_x20 512x40",
            ),
        ],
        at: "30m",
        fires: Some((
            &[
                ("severity", "warning"),
                ("job", "shop"),
                ("otel_component_name", "batching_span_processor/0"),
                ("error_type", "export_failed"),
            ],
            "batching_span_processor/0 has lost telemetry: export_failed",
        )),
        values: &[],
    },
    // An existing series of losses grows.
    Scenario {
        alert: "PercolateLostTelemetry",
        series: &[(
            r#"otel_sdk_processor_log_processed_total{job="shop", otel_component_name="batching_log_processor/0", error_type="queue_full"}"#,
            "1x50 2x10",
        )],
        at: "55m",
        fires: Some((
            &[
                ("severity", "warning"),
                ("job", "shop"),
                ("otel_component_name", "batching_log_processor/0"),
                ("error_type", "queue_full"),
            ],
            "batching_log_processor/0 has lost telemetry: queue_full",
        )),
        values: &[],
    },
    // Lost long ago, and exported without losses since.
    Scenario {
        alert: "PercolateLostTelemetry",
        series: &[
            (
                r#"otel_sdk_processor_span_processed_total{job="shop", otel_component_name="batching_span_processor/0"}"#,
                "0+100x60",
            ),
            (
                r#"otel_sdk_processor_span_processed_total{job="shop", otel_component_name="batching_span_processor/0", error_type="export_failed"}"#,
                "_x20 512x40",
            ),
        ],
        at: "50m",
        fires: None,
        values: &[],
    },
];

/// Returns the scenarios as a file of `promtool test rules`.
pub(super) fn file(rules: &str) -> String {
    let mut out = format!(
        "rule_files:\n  - {}\nevaluation_interval: 1m\ntests:\n",
        quoted(rules)
    );
    for scenario in SCENARIOS {
        out.push_str("  - interval: 1m\n    input_series:\n");
        for (series, values) in scenario.series {
            _ = writeln!(
                out,
                "      - series: {}\n        values: {}",
                quoted(series),
                quoted(values)
            );
        }
        _ = writeln!(
            out,
            "    alert_rule_test:\n      - eval_time: {}\n        alertname: {}",
            scenario.at, scenario.alert
        );
        if let Some((labels, summary)) = scenario.fires {
            out.push_str("        exp_alerts:\n          - exp_labels:\n");
            for (label, value) in labels {
                _ = writeln!(out, "              {label}: {}", quoted(value));
            }
            let alerts = alerts();
            let alert = alerts.iter().find(|alert| alert.name == scenario.alert);
            let description = alert.map_or_else(String::new, Alert::description);
            _ = writeln!(
                out,
                "            exp_annotations:\n              summary: {}\n              description: {}",
                quoted(summary),
                quoted(&description)
            );
        }
        if !scenario.values.is_empty() {
            out.push_str("    promql_expr_test:\n");
        }
        for (recorded, labels, value) in scenario.values {
            _ = writeln!(
                out,
                "      - expr: {}\n        eval_time: {}\n        exp_samples:\n          - labels: {}\n            value: {value}",
                quoted(recorded),
                scenario.at,
                quoted(&format!("{recorded}{labels}"))
            );
        }
    }
    out
}
