//! `docs/conventions.md`: the tables as a page. A test writes it or holds it to the tables.

use std::fmt::Write as _;
use std::fs;

use super::*;

const HEAD: &str = "\
<!-- Generated from percolate-core/src/otel/conventions.rs, which a test holds to percolate-core/semconv/.
     Write it anew with: PERCOLATE_UPDATE=1 cargo test -p percolate-core --lib is_fresh -->

# Names percolate emits

Database names follow OpenTelemetry's semantic conventions 1.44. Names marked *percolate* are its own, declared in
`percolate-core/semconv/` in the format of OpenTelemetry registries. Attributes marked *start* are there when the span
is created, for samplers to see; integers are exported as integers. How telemetry is held to this page:
[checking telemetry](layer.md).

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
        "The conventions forbid opt-in attributes until someone asks for them; percolate asks for \
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
        "## Attributes\n\n| Attribute | Type | Stability | By | What it says | Example |\n|---|---|---|---|---|---|\n",
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
    out.push_str("\n## Names of yesterday\n\n| Not this | but this |\n|---|---|\n");
    for name in DEPRECATED.iter().chain(DEPRECATED_METRICS) {
        let instead = if name.instead.is_empty() {
            "nothing".to_owned()
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
            "docs/conventions.md is stale; run `PERCOLATE_UPDATE=1 cargo test -p percolate-core --lib is_fresh`"
        );
    }
}
