//! The dashboard of `panels` as JSON for Grafana.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::panels::{Panel, Query, ROWS, View};
use super::prometheus::{definition, label, name};
use crate::conventions::{MetricDef, attribute, metric};

/// The width of the grid, and the size of a panel in it.
const COLUMNS: usize = 24;
const WIDTH: usize = 8;
const HEIGHT: usize = 8;

/// Returns the file, with the members of objects in alphabetical order: their order in memory
/// depends on a feature of `serde_json`.
pub(super) fn file() -> String {
    let mut text = serde_json::to_string_pretty(&sorted(dashboard())).expect("it is JSON");
    text.push('\n');
    text
}

fn dashboard() -> Value {
    json!({
        "uid": "percolate",
        "title": "percolate",
        "description": "Generated from percolate-otel/src/conventions.",
        "tags": ["percolate", "opentelemetry", "rocksdb"],
        "schemaVersion": 39,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": variables()},
        "panels": panels(),
    })
}

/// The data source, and the filters of all panels.
fn variables() -> Vec<Value> {
    let operations = format!(
        "{}_count",
        name(definition(metric::DB_CLIENT_OPERATION_DURATION))
    );
    let namespace = label(attribute::DB_NAMESPACE);
    let filter = |variable: &str, title: &str, query: String| {
        json!({
            "type": "query",
            "name": variable,
            "label": title,
            "datasource": datasource(),
            "definition": query,
            "query": {"query": query, "refId": variable},
            "refresh": 2,
            "sort": 1,
            "multi": true,
            "includeAll": true,
            // Series without the label are included.
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
        })
    };
    vec![
        json!({
            "type": "datasource",
            "name": "datasource",
            "label": "Data source",
            "query": "prometheus",
        }),
        filter("job", "Service", format!("label_values({operations}, job)")),
        filter(
            "instance",
            "Instance",
            format!("label_values({operations}{{job=~\"$job\"}}, instance)"),
        ),
        filter(
            "namespace",
            "Database",
            format!("label_values({operations}{{job=~\"$job\"}}, {namespace})"),
        ),
    ]
}

fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn panels() -> Vec<Value> {
    let mut panels = Vec::new();
    let mut top = 0;
    for row in ROWS {
        panels.push(json!({
            "type": "row",
            "id": panels.len() + 1,
            "title": row.title,
            "collapsed": false,
            "panels": [],
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
        }));
        top += 1;
        for (index, panel) in row.panels.iter().enumerate() {
            let column = index * WIDTH % COLUMNS;
            if index > 0 && column == 0 {
                top += HEIGHT;
            }
            panels.push(chart(panel, panels.len() + 1, column, top));
        }
        top += HEIGHT;
    }
    panels
}

fn chart(panel: &Panel, id: usize, x: usize, y: usize) -> Value {
    let units: Vec<&str> = panel.queries.iter().map(unit).collect();
    let unit = units[0];
    assert!(
        units.iter().all(|other| *other == unit),
        "`{}` has one axis for {units:?}",
        panel.title
    );
    json!({
        "type": "timeseries",
        "id": id,
        "title": panel.title,
        "description": description(panel),
        "datasource": datasource(),
        "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 8, "showPoints": "never"}},
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": panel.queries.iter().enumerate().map(|(index, query)| target(query, index)).collect::<Vec<_>>(),
    })
}

fn target(query: &Query, index: usize) -> Value {
    let letter = char::from(b'A' + u8::try_from(index).expect("a chart has few queries"));
    json!({
        "refId": letter.to_string(),
        "datasource": datasource(),
        "expr": expression(query),
        "legendFormat": legend(query),
        "exemplar": matches!(query.view, View::Percentile(_)),
        "range": true,
    })
}

/// The names and descriptions of the metrics, which the dashboard is searched for.
fn description(panel: &Panel) -> String {
    let mut metrics: Vec<&str> = panel.queries.iter().flat_map(metrics).collect();
    metrics.dedup();
    let mut parts: Vec<String> = metrics
        .into_iter()
        .map(|metric| format!("`{metric}`: {}", definition(metric).brief))
        .collect();
    if !panel.note.is_empty() {
        parts.push(panel.note.to_owned());
    }
    parts.join("\n\n")
}

fn metrics(query: &Query) -> Vec<&'static str> {
    match query.view {
        View::Share(other) => vec![query.metric, other],
        _ => vec![query.metric],
    }
}

/// The unit of Grafana for what a query returns.
fn unit(query: &Query) -> &'static str {
    let is_duration = query.metric == metric::DB_CLIENT_OPERATION_DURATION;
    match (query.view, definition(query.metric).unit) {
        (View::Share(_), _) | (View::Rate, "s") if !is_histogram(query.metric) => "percentunit",
        (View::Rate | View::FailureRate, _) if is_duration => "ops",
        (View::Rate | View::SumRate, "By") => "binBps",
        (View::Rate | View::FailureRate | View::SumRate, _) => "cps",
        (_, "s") => "s",
        (_, "By") => "bytes",
        (_, unit) if unit.starts_with('{') => "short",
        (_, unit) => panic!("the unit `{unit}` has no unit of Grafana here"),
    }
}

fn is_histogram(metric: &str) -> bool {
    definition(metric).instrument == "histogram"
}

fn legend(query: &Query) -> String {
    let labels = query.by.iter().map(|key| format!("{{{{{}}}}}", label(key)));
    let legend = (!query.legend.is_empty()).then(|| query.legend.to_owned());
    legend
        .into_iter()
        .chain(labels)
        .collect::<Vec<_>>()
        .join(" ")
}

fn expression(query: &Query) -> String {
    let metric = definition(query.metric);
    let by: Vec<String> = query.by.iter().map(|key| label(key)).collect();
    let by = by.join(", ");
    let rate = |metric: &MetricDef, suffix: &str, more: &str| {
        format!(
            "rate({}{suffix}{{{}{more}}}[$__rate_interval])",
            name(metric),
            filters(metric)
        )
    };
    let count = if metric.instrument == "histogram" {
        "_count"
    } else {
        ""
    };
    match query.view {
        View::Value => format!("sum by ({by}) ({}{{{}}})", name(metric), filters(metric)),
        View::Rate => format!("sum by ({by}) ({})", rate(metric, count, "")),
        View::FailureRate => {
            let failed = format!(", {}!=\"\"", label(attribute::ERROR_TYPE));
            format!("sum by ({by}) ({})", rate(metric, count, &failed))
        }
        View::SumRate => format!("sum by ({by}) ({})", rate(metric, "_sum", "")),
        View::Percentile(percent) => format!(
            "histogram_quantile(0.{percent}, sum by (le, {by}) ({}))",
            rate(metric, "_bucket", "")
        ),
        View::Share(other) => {
            let other = rate(definition(other), "", "");
            let this = rate(metric, "", "");
            format!("sum by ({by}) ({this}) / (sum by ({by}) ({this}) + sum by ({by}) ({other}))")
        }
    }
}

/// The filters by the variables of the dashboard.
fn filters(metric: &MetricDef) -> String {
    let mut filters = "job=~\"$job\", instance=~\"$instance\"".to_owned();
    let has_namespace = metric
        .attributes
        .iter()
        .any(|used| used.key == attribute::DB_NAMESPACE);
    if has_namespace {
        let namespace = label(attribute::DB_NAMESPACE);
        _ = write!(filters, ", {namespace}=~\"$namespace\"");
    }
    filters
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().collect();
            members.sort_by(|(left, _), (right, _)| left.cmp(right));
            let members = members.into_iter().map(|(key, value)| (key, sorted(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
