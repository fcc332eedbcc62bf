//! The file: one object with `traceEvents`, as the trace event format defines it. A span is a complete
//! event (`X`), an event of a span an instant (`i`), and names of tracks are metadata (`M`). Times are
//! microseconds since the start of the pipeline, because a number of JSON cannot hold nanoseconds since
//! 1970.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::super::json::Json;
use super::super::trace_tree::kind;
use super::tracks::{Placed, nanos_since, place};
use crate::conventions::attribute;

/// Returns the text of the file.
pub(super) fn trace_text(
    service: &str,
    base: SystemTime,
    spans: &[SpanData],
    left_out: u64,
) -> String {
    let pid = std::process::id();
    let placed = place(spans, base);
    let tracks: BTreeSet<usize> = placed.iter().map(|it| it.track).collect();
    let mut json = Json::default();
    json.object(|json| {
        json.key("displayTimeUnit").string("ns");
        json.key("otherData").object(|json| {
            json.key("service.name").string(service);
            let epoch = base.duration_since(UNIX_EPOCH).unwrap_or_default();
            json.key("start_unix_nanos").display(epoch.as_nanos());
            json.key("spans_left_out").display(left_out);
        });
        json.key("traceEvents").array(|json| {
            metadata(json, (pid, 1), "process_name", |json| {
                json.key("name").string(service);
            });
            for track in tracks.into_iter().map(number) {
                metadata(json, (pid, track), "thread_name", |json| {
                    json.key("name").display(format_args!("track {track}"));
                });
                metadata(json, (pid, track), "thread_sort_index", |json| {
                    json.key("sort_index").integer(track);
                });
            }
            for it in &placed {
                span_event(json, pid, it);
                for event in &it.span.events.events {
                    json.object(|json| {
                        let time = nanos_since(event.timestamp, base);
                        head(json, (pid, number(it.track)), "i", &event.name, time);
                        json.key("s").string("t");
                        json.key("args")
                            .object(|json| attributes(json, &event.attributes));
                    });
                }
            }
        });
    });
    json.into_text()
}

/// The number of a track as a thread id. Perfetto reserves 0.
fn number(track: usize) -> u64 {
    track as u64 + 1
}

fn metadata(
    json: &mut Json,
    (pid, track): (u32, u64),
    name: &str,
    arguments: impl FnOnce(&mut Json),
) {
    json.object(|json| {
        json.key("ph").string("M");
        json.key("pid").integer(pid);
        json.key("tid").integer(track);
        json.key("name").string(name);
        json.key("args").object(arguments);
    });
}

/// Writes the members that all events in time have.
fn head(json: &mut Json, (pid, track): (u32, u64), phase: &str, name: &str, nanos: u64) {
    json.key("ph").string(phase);
    json.key("pid").integer(pid);
    json.key("tid").integer(track);
    json.key("ts").thousandths(nanos);
    json.key("name").string(name);
}

fn span_event(json: &mut Json, pid: u32, placed: &Placed<'_>) {
    let span = placed.span;
    json.object(|json| {
        head(
            json,
            (pid, number(placed.track)),
            "X",
            &span.name,
            placed.start,
        );
        json.key("dur").thousandths(placed.end - placed.start);
        json.key("cat").string(category(span));
        if matches!(span.status, Status::Error { .. }) {
            json.key("cname").string("terrible");
        }
        json.key("args").object(|json| {
            json.key("trace_id").display(span.span_context.trace_id());
            json.key("span_id").display(span.span_context.span_id());
            if span.parent_span_id != SpanId::INVALID {
                json.key("parent_span_id").display(span.parent_span_id);
            }
            if let Status::Error { description } = &span.status {
                json.key("error").string(description);
            }
            attributes(json, &span.attributes);
        });
    });
}

fn category(span: &SpanData) -> &'static str {
    let is_job = span
        .attributes
        .iter()
        .any(|attribute| attribute.key.as_str() == attribute::JOB_TYPE);
    if is_job {
        "job"
    } else {
        kind(&span.span_kind).unwrap_or("internal")
    }
}

fn attributes(json: &mut Json, attributes: &[KeyValue]) {
    for attribute in attributes {
        json.key(attribute.key.as_str());
        match &attribute.value {
            Value::Bool(value) => json.boolean(*value),
            Value::F64(number) => json.float(*number),
            // A larger number would be rounded.
            Value::I64(number) if number.unsigned_abs() < 1 << 53 => json.integer(*number),
            value => json.string(&value.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::Event;
    use serde_json::Value as Parsed;

    use super::super::super::trace_tree::tests::span;
    use super::*;

    #[test]
    fn every_event_has_the_members_that_the_trace_event_format_requires() {
        let mut failed = span("put articles", 2, 1, 1_700_000_000, 2);
        failed.status = Status::error("full");
        failed.attributes.push(KeyValue::new("error.type", "Full"));
        failed.attributes.push(KeyValue::new("rows", i64::MAX));
        let time = failed.start_time;
        failed.events.events = vec![Event::new("retry", time, Vec::new(), 0)];
        let spans = [span("load", 1, 0, 1_700_000_000, 5), failed];
        let text = trace_text("shelf", UNIX_EPOCH, &spans, 3);
        let trace: Parsed = serde_json::from_str(&text).expect("JSON");
        assert_eq!(trace["otherData"]["spans_left_out"], "3");
        let events = trace["traceEvents"].as_array().expect("events");
        for event in events {
            let phase = event["ph"].as_str().expect("a phase");
            assert!(["M", "X", "i"].contains(&phase), "{event}");
            assert!(event["pid"].is_u64() && event["tid"].is_u64(), "{event}");
            assert!(
                event["name"].is_string() && event["args"].is_object(),
                "{event}"
            );
            assert_eq!(event["ts"].is_number(), phase != "M", "{event}");
            assert_eq!(event["dur"].is_number(), phase == "X", "{event}");
            assert_eq!(event["s"] == "t", phase == "i", "{event}");
        }
        let put = events.iter().find(|it| it["name"] == "put articles");
        let put = put.expect("the span");
        assert_eq!(
            (&put["dur"], &put["cat"]),
            (&2.0.into(), &"internal".into())
        );
        assert_eq!(put["args"]["error"], "full");
        assert_eq!(put["args"]["rows"], i64::MAX.to_string());
        assert_eq!(put["args"]["parent_span_id"], "0000000000000001");
    }

    #[test]
    fn times_are_exact_to_the_nanosecond() {
        let mut json = Json::default();
        json.thousandths(86_400_000_000_007);
        assert_eq!(json.into_text(), "86400000000.007");
    }
}
