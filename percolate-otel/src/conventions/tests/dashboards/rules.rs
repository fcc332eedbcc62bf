//! The Prometheus rules: recorded series, alerts with their thresholds, and what promtool tests them
//! with.

use std::fmt::Write as _;

use super::prometheus::{definition, label, name};
use crate::conventions::{attribute, metric};

const HEAD: &str = "\
# Generated from percolate-otel/src/conventions.
# Update it with: PERCOLATE_UPDATE=1 cargo test -p percolate-otel --lib is_fresh
#
# docs/pipeline.md describes the alerts. To change a threshold, change the number in your copy.
";

/// A series that Prometheus computes from others.
pub(super) struct Recording {
    pub(super) record: &'static str,
    expression: String,
}

/// An alert.
pub(super) struct Alert {
    pub(super) name: &'static str,
    expression: String,
    /// How long the expression has to hold.
    hold: &'static str,
    severity: &'static str,
    /// One line, with labels and the value as templates of Prometheus.
    summary: String,
    /// The condition in words, for the documentation.
    pub(super) condition: &'static str,
    /// What it means and what to look at.
    pub(super) meaning: &'static str,
    /// The histogram and the threshold in seconds, if the alert compares a percentile.
    pub(super) percentile: Option<(&'static str, f64)>,
}

impl Alert {
    /// Returns the annotation: the condition and the meaning, without the marks of Markdown.
    pub(super) fn description(&self) -> String {
        let mut condition = self.condition.to_owned();
        if let Some(first) = condition.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let meaning = self.meaning.replace("](#shutdown-and-lost-data)", "]");
        let plain = |text: &str| text.replace(['*', '`', '[', ']'], "");
        format!("{}. {}", plain(&condition), plain(&meaning))
    }
}

const OPERATIONS: &str = "operation:db_client_operation_duration_seconds_count:rate5m";
const FAILURE_RATIO: &str = "operation:db_client_operation_failures:ratio_rate5m";
const LATENCY: &str = "operation:db_client_operation_duration_seconds:p99_rate5m";
const RUNS: &str = "job_type:job_duration_seconds_count:increase1h";
const FAILED_RUNS_RATIO: &str = "job_type:job_failures:ratio_increase1h";
const QUEUE_WAIT: &str = "queue:job_queue_wait_seconds:p99_rate5m";

pub(super) fn recordings() -> Vec<Recording> {
    let operation = labels(&[
        attribute::DB_NAMESPACE,
        attribute::DB_COLLECTION_NAME,
        attribute::DB_OPERATION_NAME,
    ]);
    let job = labels(&[attribute::JOB_TYPE, attribute::JOB_TARGET]);
    let queue = labels(&[attribute::JOB_QUEUE_NAME]);
    let error = label(attribute::ERROR_TYPE);
    let durations = series(metric::DB_CLIENT_OPERATION_DURATION);
    let runs = series(metric::JOB_DURATION);
    let status = label(attribute::JOB_STATUS);
    let waits = series(metric::JOB_QUEUE_WAIT);
    let recording = |record, expression| Recording { record, expression };
    vec![
        recording(
            OPERATIONS,
            format!("sum by ({operation}) (rate({durations}_count[5m]))"),
        ),
        recording(
            FAILURE_RATIO,
            format!(
                "sum by ({operation}) (rate({durations}_count{{{error}!=\"\"}}[5m]))\n\
                 / {OPERATIONS}"
            ),
        ),
        recording(
            LATENCY,
            format!(
                "histogram_quantile(0.99, sum by (le, {operation}) (rate({durations}_bucket[5m])))"
            ),
        ),
        recording(RUNS, format!("sum by ({job}) (increase({runs}_count[1h]))")),
        recording(
            FAILED_RUNS_RATIO,
            format!("sum by ({job}) (increase({runs}_count{{{status}=\"failed\"}}[1h]))\n/ {RUNS}"),
        ),
        recording(
            QUEUE_WAIT,
            format!("histogram_quantile(0.99, sum by (le, {queue}) (rate({waits}_bucket[5m])))"),
        ),
    ]
}

pub(super) fn alerts() -> Vec<Alert> {
    let operation = template(attribute::DB_OPERATION_NAME);
    let collection = template(attribute::DB_COLLECTION_NAME);
    let namespace = template(attribute::DB_NAMESPACE);
    let job_type = template(attribute::JOB_TYPE);
    let target = template(attribute::JOB_TARGET);
    let queue = template(attribute::JOB_QUEUE_NAME);
    let reason = template(attribute::PERCOLATE_REASON);
    let component = template(attribute::OTEL_COMPONENT_NAME);
    let error_type = template(attribute::ERROR_TYPE);
    let error = label(attribute::ERROR_TYPE);
    let stalled = series(metric::ROCKSDB_STALL);
    let pending = series(metric::ROCKSDB_COMPACTION_PENDING);
    let dropped = series(metric::PERCOLATE_SPAN_DROPPED);
    // A series of losses begins with the first ones, and `increase` needs two values.
    let lost = |metric: &str| {
        let losses = format!("{}{{{error}!=\"\"}}", series(metric));
        format!("increase({losses}[15m]) > 0\nor ({losses} unless {losses} offset 15m) > 0")
    };
    vec![
        Alert {
            name: "PercolateFailedOperations",
            expression: format!("{FAILURE_RATIO} > 0.05 and {OPERATIONS} > 0.1"),
            hold: "10m",
            severity: "warning",
            summary: format!(
                "{{{{ $value | humanizePercentage }}}} of `{operation} {collection}` fail"
            ),
            condition: "more than 5 % of an operation's calls failed in 5 minutes, at more than \
                        one call in 10 seconds; for 10 minutes",
            meaning: "`error.type` of the failed spans and of the panel *Failed operations* is the \
                      kind of failure.",
            percentile: None,
        },
        Alert {
            name: "PercolateSlowOperations",
            expression: format!("{LATENCY} > 0.5"),
            hold: "10m",
            severity: "warning",
            summary: format!(
                "1 % of `{operation} {collection}` take {{{{ $value | humanizeDuration }}}} or more"
            ),
            condition: "the 99th percentile of an operation is above 0.5 s; for 10 minutes",
            meaning: "Exemplars of the panel *Duration of operations* are traces of slow calls. If \
                      writes are slow, look at the stalls; if reads are, at the hit rate of the \
                      block cache. Scans and queries may need a higher threshold.",
            percentile: Some((metric::DB_CLIENT_OPERATION_DURATION, 0.5)),
        },
        Alert {
            name: "PercolateFailedJobs",
            expression: format!("{FAILED_RUNS_RATIO} > 0.1"),
            hold: "0m",
            severity: "warning",
            summary: format!(
                "{{{{ $value | humanizePercentage }}}} of `{job_type} {target}` failed in the last hour"
            ),
            condition: "more than 10 % of the runs of a job in one hour have the status `failed`",
            meaning: "`error.type` of the failed spans is the kind of failure.",
            percentile: None,
        },
        Alert {
            name: "PercolateQueueWait",
            expression: format!("{QUEUE_WAIT} > 5"),
            hold: "10m",
            severity: "warning",
            summary: format!(
                "1 % of the jobs in `{queue}` wait {{{{ $value | humanizeDuration }}}} or more"
            ),
            condition: "the 99th percentile of the time in a queue is above 5 s; for 10 minutes",
            meaning: "The workers do not keep up with the submitted jobs, or one job takes long: \
                      compare *Waiting jobs* with *Duration of runs*.",
            percentile: Some((metric::JOB_QUEUE_WAIT, 5.0)),
        },
        Alert {
            name: "PercolateWriteStall",
            expression: format!("rate({stalled}[5m]) > 0.05"),
            hold: "5m",
            severity: "critical",
            summary: format!(
                "writes to `{namespace}` were stalled {{{{ $value | humanizePercentage }}}} of the time"
            ),
            condition: "writes waited more than 5 % of the time in 5 minutes, summed over the \
                        threads; for 5 minutes. Needs the option `statistics` of the store",
            meaning: "RocksDB delays writes until flushes and compactions have caught up. Compare \
                      *Bytes to compact* with *Bytes flushed and compacted*: the disk or the \
                      background threads are the limit, or the memory tables are too small. The \
                      spans `rocksdb.stall`, `rocksdb.flush` and `rocksdb.compaction` show each of \
                      them.",
            percentile: None,
        },
        Alert {
            name: "PercolateCompactionBacklog",
            expression: format!("{pending} > 32 * 2 ^ 30"),
            hold: "15m",
            severity: "warning",
            summary: format!(
                "compactions of `{collection}` in `{namespace}` are {{{{ $value | humanize1024 }}}}B behind"
            ),
            condition: "RocksDB estimates more than 32 GiB to compact in a column family; for 15 \
                        minutes",
            meaning: "RocksDB slows writes down from 64 GiB on.",
            percentile: None,
        },
        Alert {
            name: "PercolateDroppedSpans",
            expression: format!("increase({dropped}[15m]) > 0"),
            hold: "0m",
            severity: "warning",
            summary: format!("spans were dropped before they were queued: {reason}"),
            condition: "spans of annotated calls were dropped in the last 15 minutes",
            meaning: "The process makes sampled calls faster than spans are exported. Metrics are \
                      complete; traces are not. Sample fewer calls.",
            percentile: None,
        },
        Alert {
            name: "PercolateLostTelemetry",
            expression: format!(
                "{}\nor {}",
                lost(metric::OTEL_SDK_PROCESSOR_SPAN_PROCESSED),
                lost(metric::OTEL_SDK_PROCESSOR_LOG_PROCESSED)
            ),
            hold: "0m",
            severity: "warning",
            summary: format!("{component} has lost telemetry: {error_type}"),
            condition: "spans or log records were not exported in the last 15 minutes",
            meaning: "`export_failed`: the collector is unreachable, slow or rejects the data. \
                      `queue_full`: it is too slow, or the queue is too small. \
                      `shutdown_deadline`: the process ended before everything was exported. \
                      [Shutdown and lost data](#shutdown-and-lost-data) has the counts.",
            percentile: None,
        },
    ]
}

/// Returns the file with all rules.
pub(super) fn file() -> String {
    let mut out = format!("{HEAD}groups:\n  - name: percolate-recordings\n    rules:\n");
    for rule in recordings() {
        _ = writeln!(out, "      - record: {}", rule.record);
        expression(&mut out, &rule.expression);
    }
    out.push_str("  - name: percolate-alerts\n    rules:\n");
    for alert in alerts() {
        _ = writeln!(out, "      - alert: {}", alert.name);
        expression(&mut out, &alert.expression);
        _ = write!(
            out,
            "        for: {}\n        labels:\n          severity: {}\n        annotations:\n          \
             summary: {}\n          description: {}\n",
            alert.hold,
            alert.severity,
            quoted(&alert.summary),
            quoted(&alert.description())
        );
    }
    out
}

fn expression(out: &mut String, expression: &str) {
    out.push_str("        expr: |-\n");
    for line in expression.lines() {
        _ = writeln!(out, "          {line}");
    }
}

/// Strings of JSON are strings of YAML.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn series(metric: &str) -> String {
    name(definition(metric))
}

/// The labels of a series of rules: those of the service and of these attributes.
fn labels(attributes: &[&str]) -> String {
    let labels = attributes.iter().map(|attribute| label(attribute));
    std::iter::once("job".to_owned())
        .chain(labels)
        .collect::<Vec<_>>()
        .join(", ")
}

fn template(attribute: &str) -> String {
    format!("{{{{ $labels.{} }}}}", label(attribute))
}
