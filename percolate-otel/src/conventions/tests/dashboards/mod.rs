//! `dashboards/`, generated from the table of metrics: a dashboard of Grafana and rules of
//! Prometheus. Tests write the files or compare them, and promtool runs the rules.
#![expect(clippy::print_stderr, reason = "a test reports that it is skipped")]

mod grafana;
mod panels;
mod prometheus;
mod rules;
mod scenarios;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::conventions::{METRICS, attribute, find_attribute};
use crate::metrics::{JOB_BOUNDS, STORAGE_BOUNDS};

const DASHBOARD: &str = "dashboards/percolate.json";
const RULES: &str = "dashboards/percolate-rules.yaml";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn compare(path: &str, expected: &str) {
    let file = repository(path);
    if std::env::var_os("PERCOLATE_UPDATE").is_some() {
        fs::write(file, expected).expect("the file can be written");
    } else {
        let written = fs::read_to_string(file).expect("the file is there");
        assert!(
            written == expected,
            "{path} is stale; run `PERCOLATE_UPDATE=1 cargo test -p percolate-otel --lib is_fresh`"
        );
    }
}

#[test]
fn the_dashboard_is_fresh() {
    compare(DASHBOARD, &grafana::file());
}

#[test]
fn the_file_of_rules_is_fresh() {
    compare(RULES, &rules::file());
}

/// The strings of all members with this name.
fn members<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if let (true, Some(text)) = (key == name, value.as_str()) {
                    found.push(text);
                }
                members(value, name, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| members(item, name, found)),
        _ => {}
    }
}

/// The expressions of the panels, as committed.
fn expressions(dashboard: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    members(dashboard, "expr", &mut found);
    found
}

fn committed_dashboard() -> Value {
    let text = fs::read_to_string(repository(DASHBOARD)).expect("the dashboard is there");
    serde_json::from_str(&text).expect("it is JSON")
}

/// The expressions of the rules, as committed, and the names of the recorded series.
fn committed_rules() -> (String, BTreeSet<String>) {
    let text = fs::read_to_string(repository(RULES)).expect("the rules are there");
    let recorded = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "));
    let recorded = recorded.map(str::to_owned).collect();
    let mut expressions = String::new();
    let mut inside = false;
    for line in text.lines() {
        inside = line.ends_with("expr: |-") || (inside && line.starts_with("          "));
        if inside && !line.ends_with("expr: |-") {
            _ = writeln!(expressions, "{line}");
        }
    }
    (expressions, recorded)
}

/// Reads the names of series and the names of labels in an expression.
fn names(expression: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    const WORDS: [&str; 5] = ["and", "offset", "or", "sum", "unless"];
    let (mut series, mut labels) = (BTreeSet::new(), BTreeSet::new());
    let mut rest = expression;
    let mut in_labels = false;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let end = rest[1..].find('"').expect("strings are closed");
            rest = &rest[end + 2..];
        } else if first == '[' {
            let end = rest.find(']').expect("ranges are closed");
            rest = &rest[end + 1..];
        } else if first.is_ascii_digit() {
            // A number or duration, with its unit or exponent.
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.');
            rest = &rest[end.unwrap_or(rest.len())..];
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|letter: char| {
                !letter.is_ascii_alphanumeric() && letter != '_' && letter != ':'
            });
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            if word == "by" || word == "without" {
                in_labels = true;
            } else if in_labels {
                labels.insert(word.to_owned());
            } else if !WORDS.contains(&word) && !after.starts_with('(') {
                series.insert(word.to_owned());
            }
            rest = after;
        } else {
            match first {
                '{' => in_labels = true,
                '}' | ')' => in_labels = false,
                _ => {}
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    (series, labels)
}

#[test]
fn names_in_an_expression_are_found() {
    let (series, labels) = names(
        r#"histogram_quantile(0.99, sum by (le, job) (rate(a_bucket{b!="c d"}[5m]))) > 1e6 and e:f:g unless h offset 15m"#,
    );
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(series, set(&["a_bucket", "e:f:g", "h"]));
    assert_eq!(labels, set(&["b", "job", "le"]));
}

/// The series of all metrics.
fn known_series() -> BTreeSet<String> {
    METRICS.iter().flat_map(prometheus::series).collect()
}

/// The labels of all attributes of metrics, and those that Prometheus adds.
fn known_labels() -> BTreeSet<String> {
    METRICS
        .iter()
        .flat_map(|metric| metric.attributes)
        .map(|used| prometheus::label(used.key))
        .chain(["job", "instance", "le"].map(str::to_owned))
        .collect()
}

#[test]
fn every_metric_is_on_a_panel() {
    let dashboard = committed_dashboard();
    let shown: BTreeSet<String> = expressions(&dashboard)
        .into_iter()
        .flat_map(|expression| names(expression).0)
        .collect();
    for metric in METRICS {
        assert!(
            prometheus::series(metric)
                .iter()
                .any(|series| shown.contains(series)),
            "no panel shows `{}`",
            metric.name
        );
    }
}

#[test]
fn panels_and_variables_name_metrics_and_labels_of_the_table_only() {
    let dashboard = committed_dashboard();
    let mut queries = expressions(&dashboard);
    assert!(queries.len() >= METRICS.len() - 5, "{}", queries.len());
    let mut variables = Vec::new();
    members(&dashboard["templating"], "definition", &mut variables);
    assert_eq!(variables.len(), 3);
    let inside = |definition: &str| {
        let arguments = definition
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|arguments| arguments.rsplit_once(", "))
            .unwrap_or_else(|| panic!("{definition} has a series and a label"));
        format!("sum by ({}) ({})", arguments.1, arguments.0)
    };
    let variables: Vec<String> = variables.into_iter().map(inside).collect();
    queries.extend(variables.iter().map(String::as_str));
    for query in queries {
        let (series, labels) = names(query);
        assert!(!series.is_empty(), "{query}");
        assert!(series.is_subset(&known_series()), "{query}: {series:?}");
        assert!(labels.is_subset(&known_labels()), "{query}: {labels:?}");
    }
    let mut legends = Vec::new();
    members(&dashboard, "legendFormat", &mut legends);
    for legend in legends {
        for label in legend.split("{{").skip(1) {
            let label = label.split("}}").next().expect("a part");
            assert!(known_labels().contains(label), "{legend}");
        }
    }
}

#[test]
fn a_line_is_distinguished_by_attributes_that_its_metric_has() {
    for query in panels::ROWS
        .iter()
        .flat_map(|row| row.panels)
        .flat_map(|panel| panel.queries)
    {
        let metric = prometheus::definition(query.metric);
        for key in query.by {
            assert!(find_attribute(key).is_some(), "{key}");
            let has = metric.attributes.iter().any(|used| used.key == *key);
            assert!(has, "`{}` has no `{key}`", query.metric);
        }
    }
}

#[test]
fn rules_name_metrics_and_labels_of_the_table_only() {
    let (expressions, recorded) = committed_rules();
    let (series, labels) = names(&expressions);
    assert!(!recorded.is_empty());
    let known = &known_series() | &recorded;
    assert!(series.is_subset(&known), "{:?}", &series - &known);
    assert!(labels.is_subset(&known_labels()), "{labels:?}");
    assert!(labels.contains(&prometheus::label(attribute::ERROR_TYPE)));
    for name in &recorded {
        assert!(series.contains(name), "no alert uses {name}");
    }
}

#[test]
fn a_threshold_of_a_percentile_lies_below_the_last_bound_of_its_histogram() {
    // The percentile of what is above the last bound is that bound.
    let mut compared = 0;
    for alert in rules::alerts() {
        let Some((metric, threshold)) = alert.percentile else {
            continue;
        };
        let bounds: &[f64] = match metric {
            crate::conventions::metric::JOB_DURATION => &JOB_BOUNDS,
            _ => &STORAGE_BOUNDS,
        };
        assert!(bounds.contains(&threshold), "{}: {threshold}", alert.name);
        assert!(bounds.last().is_some_and(|last| threshold < *last));
        compared += 1;
    }
    assert_eq!(compared, 2);
}

#[test]
fn every_alert_has_a_scenario_in_which_it_fires_and_one_in_which_it_does_not() {
    for alert in rules::alerts() {
        let of = |fires: bool| {
            scenarios::SCENARIOS
                .iter()
                .any(|scenario| scenario.alert == alert.name && scenario.fires.is_some() == fires)
        };
        assert!(of(true) && of(false), "{}", alert.name);
    }
    for recording in rules::recordings() {
        let is_tested = scenarios::SCENARIOS
            .iter()
            .flat_map(|scenario| scenario.values)
            .any(|(recorded, ..)| *recorded == recording.record);
        assert!(is_tested, "{}", recording.record);
    }
}

#[test]
fn the_documentation_describes_every_alert() {
    let page = fs::read_to_string(repository("docs/pipeline.md")).expect("the page is there");
    let alerts: String = rules::alerts()
        .iter()
        .fold(String::new(), |mut out, alert| {
            _ = writeln!(
                out,
                "| `{}` | {} | {} |",
                alert.name, alert.condition, alert.meaning
            );
            out
        });
    assert!(page.contains(&alerts), "docs/pipeline.md needs:\n{alerts}");
}

/// Runs promtool, or returns `false` if it is not installed.
fn promtool(arguments: &[&str], files: &[&Path]) -> bool {
    let Ok(out) = Command::new("promtool")
        .args(arguments)
        .args(files)
        .output()
    else {
        eprintln!("skipped: promtool is not installed; `scripts/setup.sh tools` installs it");
        return false;
    };
    assert!(
        out.status.success(),
        "promtool {arguments:?}: {}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    true
}

#[test]
fn promtool_accepts_the_rules() {
    promtool(&["check", "rules"], &[&repository(RULES)]);
}

#[test]
fn alerts_fire_and_stay_quiet_as_the_scenarios_expect() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = fs::canonicalize(repository(RULES)).expect("the rules are there");
    let file = folder.path().join("scenarios.yaml");
    fs::write(&file, scenarios::file(&rules.to_string_lossy())).expect("it can be written");
    promtool(&["test", "rules"], &[&file]);
}

#[test]
fn promtool_accepts_the_expressions_of_the_panels() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("panels.yaml");
    let dashboard = committed_dashboard();
    let mut text = "groups:\n  - name: panels\n    rules:\n".to_owned();
    for (index, expression) in expressions(&dashboard).into_iter().enumerate() {
        let expression = expression.replace("$__rate_interval", "5m");
        _ = writeln!(
            text,
            "      - record: panel:{index}\n        expr: {}",
            rules::quoted(&expression)
        );
    }
    fs::write(&file, text).expect("it can be written");
    promtool(&["check", "rules"], &[&file]);
}
