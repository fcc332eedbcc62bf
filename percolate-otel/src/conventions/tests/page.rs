//! `docs/conventions.md`, generated from the tables. A test writes the page or compares it.

use std::fmt::Write as _;
use std::fs;

use crate::conventions::*;

const HEAD: &str = "\
<!-- Generated from percolate-otel/src/conventions/.
     Update it with: PERCOLATE_UPDATE=1 cargo test -p percolate-otel --lib is_fresh -->

# Emitted names

Database names follow OpenTelemetry's semantic conventions 1.44. Names with the source *percolate*
are percolate's own, defined in `percolate-otel/semconv/` in the format of OpenTelemetry registries.
Attributes with *start* are set when the span is created, so that samplers see them. Integers are
exported as integers. [The checks][layer] compare telemetry with these names.

[layer]: layer.md

";

fn requirement(level: RequirementLevel) -> std::string::String {
    match level {
        RequirementLevel::Required => "**required**".to_owned(),
        RequirementLevel::ConditionallyRequired(condition) => condition.to_owned(),
        RequirementLevel::Recommended => "recommended".to_owned(),
        RequirementLevel::OptIn => "opt-in".to_owned(),
    }
}

fn of(source: Source) -> &'static str {
    match source {
        Source::OpenTelemetry => "OpenTelemetry",
        Source::Percolate => "percolate",
    }
}

fn uses(out: &mut std::string::String, attributes: &[AttributeUse], with_start: bool) {
    let (head, rule) = if with_start {
        (" start |", "---|")
    } else {
        ("", "")
    };
    let _ = writeln!(
        out,
        "| Attribute | Type | When |{head}\n|---|---|---|{rule}"
    );
    for used in attributes {
        let value_type =
            find_attribute(used.key).or(TEMPLATES.iter().find(|template| template.key == used.key));
        let value_type = value_type.map_or("any", |known| known.value_type.as_str());
        let _ = write!(
            out,
            "| `{}` | {value_type} | {} |",
            used.key,
            requirement(used.level)
        );
        if with_start {
            out.push_str(if used.at_start { " yes |" } else { " |" });
        }
        out.push('\n');
    }
    out.push('\n');
}

fn page() -> std::string::String {
    let mut out = HEAD.to_owned();
    out.push_str("## Spans\n\n");
    for span in [DB_SPAN, JOB_SPAN] {
        let _ = writeln!(
            out,
            "### `{}`\n\n{} Kind {}. Name: {}.\n",
            span.span_type,
            span.brief,
            span.kind.to_uppercase(),
            span.name
        );
        uses(&mut out, span.attributes, true);
    }
    out.push_str(
        "Opt-in attributes are recorded only if they are enabled. percolate enables \
         `db.response.returned_rows` and `db.response.affected_rows`.\n\n## Metrics\n\n",
    );
    for metric in METRICS {
        let _ = writeln!(
            out,
            "### `{}`\n\n{} A {} in `{}`; {}, {}.\n",
            metric.name,
            metric.brief,
            metric.instrument,
            metric.unit,
            metric.stability.as_str(),
            of(metric.source)
        );
        uses(&mut out, metric.attributes, false);
    }
    out.push_str(
        "## Attributes\n\n| Attribute | Type | Stability | Source | Meaning | Example |\n|---|---|---|---|---|---|\n",
    );
    for known in ATTRIBUTES {
        let value_type = if known.members.is_empty() {
            known.value_type.as_str().to_owned()
        } else {
            known
                .members
                .iter()
                .map(|member| format!("`{member}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let _ = writeln!(
            out,
            "| `{}` | {value_type} | {} | {} | {} | `{}` |",
            known.key,
            known.stability.as_str(),
            of(known.source),
            known.brief,
            known.example
        );
    }
    out.push_str("\n## Deprecated names\n\n| Deprecated | Replacement |\n|---|---|\n");
    for name in DEPRECATED.iter().chain(DEPRECATED_METRICS) {
        let instead = if name.instead.is_empty() {
            "none".to_owned()
        } else {
            format!("`{}`", name.instead)
        };
        let _ = writeln!(out, "| `{}` | {instead} |", name.key);
    }
    out
}

#[test]
fn the_page_of_names_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/conventions.md");
    if std::env::var_os("PERCOLATE_UPDATE").is_some() {
        fs::write(path, page()).expect("the page can be written");
    } else {
        let written = fs::read_to_string(path).expect("the page is there");
        assert!(
            written == page(),
            "docs/conventions.md is stale; run `PERCOLATE_UPDATE=1 cargo test -p percolate-otel --lib is_fresh`"
        );
    }
}
