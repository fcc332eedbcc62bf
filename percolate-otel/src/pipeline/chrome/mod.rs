//! Spans as a Chrome trace, a JSON file that Perfetto, speedscope and the Firefox Profiler open. The
//! file is written as a whole at a flush and at the shutdown. [`tracks`] decides which row a span is
//! in, and [`events`] writes the file; [`ChromeTrace`] keeps the spans.
//!
//! Invariants: at most [`MOST_SPANS`] of the latest spans are kept, and the spans of one track are
//! nested or do not overlap, as the format requires.

mod events;
mod tracks;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;

use self::events::trace_text;
use super::drive::Driver;
use super::export_queue::{ExportBatch, Rejected};
use super::file::WholeFile;
use super::span_size::span_bytes;

/// The most spans of a file, and their most bytes in memory, as estimated. The latest are kept.
const MOST_SPANS: usize = 50_000;
const MOST_BYTES: usize = 48 << 20;

/// The spans of the file.
#[derive(Debug)]
pub(super) struct ChromeTrace {
    file: WholeFile,
    service: String,
    started: SystemTime,
    spans: Mutex<LatestSpans>,
}

#[derive(Debug, Default)]
struct LatestSpans {
    spans: VecDeque<SpanData>,
    bytes: usize,
    left_out: u64,
}

impl ChromeTrace {
    pub(super) fn new(path: &Path, resource: &Resource) -> Arc<Self> {
        let service = resource.get(&opentelemetry::Key::from_static_str(
            super::resource::SERVICE_NAME,
        ));
        Arc::new(Self {
            file: WholeFile::new(path),
            service: service.map(|name| name.to_string()).unwrap_or_default(),
            started: SystemTime::now(),
            spans: Mutex::default(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// An error message if it cannot be written.
    pub(super) fn write(&self) -> Result<(), String> {
        let text = {
            let mut kept = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
            let left_out = kept.left_out;
            let spans = kept.spans.make_contiguous();
            trace_text(&self.service, self.started, spans, left_out)
        };
        self.file.write(text.as_bytes())
    }
}

impl LatestSpans {
    fn add(&mut self, span: SpanData, (most_spans, most_bytes): (usize, usize)) {
        self.bytes += span_bytes(&span);
        self.spans.push_back(span);
        while self.spans.len() > most_spans || self.bytes > most_bytes {
            let Some(oldest) = self.spans.pop_front() else {
                return;
            };
            self.bytes -= span_bytes(&oldest);
            self.left_out += 1;
        }
    }
}

/// The exporter that keeps spans for the file.
#[derive(Debug)]
pub(super) struct ChromeSpans(pub(super) Arc<ChromeTrace>);

impl ExportBatch<SpanData> for ChromeSpans {
    fn export(&self, _: &Driver, _: Duration, batch: Vec<SpanData>) -> Result<Rejected, String> {
        let mut kept = self.0.spans.lock().unwrap_or_else(PoisonError::into_inner);
        for span in batch {
            kept.add(span, (MOST_SPANS, MOST_BYTES));
        }
        Ok(Rejected::default())
    }

    fn shutdown(&self, _: Duration) {}
}

#[cfg(test)]
mod tests {
    use super::super::trace_tree::tests::span;
    use super::*;

    #[test]
    fn the_latest_spans_are_kept_and_the_others_counted() {
        let mut kept = LatestSpans::default();
        for id in 1..=100 {
            kept.add(span("get articles", id, 0, id, 1), (10, usize::MAX));
        }
        assert_eq!((kept.spans.len(), kept.left_out), (10, 90));
        let bytes: usize = kept.spans.iter().map(span_bytes).sum();
        assert_eq!(kept.bytes, bytes);
        kept.add(
            span("get articles", 101, 0, 101, 1),
            (usize::MAX, bytes / 2),
        );
        assert!(kept.bytes <= bytes / 2);
    }
}
