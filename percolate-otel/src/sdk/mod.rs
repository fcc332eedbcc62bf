//! The sink of the OpenTelemetry SDK: records become `SpanData` for span processors.

mod convert;

use std::sync::Arc;

use opentelemetry_sdk::trace::SpanProcessor;

use crate::record::{CallRecord, RecordSink};
use convert::Converter;

/// Returns the sink that converts records to the SDK's `SpanData` for these processors; `None`
/// without processors.
pub fn sdk_sink(processors: Vec<Arc<dyn SpanProcessor>>) -> Option<Box<dyn RecordSink>> {
    if processors.is_empty() {
        return None;
    }
    let converter = Converter::new();
    Some(Box::new(SdkSink {
        converter,
        processors,
    }))
}

#[derive(Debug)]
struct SdkSink {
    converter: Converter,
    processors: Vec<Arc<dyn SpanProcessor>>,
}

impl RecordSink for SdkSink {
    fn tick(&mut self) {
        self.converter.follow_clock();
    }

    fn deliver(&mut self, records: Vec<CallRecord>) {
        let Some((last, others)) = self.processors.split_last() else {
            return;
        };
        for record in records {
            let span = self.converter.convert(record);
            for processor in others {
                processor.on_end(span.clone());
            }
            last.on_end(span);
        }
    }
}
