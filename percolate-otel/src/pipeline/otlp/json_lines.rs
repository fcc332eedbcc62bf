//! The exporters to files: one message of OTLP as JSON for each batch or collection, on a line of its
//! own. A file has one signal, as the specification requires. Invariant: a file has
//! [`LONGEST_FILE`] bytes at most, and one predecessor.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::InstrumentationScope;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::metrics::v1::MetricsData;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::logs::tonic::group_logs_by_resource_and_scope;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, SdkLogRecord};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::SpanData;
use serde_core::Serialize;

use super::super::counters::Counters;
use super::super::diagnostics::LossReporter;
use super::super::drive::Driver;
use super::super::export_queue::{ExportBatch, Rejected};
use super::super::logs::QueuedLog;
use super::super::own_histograms::OwnReader;
use super::histograms;

/// The size from which a file is renamed and a new one begun.
const LONGEST_FILE: u64 = 64 << 20;

/// A file that grows by lines.
#[derive(Debug)]
pub(in super::super) struct JsonLines {
    path: PathBuf,
    longest: u64,
    /// The file and its size, once it was opened.
    file: Mutex<Option<(File, u64)>>,
}

impl JsonLines {
    pub(in super::super) fn new(path: &Path) -> Self {
        Self {
            // The program may change its folder.
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            longest: LONGEST_FILE,
            file: Mutex::new(None),
        }
    }

    /// Appends a message as a line.
    fn append(&self, message: &impl Serialize) -> Result<(), String> {
        let line = serde_json::to_vec(message);
        let mut line = line.map_err(|error| format!("cannot encode a line: {error}"))?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.append_line(&mut file, &line);
        result.map_err(|error| {
            // It is opened again: the folder may be back.
            *file = None;
            let path = self.path.display();
            format!("cannot write to `{path}`: {error}; the folder must exist and be writable")
        })
    }

    fn append_line(&self, open: &mut Option<(File, u64)>, line: &[u8]) -> io::Result<()> {
        let added = line.len() as u64;
        let is_full = |size: u64| size > 0 && size + added > self.longest;
        let (mut file, mut size) = match open.take() {
            Some(open) => open,
            None => self.open()?,
        };
        if is_full(size) {
            drop(file);
            fs::rename(&self.path, self.predecessor())?;
            (file, size) = self.open()?;
        }
        // In one call, so that lines of several processes do not mix.
        file.write_all(line)?;
        *open = Some((file, size + added));
        Ok(())
    }

    fn open(&self) -> io::Result<(File, u64)> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    /// `traces.1.jsonl` of `traces.jsonl`.
    fn predecessor(&self) -> PathBuf {
        self.path.with_extension("1.jsonl")
    }
}

/// Appends batches of spans or log records.
#[derive(Debug)]
pub(in super::super) struct FileBatches {
    lines: JsonLines,
    resource: ResourceAttributesWithSchema,
}

impl FileBatches {
    pub(in super::super) fn new(path: &Path, resource: &Resource) -> Self {
        Self {
            lines: JsonLines::new(path),
            resource: resource.into(),
        }
    }
}

impl ExportBatch<SpanData> for FileBatches {
    fn export(&self, _: &Driver, _: Duration, batch: Vec<SpanData>) -> Result<Rejected, String> {
        self.lines.append(&TracesData {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        })?;
        Ok(Rejected::default())
    }

    fn shutdown(&self, _: Duration) {}
}

impl ExportBatch<QueuedLog> for FileBatches {
    fn export(&self, _: &Driver, _: Duration, batch: Vec<QueuedLog>) -> Result<Rejected, String> {
        let records: Vec<(&SdkLogRecord, &InstrumentationScope)> =
            batch.iter().map(|log| (&log.record, &log.scope)).collect();
        let records = LogBatch::new(&records);
        self.lines.append(&LogsData {
            resource_logs: group_logs_by_resource_and_scope(&records, &self.resource),
        })?;
        Ok(Rejected::default())
    }

    fn shutdown(&self, _: Duration) {}
}

/// Appends the metrics of each collection.
#[derive(Debug)]
pub(in super::super) struct FileMetrics {
    pub(in super::super) lines: JsonLines,
    pub(in super::super) temporality: Temporality,
    pub(in super::super) counters: Arc<Counters>,
    pub(in super::super) reporter: LossReporter,
    pub(in super::super) own: OwnReader,
}

impl PushMetricExporter for FileMetrics {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut request = ExportMetricsServiceRequest::from(metrics);
        histograms::append(&mut request, self.own.collect());
        let result = self.lines.append(&MetricsData {
            resource_metrics: request.resource_metrics,
        });
        let problem = result.as_ref().err().cloned();
        self.counters
            .exported_at_once(usize::from(problem.is_some()), problem.clone());
        let problem = problem.unwrap_or_default();
        let lost = self.counters.lost();
        self.reporter
            .update(lost, problem, result.is_ok(), Instant::now());
        result.map_err(OTelSdkError::InternalFailure)
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        self.temporality
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).expect("the file is there");
        assert!(text.ends_with('\n'));
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_file_that_is_full_is_renamed_and_replaces_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("traces.jsonl");
        let mut file = JsonLines::new(&path);
        file.longest = 30;
        for number in 0..7 {
            file.append(&format!("line {number}")).expect("it writes");
        }
        assert_eq!(lines(&path), ["\"line 6\""]);
        let before = lines(&folder.path().join("traces.1.jsonl"));
        assert_eq!(before, ["\"line 3\"", "\"line 4\"", "\"line 5\""]);
    }

    #[test]
    fn a_later_process_appends() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("traces.jsonl");
        for number in 0..2 {
            JsonLines::new(&path).append(&number).expect("it writes");
        }
        assert_eq!(lines(&path), ["0", "1"]);
    }

    #[test]
    fn a_folder_that_comes_back_is_used_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("later").join("traces.jsonl");
        let file = JsonLines::new(&path);
        let problem = file.append(&1).expect_err("the folder is missing");
        assert!(problem.contains("traces.jsonl`: "), "{problem}");
        fs::create_dir(folder.path().join("later")).expect("a folder");
        file.append(&2).expect("it writes");
        assert_eq!(lines(&path), ["2"]);
    }
}
