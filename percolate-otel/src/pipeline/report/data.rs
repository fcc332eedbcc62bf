//! The data of the page as JSON. `script.js` shows it; the two change together.
//!
//! Times are milliseconds since the Unix epoch; durations are nanoseconds, and seconds in what comes
//! from histograms. Texts that occur often are numbers, the indexes of `texts`.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, Status};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;

use super::super::json::Json;
use super::super::operation_table::{OperationRow, OperationTable};
use super::super::signal::Signal;
use super::super::trace_tree::{TraceTree, TreeRow, is_error, kind, took};
use super::figures::{Figure, Figures, LastFigures};
use super::flame::{Flame, FlameNode};
use super::heat::Heat;
use super::kept::KeptTrace;
use super::limits::{TRACE_LEVELS, VALUE_LENGTH};
use super::losses::PipelineState;
use super::traces::Traces;
use crate::layer::{ConventionLayer, Place};
use crate::runtime::{HistogramData, UnsampledCalls};

/// Everything that a page shows.
pub(super) struct PageData<'a> {
    pub(super) resource: &'a Resource,
    pub(super) started: SystemTime,
    pub(super) now: SystemTime,
    pub(super) traces: &'a Traces,
    pub(super) heat: &'a Heat,
    pub(super) figures: &'a Figures,
    pub(super) last_figures: &'a LastFigures,
    pub(super) own: &'a [HistogramData],
    pub(super) unsampled: &'a UnsampledCalls,
    pub(super) conventions: Option<&'a ConventionLayer>,
    pub(super) pipeline: &'a PipelineState,
}

impl PageData<'_> {
    /// Returns the data as one JSON object.
    pub(super) fn to_json(&self) -> String {
        let (tables, own_values) = self.figures.tables(self.own);
        let mut json = Json::default();
        let mut texts = Texts::default();
        json.object(|json| {
            json.key("started").integer(millis(self.started));
            json.key("written").integer(millis(self.now));
            json.key("resource");
            attributes_as_text(
                json,
                self.resource
                    .iter()
                    .map(|(key, value)| (key.as_str(), value)),
            );
            json.key("operations");
            table(json, &tables.operations);
            json.key("jobs");
            table(json, &tables.jobs);
            json.key("heat").object(|json| heat(json, self.heat));
            json.key("traces")
                .object(|json| traces(json, &mut texts, self.traces));
            json.key("flame").object(|json| {
                let flame = &self.traces.flame;
                json.key("left_out").integer(flame.left_out);
                json.key("nodes")
                    .each(flame.below(flame.root()), |json, node| {
                        flame_node(json, flame, node);
                    });
            });
            json.key("unsampled").object(|json| self.unsampled(json));
            json.key("conventions");
            findings(json, self.conventions);
            json.key("metrics").object(|json| {
                json.key("left_out").integer(self.figures.left_out as u64);
                let values = self.figures.values.iter().chain(&own_values);
                let last = self.last_figures.without(&self.figures.values);
                let values = values
                    .map(|value| (value, false))
                    .chain(last.map(|value| (value, true)));
                json.key("values").each(values, figure);
            });
            json.key("pipeline")
                .object(|json| pipeline(json, self.pipeline));
            json.key("texts")
                .each(texts.list, |json, text| json.string(&text));
        });
        json.into_text()
    }

    fn unsampled(&self, json: &mut Json) {
        let (calls, left_out) = self.unsampled.copy();
        json.key("left_out").integer(left_out);
        json.key("calls").each(calls, |json, call| {
            json.object(|json| {
                json.key("failed").boolean(call.is_failed);
                json.key("operation").string(&call.operation);
                json.key("target").string(&call.target);
                if let Some(error_type) = &call.error_type {
                    json.key("error").string(error_type);
                }
                json.key("took").integer(call.nanos);
                json.key("end").integer(millis(call.end));
                if let Some(trace_id) = call.trace_id {
                    json.key("trace").display(format_args!("{trace_id:032x}"));
                }
            });
        });
    }
}

/// Texts by their index.
#[derive(Default)]
struct Texts {
    list: Vec<String>,
    index: HashMap<String, usize>,
}

impl Texts {
    fn write(&mut self, json: &mut Json, text: &str) {
        let known = self.index.get(text).copied();
        let at = known.unwrap_or_else(|| {
            self.list.push(text.to_owned());
            self.index.insert(text.to_owned(), self.list.len() - 1);
            self.list.len() - 1
        });
        json.integer(at as u64);
    }
}

fn table(json: &mut Json, table: &OperationTable) {
    json.each(&table.0, |json, ((first, second), row)| {
        json.object(|json| {
            json.key("name").string(first);
            json.key("target").string(second);
            table_row(json, row);
        });
    });
}

fn table_row(json: &mut Json, row: &OperationRow) {
    json.key("count").integer(row.count);
    json.key("errors").integer(row.errors);
    json.key("error_types")
        .each(&row.error_types, |json, (name, count)| {
            json.array(|json| {
                json.string(name);
                json.integer(*count);
            });
        });
    json.key("total").float(row.total);
    if let Some(rows) = row.rows {
        json.key("rows").integer(rows);
    }
    for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        if let Some(value) = row.spread.quantile(quantile) {
            json.key(name).float(value);
        }
    }
    if let Some(max) = row.spread.max {
        json.key("max").float(max);
    }
}

fn heat(json: &mut Json, heat: &Heat) {
    json.key("columns").each(&heat.columns, |json, column| {
        json.array(|json| {
            json.integer(millis(column.start));
            json.integer(millis(column.end));
        });
    });
    json.key("maps")
        .each(heat.maps.iter().enumerate(), |json, (at, map)| {
            json.object(|json| {
                json.key("job").boolean(map.is_job);
                if let Some((name, target)) = &map.names {
                    json.key("name").string(name);
                    json.key("target").string(target);
                }
                json.key("bounds")
                    .each(&map.bounds, |json, bound| json.float(*bound));
                // [column, failed calls, bucket, count, bucket, count, …]
                json.key("cells").array(|json| {
                    for (index, column) in heat.columns.iter().enumerate() {
                        let Some(cells) = column.cells(at) else {
                            continue;
                        };
                        json.array(|json| {
                            json.integer(index as u64);
                            json.integer(cells.failed);
                            let counts = cells.counts.iter().enumerate();
                            for (row, count) in counts.filter(|(_, count)| **count > 0) {
                                json.integer(row as u64);
                                json.integer(*count);
                            }
                        });
                    }
                });
            });
        });
}

fn traces(json: &mut Json, texts: &mut Texts, traces: &Traces) {
    let (open, open_spans) = traces.open_counts();
    let limits = traces.limits();
    for (name, number) in [
        ("seen", traces.ended),
        ("seen_spans", traces.arrived),
        ("kept_spans", traces.kept.spans() as u64),
        ("kept_bytes", traces.kept.bytes() as u64),
        ("open", open as u64),
        ("open_spans", open_spans as u64),
        ("limit_of_trace", limits.spans_of_trace as u64),
        ("limit_of_spans", limits.spans as u64),
        ("limit_of_bytes", limits.bytes as u64),
    ] {
        json.key(name).integer(number);
    }
    json.key("kept")
        .each(traces.kept.iter(), |json, (why, kept)| {
            json.object(|json| {
                json.key("why").string(why.as_str());
                trace(json, texts, kept);
            });
        });
}

fn trace(json: &mut Json, texts: &mut Texts, trace: &KeptTrace) {
    let start = trace.start.unwrap_or(UNIX_EPOCH);
    json.key("id").display(trace.id);
    json.key("name").string(&trace.name);
    json.key("start").integer(millis(start));
    json.key("took").integer(nanos(trace.duration));
    json.key("spans").integer(trace.spans.len() as u64);
    json.key("errors").integer(trace.errors as u64);
    if !trace.error.is_empty() {
        json.key("error").string(&trace.error);
    }
    json.key("complete").boolean(trace.is_complete);
    if trace.omitted.count() > 0 {
        json.key("omitted")
            .each(&trace.omitted.0, |json, (name, (count, total))| {
                json.array(|json| {
                    json.string(name);
                    json.integer(*count);
                    json.integer(nanos(*total));
                });
            });
    }
    let mut tree = TraceTree::new(&trace.spans);
    let tops = std::mem::take(&mut tree.tops);
    let mut lines = SpanLines { tree, texts, start };
    json.key("tree")
        .each(tops, |json, top| lines.span(json, top, 1));
}

/// Writes spans as objects with short names: `n` name, `s` start in the trace, `d` duration, `k`
/// kind, `e` 1 if it failed, `m` its message, `a` attributes, `v` events, `l` links, `i` span id, `p`
/// the id of a parent that is not in the trace, `r` 1 if that is remote, `c` the lines below. A line is
/// a span, or `f` with folded spans. `x` is the number of spans that are too deep.
struct SpanLines<'a, 't> {
    tree: TraceTree<'a>,
    texts: &'t mut Texts,
    start: SystemTime,
}

impl<'a> SpanLines<'a, '_> {
    fn span(&mut self, json: &mut Json, span: &'a SpanData, level: usize) {
        json.object(|json| {
            self.members(json, span);
            let is_top = level == 1;
            if is_top && span.parent_span_id != SpanId::INVALID {
                json.key("p").display(span.parent_span_id);
                if span.parent_span_is_remote {
                    json.key("r").integer(1);
                }
            }
            if level >= TRACE_LEVELS {
                let deeper = self.take_all_below(span);
                if deeper > 0 {
                    json.key("x").integer(deeper);
                }
                return;
            }
            let rows = self.tree.take_rows(span);
            if !rows.is_empty() {
                json.key("c").each(rows, |json, row| match row {
                    TreeRow::Span(child) => self.span(json, child, level + 1),
                    TreeRow::Folded(folded) => json.object(|json| {
                        json.key("f")
                            .each(folded, |json, child| self.span(json, child, level + 1));
                    }),
                });
            }
        });
    }

    /// Takes all spans below a span, and returns their number.
    fn take_all_below(&mut self, span: &SpanData) -> u64 {
        let mut waiting = self.tree.take_children(span);
        let mut number = 0;
        while let Some(span) = waiting.pop() {
            number += 1;
            waiting.append(&mut self.tree.take_children(span));
        }
        number
    }

    fn members(&mut self, json: &mut Json, span: &SpanData) {
        json.key("n");
        self.texts.write(json, &span.name);
        let offset = span
            .start_time
            .duration_since(self.start)
            .unwrap_or_default();
        json.key("s").integer(nanos(offset));
        json.key("d").integer(nanos(took(span)));
        json.key("i").display(span.span_context.span_id());
        if let Some(kind) = kind(&span.span_kind) {
            json.key("k");
            self.texts.write(json, kind);
        }
        if is_error(span) {
            json.key("e").integer(1);
        }
        if let Status::Error { description } = &span.status
            && !description.is_empty()
        {
            json.key("m").string(&cut(description));
        }
        if !span.attributes.is_empty() {
            json.key("a");
            self.attributes(json, &span.attributes);
        }
        let events = &span.events.events;
        if !events.is_empty() {
            json.key("v").each(events, |json, event| {
                json.array(|json| {
                    self.texts.write(json, &event.name);
                    let offset = event.timestamp.duration_since(self.start);
                    json.integer(nanos(offset.unwrap_or_default()));
                    self.attributes(json, &event.attributes);
                });
            });
        }
        let links = &span.links.links;
        if !links.is_empty() {
            json.key("l").each(links, |json, link| {
                json.array(|json| {
                    json.display(link.span_context.trace_id());
                    json.display(link.span_context.span_id());
                });
            });
        }
    }

    /// Writes `[key, value, key, value, …]`. A value is the index of a text, or an array with one
    /// number or boolean.
    fn attributes(&mut self, json: &mut Json, attributes: &[KeyValue]) {
        json.array(|json| {
            for attribute in attributes {
                self.texts.write(json, attribute.key.as_str());
                match &attribute.value {
                    Value::I64(number) => json.array(|json| json.integer(*number)),
                    Value::F64(number) => json.array(|json| json.float(*number)),
                    Value::Bool(value) => json.array(|json| json.boolean(*value)),
                    value => self.texts.write(json, &text(value)),
                }
            }
        });
    }
}

fn flame_node(json: &mut Json, flame: &Flame, node: &FlameNode) {
    json.object(|json| {
        json.key("n").string(&node.name);
        json.key("c").integer(node.count);
        json.key("t").integer(nanos(node.total));
        json.key("o").integer(nanos(node.own));
        if node.errors > 0 {
            json.key("e").integer(node.errors);
        }
        let below = flame.below(node);
        if !below.is_empty() {
            json.key("b")
                .each(below, |json, below| flame_node(json, flame, below));
        }
    });
}

/// Writes the findings of the Layer, or `null` if it does not check.
fn findings(json: &mut Json, conventions: Option<&ConventionLayer>) {
    let Some(conventions) = conventions else {
        return json.float(f64::NAN);
    };
    let report = conventions.report();
    json.object(|json| {
        json.key("spans").integer(report.spans);
        json.key("call_sites").integer(report.call_sites as u64);
        json.key("findings")
            .each(report.findings(), |json, finding| {
                json.object(|json| {
                    json.key("level").string(finding.level.as_str());
                    json.key("rule").string(finding.rule.id());
                    json.key("message").string(&finding.message);
                    json.key("help").string(&finding.help);
                    json.key("count").integer(finding.count);
                    match &finding.place {
                        Place::CallSite {
                            span, file, line, ..
                        } => {
                            json.key("span").string(span);
                            if let Some(file) = file {
                                json.key("file").string(file);
                                json.key("line").integer(line.unwrap_or(0));
                            }
                        }
                        Place::Metric { name, .. } => json.key("metric").string(name),
                    }
                });
            });
    });
}

fn figure(json: &mut Json, (figure, has_ended): (&Figure, bool)) {
    json.object(|json| {
        if has_ended {
            json.key("ended").boolean(true);
        }
        json.key("name").string(&figure.metric);
        json.key("unit").string(&figure.unit);
        json.key("value").float(figure.value);
        if let Some(count) = figure.count {
            json.key("count").integer(count);
        }
        json.key("attributes");
        let attributes = figure.attributes.iter();
        attributes_as_text(
            json,
            attributes.map(|attribute| (attribute.key.as_str(), &attribute.value)),
        );
    });
}

fn pipeline(json: &mut Json, state: &PipelineState) {
    json.key("lost").integer(state.lost_spans());
    json.key("recorded").integer(state.recorded_spans);
    json.key("dropped_records").integer(state.dropped_records);
    json.key("dropped_after_shutdown")
        .integer(state.dropped_after_shutdown);
    json.key("sampler").string(&state.sampler);
    json.key("last").boolean(state.is_last);
    json.key("warnings")
        .each(&state.warnings, |json, warning| json.string(warning));
    json.key("exporters")
        .each(&state.exporters, |json, (signal, to, counts)| {
            json.object(|json| {
                json.key("signal").string(signal.name());
                json.key("items").string(match signal {
                    Signal::Metrics => "exports",
                    Signal::Traces | Signal::Logs => signal.items(),
                });
                json.key("to").string(to);
                for (name, count) in [
                    ("exported", counts.exported),
                    ("failed", counts.failed),
                    ("queue_full", counts.dropped_queue_full),
                    ("at_shutdown", counts.dropped_at_shutdown),
                    ("after_shutdown", counts.dropped_after_shutdown),
                    (
                        "waiting",
                        counts.buffered + counts.queued + counts.in_flight,
                    ),
                ] {
                    json.key(name).integer(count);
                }
                if let Some(error) = &counts.last_error {
                    json.key("error").string(error);
                }
            });
        });
}

fn attributes_as_text<'a>(json: &mut Json, attributes: impl Iterator<Item = (&'a str, &'a Value)>) {
    let mut attributes: Vec<_> = attributes.collect();
    attributes.sort_by_key(|(key, _)| *key);
    json.each(attributes, |json, (key, value)| {
        json.array(|json| {
            json.string(key);
            json.string(&text(value));
        });
    });
}

/// Returns a value as text of a limited length.
fn text(value: &Value) -> String {
    match value {
        Value::Array(Array::String(texts)) => {
            let texts: Vec<_> = texts.iter().map(StringValue::as_str).collect();
            cut(&texts.join(", "))
        }
        value => cut(&value.as_str()),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
