//! Registries of users, and percolate's own registry file.

use super::*;
use crate::conventions::{self, RequirementLevel, Source};
use crate::layer::{ConventionLayer, Level};

const SHOP: &str = r#"
file_format: definition/2
attributes:
  - key: shop.order.id
    type: string
    stability: stable
    brief: The order.
  - key: shop.order.items
    type: int
    stability: stable
    brief: How many items it has.
  - key: shop.order.state
    stability: stable
    brief: What became of it.
    type:
      members:
        - {id: placed, value: placed, stability: stable, brief: It waits.}
        - {id: sent, value: sent, stability: stable, brief: It is on its way.}
  - key: shop.order.number
    type: int
    stability: stable
    brief: The old name.
    deprecated:
      reason: renamed
      renamed_to: shop.order.id
  - key: shop.label
    type: template[string]
    stability: stable
    brief: Labels.
attribute_groups:
  - id: shop.order
    visibility: internal
    stability: stable
    brief: What every order has.
    attributes:
      - ref: shop.order.id
        requirement_level: required
        sampling_relevant: true
spans:
  - type: shop.order.place
    kind: producer
    stability: stable
    brief: Placing an order.
    name:
      note: "`place order`"
    attributes:
      - ref_group: shop.order
      - ref: shop.order.items
        requirement_level: recommended
      - ref: shop.order.state
      - ref: http.route
metrics:
  - name: shop.order.value
    instrument: histogram
    unit: EUR
    stability: stable
    brief: What orders are worth.
    attributes:
      - ref: shop.order.state
        requirement_level: required
"#;

fn shop() -> Registry {
    let mut registry = Registry::builtin();
    read(&[("shop.yaml".to_owned(), SHOP.to_owned())], &mut registry)
        .expect("the registry is valid");
    registry
}

fn error(text: &str) -> String {
    let error = ConventionLayer::builder()
        .registry_str("shop.yaml", text)
        .expect_err("the registry is invalid");
    error.to_string()
}

#[test]
fn a_registry_defines_attributes_spans_and_metrics() {
    let registry = shop();
    assert_eq!(
        registry
            .attribute("shop.order.items")
            .map(|known| known.value_type),
        Some(ValueType::Int)
    );
    assert_eq!(
        registry
            .attribute("shop.order.state")
            .map(|known| known.members.len()),
        Some(2)
    );
    assert!(registry.attribute("shop.label.colour").is_some());
    assert_eq!(
        registry
            .deprecated
            .get("shop.order.number")
            .map(AsRef::as_ref),
        Some("shop.order.id")
    );
    assert!(registry.owns("shop.anything"));
    assert_eq!(registry.metrics["shop.order.value"].unit, "EUR");
    let span = registry.spans.last().expect("the registry has a span");
    assert_eq!(
        (
            span.name.as_ref(),
            span.kind.as_ref(),
            span.attributes.len()
        ),
        ("shop.order.place", "producer", 4)
    );
    assert_eq!(span.attributes[0].requirement, Requirement::Required);
    assert!(span.attributes[0].at_start);
}

#[test]
fn spans_of_a_registry_are_selected_by_its_own_attributes() {
    let registry = shop();
    let claim = |fields: &[&str]| {
        registry
            .claim("app", fields)
            .map(|index| registry.spans[index].name.to_string())
    };
    assert_eq!(
        claim(&["shop.order.id"]).as_deref(),
        Some("shop.order.place")
    );
    assert_eq!(
        claim(&["shop.order.items"]).as_deref(),
        Some("shop.order.place")
    );
    assert_eq!(claim(&["http.route"]), None);
    assert_eq!(claim(&["shop.label.colour"]), None);
}

#[test]
fn spans_of_a_registry_are_checked() {
    use tracing_subscriber::layer::SubscriberExt as _;
    let conventions = ConventionLayer::builder()
        .registry_str("shop.yaml", SHOP)
        .expect("the registry is valid")
        .build();
    let subscriber = tracing_subscriber::registry().with(conventions.layer());
    tracing::subscriber::with_default(subscriber, || {
        drop(tracing::info_span!(
            "place order",
            otel.kind = "producer",
            shop.order.id = "a",
            shop.order.items = 1_i64,
            shop.order.state = "placed"
        ));
        drop(tracing::info_span!(
            "place order",
            otel.kind = "client",
            shop.order.items = "one",
            shop.order.state = "lost",
            shop.order.sum = 1_i64,
            shop.order.number = 1_i64
        ));
    });
    let report = conventions.report();
    let found: Vec<String> = report
        .findings()
        .iter()
        .filter(|finding| finding.level > Level::Information)
        .map(|finding| format!("{} {}", finding.rule.id(), finding.subject))
        .collect();
    assert_eq!(
        found,
        [
            "required_attribute_not_present shop.order.id",
            "type_mismatch shop.order.items",
            "missing_attribute shop.order.sum",
            "deprecated shop.order.number",
            "undefined_enum_variant shop.order.state",
            "unexpected_span_kind otel.kind",
        ]
    );
    assert_eq!(report.spans, 2);
}

#[test]
fn names_of_a_registry_are_known_on_database_spans_too() {
    let registry = shop();
    assert!(registry.attribute("shop.order.id").is_some());
    assert_eq!(registry.claim("percolate::db", &["shop.order.id"]), Some(0));
}

#[test]
fn mistakes_have_a_file_and_a_line() {
    for (text, expected) in [
        (
            "attributes: []",
            "shop.yaml:1: the format is missing; expected `file_format: definition/2`",
        ),
        (
            "file_format: definition/1",
            "shop.yaml:1: this format is not supported; expected `file_format: definition/2`",
        ),
        (
            "groups: []",
            "shop.yaml:1: `groups` is a key of the older format; use `file_format: definition/2` and its keys",
        ),
        (
            "file_format: definition/2\nmetric: []",
            "shop.yaml:2: unknown key `metric` of a registry file",
        ),
        (
            "file_format: definition/2\nspans: 3",
            "shop.yaml:2: `spans` must be a list",
        ),
        (
            "file_format: definition/2\nspans: ]",
            "shop.yaml:2: this is not valid YAML",
        ),
    ] {
        assert!(error(text).starts_with(expected), "{}", error(text));
    }
    let attribute =
        |lines: &str| error(&format!("file_format: definition/2\nattributes:\n{lines}"));
    for (lines, expected) in [
        (
            "  - key: shop.x\n    typ: int\n",
            "shop.yaml:4: unknown key `typ` of an attribute",
        ),
        (
            "  - key: shop.x\n    type: u64\n    stability: stable\n    brief: b\n",
            "shop.yaml:4: `u64` is not a valid type",
        ),
        (
            "  - key: shop.x\n    type: int\n    stability: new\n",
            "shop.yaml:5: `new` is not a valid stability",
        ),
        (
            "  - key: shop.x\n    type: int\n    stability: stable\n",
            "shop.yaml:3: an attribute has no `brief`",
        ),
        (
            "  - key: ShopX\n    type: int\n",
            "shop.yaml:3: `ShopX` is not a valid attribute name",
        ),
        (
            "  - key: db.namespace\n    type: int\n",
            "shop.yaml:3: `db.namespace` is already defined",
        ),
    ] {
        assert!(
            attribute(lines).starts_with(expected),
            "{}",
            attribute(lines)
        );
    }
    let hint = attribute("  - key: shop.x\n    typ: int\n");
    assert!(hint.ends_with("(did you mean `type`?)"), "{hint}");
    let reference = error(&SHOP.replace("- ref: shop.order.items", "- ref: shop.order.item"));
    assert!(
        reference.contains(
            "the attribute `shop.order.item` is not defined (did you mean `shop.order.items`?)"
        ),
        "{reference}"
    );
    let level = error(&SHOP.replace(
        "requirement_level: recommended",
        "requirement_level: wanted",
    ));
    assert!(
        level.contains("`wanted` is not a valid requirement level"),
        "{level}"
    );
}

#[test]
fn a_folder_is_read_as_one_registry() {
    let folder = tempfile::tempdir().expect("the folder is created");
    let empty = ConventionLayer::builder()
        .registry(folder.path())
        .expect_err("it is empty");
    assert!(matches!(empty, RegistryError::Empty { .. }));
    let (attributes, spans) =
        SHOP.split_at(SHOP.find("attribute_groups:").expect("there are groups"));
    fs::write(
        folder.path().join("a.yaml"),
        format!("file_format: definition/2\n{spans}"),
    )
    .expect("it is written");
    fs::write(folder.path().join("b.yaml"), attributes).expect("it is written");
    fs::write(
        folder.path().join("manifest.yaml"),
        "description: no registry file",
    )
    .expect("it is written");
    let builder = ConventionLayer::builder()
        .registry(folder.path())
        .expect("the files belong together");
    assert_eq!(builder.registry.spans.len(), 3);
    let missing = ConventionLayer::builder()
        .registry(folder.path().join("c.yaml"))
        .expect_err("it is missing");
    assert!(
        missing.to_string().starts_with("cannot read the registry "),
        "{missing}"
    );
}

/// Reads percolate's own registry like a user's, on top of the official names.
fn own() -> Registry {
    let mut registry = Registry::builtin();
    let official = |key: &str| {
        conventions::find_attribute(key).is_some_and(|known| known.source == Source::OpenTelemetry)
    };
    registry.attributes.retain(|key, _| official(key));
    registry.metrics.retain(|name, _| {
        conventions::METRICS
            .iter()
            .chain(conventions::OTHER_METRICS)
            .any(|known| known.name == name && known.source == Source::OpenTelemetry)
    });
    registry.spans.clear();
    let text = include_str!("../../../semconv/percolate.yaml").to_owned();
    read(&[("percolate.yaml".to_owned(), text)], &mut registry)
        .expect("percolate's registry is valid");
    registry
}

fn same_uses(ours: &[conventions::AttributeUse], theirs: &[Use], what: &str) {
    let ours: Vec<(&str, Requirement, bool)> = ours
        .iter()
        .map(|used| (used.key, used.level.into(), used.at_start))
        .collect();
    let theirs: Vec<(&str, Requirement, bool)> = theirs
        .iter()
        .map(|used| (&*used.key, used.requirement, used.at_start))
        .collect();
    assert_eq!(ours, theirs, "{what}");
}

#[test]
fn the_registry_file_agrees_with_the_table() {
    let (builtin, own) = (Registry::builtin(), own());
    let mut keys: Vec<&str> = own.attributes.keys().map(AsRef::as_ref).collect();
    let mut known: Vec<&str> = builtin.attributes.keys().map(AsRef::as_ref).collect();
    keys.sort_unstable();
    known.sort_unstable();
    assert_eq!(keys, known, "the same attributes");
    for (key, attribute) in &builtin.attributes {
        let theirs = &own.attributes[key];
        assert_eq!(attribute.value_type, theirs.value_type, "{key}");
        assert_eq!(attribute.members, theirs.members, "{key}");
        assert_eq!(attribute.stability, theirs.stability, "{key}");
    }
    let job = own
        .spans
        .iter()
        .find(|span| span.name == conventions::JOB_SPAN.span_type)
        .expect("jobs are defined");
    assert_eq!(job.kind, conventions::JOB_SPAN.kind);
    same_uses(conventions::JOB_SPAN.attributes, &job.attributes, "job.run");
    for metric in conventions::METRICS {
        let theirs = own
            .metrics
            .get(metric.name)
            .unwrap_or_else(|| panic!("{} is not in the file", metric.name));
        assert_eq!(
            (metric.instrument, metric.unit, metric.stability),
            (&*theirs.instrument, &*theirs.unit, theirs.stability)
        );
        same_uses(metric.attributes, &theirs.attributes, metric.name);
    }
    assert_eq!(
        own.metrics.len(),
        builtin.metrics.len(),
        "the file has no other metric"
    );
}

#[test]
fn briefs_and_conditions_in_the_file_are_those_of_the_table() {
    let text = include_str!("../../../semconv/percolate.yaml");
    let has = |line: &str| text.lines().any(|known| known.trim() == line);
    let has_brief =
        |brief: &str| has(&format!("brief: {brief}")) || has(&format!("brief: \"{brief}\""));
    for attribute in conventions::ATTRIBUTES
        .iter()
        .filter(|attribute| attribute.source == Source::Percolate)
    {
        assert!(has_brief(attribute.brief), "{}", attribute.key);
    }
    for metric in conventions::METRICS
        .iter()
        .filter(|metric| metric.source == Source::Percolate)
    {
        assert!(has_brief(metric.brief), "{}", metric.name);
    }
    assert!(has(&format!("note: \"{}\"", conventions::JOB_SPAN.name)));
    for used in conventions::JOB_SPAN.attributes {
        if let RequirementLevel::ConditionallyRequired(condition) = used.level {
            assert!(
                has(&format!("conditionally_required: {condition}")),
                "{}",
                used.key
            );
        }
    }
}

#[test]
fn names_in_the_macros_are_in_the_table() {
    let vocabulary = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../percolate-macros/src/vocabulary.rs"
    );
    let text = fs::read_to_string(vocabulary).expect("the macros are next to this crate");
    let attributes = text
        .split_once("db.system.name")
        .map_or("", |(_, rest)| rest);
    let spelt = attributes
        .split('"')
        .filter(|literal| {
            ["db.", "job.", "error.", "server."]
                .iter()
                .any(|namespace| literal.starts_with(namespace))
        })
        .filter(|literal| is_well_formed(literal));
    let mut count = 0;
    for literal in spelt {
        count += 1;
        let known = conventions::find_attribute(literal).is_some()
            || conventions::DEPRECATED
                .iter()
                .any(|name| name.key == literal);
        assert!(known, "the macros have `{literal}`");
    }
    assert!(count > 10, "the vocabulary has moved: {count} names found");
}
