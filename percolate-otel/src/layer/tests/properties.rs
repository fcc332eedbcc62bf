//! Arbitrary call sites, fields, values and orders of calls: the Layer never panics, always has a
//! report, and counts no more findings than spans. For a few rules it is compared with a plain
//! reading of the same calls.

use std::sync::OnceLock;

use proptest::prelude::*;
use tracing::Span;
use tracing_core::callsite::Identifier;
use tracing_core::field::{FieldSet, Value};
use tracing_core::metadata::Kind;
use tracing_core::subscriber::Interest;
use tracing_core::{Callsite, Level as TracingLevel, Metadata};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::conventions::attribute;
use crate::layer::{ConventionLayer, Profile, Rule};

/// A call site created at run time. Leaked, because call sites are never freed.
#[derive(Default)]
struct Site(OnceLock<Metadata<'static>>);

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}
    fn metadata(&self) -> &Metadata<'_> {
        self.0
            .get()
            .expect("the metadata is set before the call site is registered")
    }
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn site(name: &str, target: &str, fields: &[String]) -> &'static Metadata<'static> {
    let site: &'static Site = Box::leak(Box::default());
    let mut unique: Vec<&'static str> = Vec::new();
    for field in fields {
        if !unique.contains(&field.as_str()) {
            unique.push(leak(field));
        }
    }
    let fields = FieldSet::new(Vec::leak(unique), Identifier(site));
    let level = TracingLevel::INFO;
    let metadata = Metadata::new(
        leak(name),
        leak(target),
        level,
        Some("site.rs"),
        Some(7),
        None,
        fields,
        Kind::SPAN,
    );
    assert!(
        site.0.set(metadata).is_ok(),
        "a new call site has no metadata yet"
    );
    tracing_core::callsite::register(site);
    site.0.get().expect("it was just set")
}

#[derive(Debug, Clone)]
enum Given {
    Nothing,
    Int(i64),
    Unsigned(u64),
    Wide(u128),
    Double(f64),
    Flag(bool),
    Text(String),
    Debug(String),
    Failure,
}

impl Given {
    /// Calls `f` with the value as `tracing` takes it.
    fn with(&self, f: &mut dyn FnMut(Option<&dyn Value>)) {
        let error = std::io::Error::other("disk full");
        match self {
            Self::Nothing => f(None),
            Self::Int(value) => f(Some(value)),
            Self::Unsigned(value) => f(Some(value)),
            Self::Wide(value) => f(Some(value)),
            Self::Double(value) => f(Some(value)),
            Self::Flag(value) => f(Some(value)),
            Self::Text(value) => f(Some(&value.as_str())),
            Self::Debug(value) => f(Some(&tracing::field::debug(value))),
            Self::Failure => f(Some(&(&error as &(dyn std::error::Error + 'static)))),
        }
    }
}

/// What is to be done with values in their places.
type Done<'d> = dyn FnMut(&[Option<&dyn Value>]) + 'd;

/// Creates a span with the values in their places.
fn open(metadata: &'static Metadata<'static>, values: &[Given]) -> Span {
    fn place<'a>(rest: &'a [Given], placed: &mut Vec<Option<&'a dyn Value>>, done: &mut Done<'_>) {
        let Some((first, rest)) = rest.split_first() else {
            return done(placed);
        };
        first.with(&mut |value| {
            let mut placed: Vec<Option<&dyn Value>> = placed.clone();
            placed.push(value);
            place(rest, &mut placed, done);
        });
    }
    let count = metadata.fields().len();
    let mut values: Vec<Given> = values.iter().take(count).cloned().collect();
    values.resize(count, Given::Nothing);
    let mut span = Span::none();
    place(&values, &mut Vec::new(), &mut |placed| {
        span = Span::new(metadata, &metadata.fields().value_set_all(placed));
    });
    span
}

fn record(span: &Span, field: &str, given: &Given) {
    match given {
        Given::Nothing => {}
        Given::Int(value) => drop(span.record(field, value)),
        Given::Unsigned(value) => drop(span.record(field, value)),
        Given::Wide(value) => drop(span.record(field, value)),
        Given::Double(value) => drop(span.record(field, value)),
        Given::Flag(value) => drop(span.record(field, value)),
        Given::Text(value) => drop(span.record(field, value.as_str())),
        Given::Debug(value) => drop(span.record(field, tracing::field::debug(value))),
        Given::Failure => {
            let error = std::io::Error::other("disk full");
            span.record(field, &error as &(dyn std::error::Error + 'static));
        }
    }
}

fn field() -> impl Strategy<Value = String> {
    let known: Vec<String> = crate::conventions::ATTRIBUTES
        .iter()
        .map(|known| known.key)
        .chain(crate::conventions::DEPRECATED.iter().map(|known| known.key))
        .chain([
            attribute::OTEL_NAME,
            attribute::OTEL_KIND,
            attribute::OTEL_STATUS_CODE,
            attribute::OTEL_STATUS_DESCRIPTION,
        ])
        .map(str::to_owned)
        .collect();
    prop_oneof![6 => prop::sample::select(known), 1 => "[a-zA-Z._]{0,12}", 1 => "(db|job)\\.[a-z_.é]{0,20}"]
}

fn given() -> impl Strategy<Value = Given> {
    let word = prop::sample::select(vec![
        "get",
        "batch_write",
        "BATCH put",
        "articles",
        "client",
        "internal",
        "odd",
        "ERROR",
        "ok",
        "success",
        "failed",
        "rocksdb",
        "PostgreSQL",
        "IOError",
        "no space left",
        "/var/lib",
        "SELECT 'x'",
        "get articles",
    ]);
    prop_oneof![
        2 => Just(Given::Nothing),
        2 => any::<i64>().prop_map(Given::Int),
        1 => any::<u64>().prop_map(Given::Unsigned),
        1 => any::<u128>().prop_map(Given::Wide),
        1 => any::<f64>().prop_map(Given::Double),
        1 => any::<bool>().prop_map(Given::Flag),
        6 => word.prop_map(|word| Given::Text(word.to_owned())),
        2 => "\\PC{0,300}".prop_map(Given::Text),
        2 => "\\PC{0,300}".prop_map(Given::Debug),
        1 => Just(Given::Failure),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Open(usize, Vec<Given>),
    Record(usize, usize, Given),
    Enter(usize),
    ErrorEvent(usize),
    Clone(usize),
    Close(usize),
    Report,
}

fn step() -> impl Strategy<Value = Step> {
    let some = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 16));
    prop_oneof![
        4 => (some(), prop::collection::vec(given(), 0..12)).prop_map(|(site, values)| Step::Open(site, values)),
        6 => (some(), some(), given()).prop_map(|(span, field, value)| Step::Record(span, field, value)),
        1 => some().prop_map(Step::Enter),
        1 => some().prop_map(Step::ErrorEvent),
        1 => some().prop_map(Step::Clone),
        3 => some().prop_map(Step::Close),
        1 => Just(Step::Report),
    ]
}

fn site_shape() -> impl Strategy<Value = (String, &'static str, Vec<String>)> {
    let target = prop::sample::select(vec!["percolate::db", "percolate::job", "app"]);
    (
        "[a-z. ]{0,20}",
        target,
        prop::collection::vec(field(), 0..80),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_spans_and_orders_of_calls_never_panic(
        shapes in prop::collection::vec(site_shape(), 1..4),
        steps in prop::collection::vec(step(), 0..40),
        strict in any::<bool>(),
    ) {
        let profile = if strict { Profile::Strict } else { Profile::Log };
        let conventions = ConventionLayer::builder().profile(profile).build();
        let subscriber = tracing_subscriber::registry().with(conventions.layer());
        let mut opened = 0_u64;
        tracing::subscriber::with_default(subscriber, || {
            let sites: Vec<_> = shapes.iter().map(|(name, target, fields)| site(name, target, fields)).collect();
            let mut spans: Vec<(Span, &'static Metadata<'static>)> = Vec::new();
            for step in &steps {
                let pick = |index: usize, len: usize| (len > 0).then(|| index % len);
                match step {
                    Step::Open(site, values) => {
                        let metadata = sites[site % sites.len()];
                        spans.push((open(metadata, values), metadata));
                        opened += 1;
                    }
                    Step::Record(span, field, value) => {
                        if let Some(at) = pick(*span, spans.len())
                            && let Some(field) = pick(*field, spans[at].1.fields().len())
                        {
                            let name = spans[at].1.fields().iter().nth(field).map_or("", |field| field.name());
                            record(&spans[at].0, name, value);
                        }
                    }
                    Step::Enter(span) => {
                        if let Some(at) = pick(*span, spans.len()) {
                            spans[at].0.in_scope(|| tracing::info!("inside"));
                        }
                    }
                    Step::ErrorEvent(span) => {
                        if let Some(at) = pick(*span, spans.len()) {
                            spans[at].0.in_scope(|| tracing::error!("inside"));
                        }
                    }
                    Step::Clone(span) => {
                        if let Some(at) = pick(*span, spans.len()) {
                            spans.push(spans[at].clone());
                        }
                    }
                    Step::Close(span) => {
                        if let Some(at) = pick(*span, spans.len()) {
                            spans.swap_remove(at);
                        }
                    }
                    Step::Report => {
                        let _ = conventions.report().to_json();
                    }
                }
            }
        });
        let report = conventions.report();
        prop_assert!(report.spans <= opened);
        for finding in report.findings() {
            prop_assert!(finding.count >= 1 && finding.count <= report.spans, "{finding:?}");
            prop_assert!(!finding.message.is_empty() && !finding.help.is_empty(), "{finding:?}");
        }
        let (text, json, github) = (report.to_string(), report.to_json(), report.to_github(""));
        let is_whole = !text.is_empty() && json.ends_with("]}");
        prop_assert!(is_whole);
        prop_assert_eq!(github.lines().count(), report.findings().len());
    }

    #[test]
    fn a_simple_implementation_of_the_same_rules_finds_the_same(
        at_start in prop::collection::vec(given(), 6),
        late in prop::collection::vec((0_usize..6, given()), 0..12),
    ) {
        const FIELDS: [&str; 6] = [
            "db.system.name",
            "db.operation.name",
            "db.response.returned_rows",
            "db.collection.name",
            "server.port",
            "error.type",
        ];
        let conventions = ConventionLayer::new();
        let subscriber = tracing_subscriber::registry().with(conventions.layer());
        tracing::subscriber::with_default(subscriber, || {
            let metadata = site("x", "percolate::db", &FIELDS.map(str::to_owned));
            let span = open(metadata, &at_start);
            for (field, value) in &late {
                record(&span, FIELDS[*field], value);
            }
        });
        let report = conventions.report();
        let has = |rule: Rule, subject: &str| report.of(rule).iter().any(|finding| finding.subject == subject);
        for (index, field) in FIELDS.iter().enumerate() {
            let later: Vec<&Given> =
                late.iter().filter(|(at, given)| *at == index && !matches!(given, Given::Nothing)).map(|(_, given)| given).collect();
            let first = Some(&at_start[index]).filter(|given| !matches!(given, Given::Nothing));
            let last = later.last().copied().or(first);
            let is_right = match (last, *field) {
                (None, _) | (Some(Given::Int(_)), "db.response.returned_rows" | "server.port") => true,
                (Some(_), "db.response.returned_rows" | "server.port") => false,
                (Some(given), _) => !matches!(given, Given::Int(_) | Given::Double(_) | Given::Flag(_)),
            };
            prop_assert_eq!(has(Rule::TypeMismatch, field), !is_right, "{} {:?}", field, last);
            let is_sampled = matches!(*field, "db.system.name" | "db.operation.name" | "db.collection.name" | "server.port");
            let is_late = is_sampled && first.is_none() && !later.is_empty();
            prop_assert_eq!(has(Rule::LateSamplingAttribute, field), is_late, "{} late", field);
            let is_missing = *field == "db.system.name" && last.is_none();
            prop_assert_eq!(has(Rule::RequiredAttributeNotPresent, field), is_missing, "{} missing", field);
            let is_without_error = *field == "error.type" && last.is_some();
            prop_assert_eq!(has(Rule::ErrorTypeWithoutError, field), is_without_error, "{} without error", field);
        }
    }
}
