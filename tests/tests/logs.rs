//! Log records that are emitted inside an annotated call have the ids of its span when exported.

use std::sync::{Arc, Mutex};

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLogRecord, SdkLoggerProvider};
use percolate_core::background_job;
use percolate_core::otel::testing::Capture;
use percolate_core::otel::{carry, current_trace_ids};

#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<SdkLogRecord>>>);

impl LogExporter for Kept {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.0
            .lock()
            .expect("no test panics here")
            .extend(batch.iter().map(|(record, _)| record.clone()));
        Ok(())
    }
}

#[background_job(index.build, target = "hnsw")]
fn build(body: impl FnOnce()) {
    body();
}

#[test]
fn a_log_record_has_the_ids_of_the_call_around_it() {
    for capture in [Capture::new(), Capture::builder().compact_records().build()] {
        let kept = Kept::default();
        let provider = SdkLoggerProvider::builder()
            .with_simple_exporter(kept.clone())
            .build();
        let log = |text: &'static str| {
            let logger = provider.logger("app");
            let mut record = logger.create_log_record();
            record.set_body(AnyValue::from(text));
            logger.emit(record);
        };
        capture.run(|| {
            build(|| {
                log("here");
                std::thread::scope(|scope| drop(scope.spawn(carry(|| log("there")))));
                assert!(current_trace_ids().is_some_and(|ids| ids.sampled));
            });
            log("outside");
        });
        let spans = capture.spans();
        let span = spans.span("index.build hnsw");
        let records = kept.0.lock().expect("no test panics here");
        let ids = |index: usize| {
            records[index]
                .trace_context()
                .map(|context| (context.trace_id, context.span_id))
        };
        assert_eq!(ids(0), Some((span.trace_id(), span.id())));
        assert_eq!(ids(1), Some((span.trace_id(), span.id())));
        assert_eq!(ids(2), None);
    }
}
