//! The names that the Layer checks against: percolate's table and the registries of users.
//!
//! Built with the Layer and never changed afterwards, so that call sites are classified without a
//! lock.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::conventions::{
    self, AttributeUse, RequirementLevel, Stability, ValueType, attribute, target,
};

use crate::nearest::nearest_name;

type Name = Cow<'static, str>;

/// One attribute.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub(crate) value_type: ValueType,
    /// The allowed values, if they are a closed set.
    pub(crate) members: Vec<Name>,
    pub(crate) stability: Stability,
}

impl Attribute {
    /// Returns the type, or the allowed values.
    pub(crate) fn in_words(&self) -> String {
        if self.members.is_empty() {
            match self.value_type {
                ValueType::Int => "an int".to_owned(),
                ValueType::Any => "any value".to_owned(),
                other => format!("a {}", other.as_str()),
            }
        } else {
            listed(
                &self
                    .members
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>(),
            )
        }
    }
}

/// Whether a span or metric needs an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requirement {
    Required,
    Conditionally,
    Recommended,
    OptIn,
}

impl From<RequirementLevel> for Requirement {
    fn from(level: RequirementLevel) -> Self {
        match level {
            RequirementLevel::Required => Self::Required,
            RequirementLevel::ConditionallyRequired(_) => Self::Conditionally,
            RequirementLevel::Recommended => Self::Recommended,
            RequirementLevel::OptIn => Self::OptIn,
        }
    }
}

/// An attribute of a span or metric.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) key: Name,
    pub(crate) requirement: Requirement,
    /// Samplers read it, so it is set when the span is created.
    pub(crate) at_start: bool,
}

impl From<&AttributeUse> for Use {
    fn from(used: &AttributeUse) -> Self {
        Self {
            key: Cow::Borrowed(used.key),
            requirement: used.level.into(),
            at_start: used.at_start,
        }
    }
}

/// Which checks apply to the spans of a call site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Db,
    Job,
    /// A span of a user's registry.
    Other,
}

/// One type of span.
#[derive(Debug, Clone)]
pub(crate) struct SpanType {
    pub(crate) name: Name,
    pub(crate) class: Class,
    pub(crate) kind: Name,
    pub(crate) attributes: Vec<Use>,
}

impl SpanType {
    /// Returns the type of span as messages name it.
    pub(crate) fn in_words(&self) -> String {
        match self.class {
            Class::Db | Class::Job => self.name.to_string(),
            Class::Other => format!("`{}` span", self.name),
        }
    }
}

/// One metric.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(feature = "pipeline"),
    expect(
        dead_code,
        reason = "metrics are checked by an exporter of the pipeline"
    )
)]
pub(crate) struct Metric {
    pub(crate) instrument: Name,
    pub(crate) unit: Name,
    pub(crate) stability: Stability,
    pub(crate) attributes: Vec<Use>,
}

/// All names.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    pub(crate) attributes: BTreeMap<Name, Attribute>,
    pub(crate) templates: Vec<(Name, Attribute)>,
    /// Old names and their replacements (empty if there is none).
    pub(crate) deprecated: HashMap<Name, Name>,
    pub(crate) deprecated_metrics: HashMap<Name, Name>,
    /// Namespaces whose definitions are complete. An unknown name in them is a mistake.
    pub(crate) namespaces: Vec<Name>,
    /// The namespaces that registries of users added.
    pub(crate) own_namespaces: Vec<Name>,
    pub(crate) spans: Vec<SpanType>,
    pub(crate) metrics: BTreeMap<Name, Metric>,
}

impl Registry {
    /// Returns percolate's own table.
    pub(crate) fn builtin() -> Self {
        let attribute = |def: &conventions::AttributeDef| Attribute {
            value_type: def.value_type,
            members: def
                .members
                .iter()
                .map(|member| Cow::Borrowed(*member))
                .collect(),
            stability: def.stability,
        };
        let span = |def: &conventions::SpanDef, class, name| SpanType {
            name: Cow::Borrowed(name),
            class,
            kind: Cow::Borrowed(def.kind),
            attributes: def.attributes.iter().map(Use::from).collect(),
        };
        Self {
            attributes: conventions::ATTRIBUTES
                .iter()
                .map(|def| (Cow::Borrowed(def.key), attribute(def)))
                .collect(),
            templates: conventions::TEMPLATES
                .iter()
                .map(|def| (Cow::Borrowed(def.key), attribute(def)))
                .collect(),
            deprecated: conventions::DEPRECATED
                .iter()
                .map(|name| (Cow::Borrowed(name.key), Cow::Borrowed(name.instead)))
                .collect(),
            deprecated_metrics: conventions::DEPRECATED_METRICS
                .iter()
                .map(|name| (Cow::Borrowed(name.key), Cow::Borrowed(name.instead)))
                .collect(),
            namespaces: ["db", "job", "rocksdb", "percolate"]
                .map(Cow::Borrowed)
                .to_vec(),
            own_namespaces: Vec::new(),
            spans: vec![
                span(&conventions::DB_SPAN, Class::Db, "database span"),
                span(&conventions::JOB_SPAN, Class::Job, "job span"),
            ],
            metrics: conventions::METRICS
                .iter()
                .chain(conventions::OTHER_METRICS)
                .map(|def| {
                    let metric = Metric {
                        instrument: Cow::Borrowed(def.instrument),
                        unit: Cow::Borrowed(def.unit),
                        stability: def.stability,
                        attributes: def.attributes.iter().map(Use::from).collect(),
                    };
                    (Cow::Borrowed(def.name), metric)
                })
                .collect(),
        }
    }

    /// Returns the definition of an attribute, which may be a template.
    pub(crate) fn attribute(&self, key: &str) -> Option<&Attribute> {
        self.attributes.get(key).or_else(|| {
            let is_of = |prefix: &str| {
                key.strip_prefix(prefix)
                    .is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
            };
            self.templates
                .iter()
                .find(|(prefix, _)| is_of(prefix))
                .map(|(_, attribute)| attribute)
        })
    }

    /// Whether the namespace of this name is complete.
    pub(crate) fn owns(&self, key: &str) -> bool {
        let first = key.split('.').next().unwrap_or(key);
        first.len() < key.len() && self.namespaces.iter().any(|namespace| namespace == first)
    }

    /// Returns the attribute whose full name this name starts with.
    pub(crate) fn attribute_as_namespace<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.match_indices('.')
            .map(|(at, _)| &key[..at])
            .find(|prefix| self.attributes.contains_key(*prefix))
    }

    /// Returns the attribute that a misspelled name probably stands for.
    pub(crate) fn nearest_attribute(&self, key: &str) -> Option<&str> {
        nearest_name(key, self.attributes.keys().map(AsRef::as_ref))
    }

    /// Returns the metric that a misspelled name probably stands for.
    pub(crate) fn nearest_metric(&self, key: &str) -> Option<&str> {
        nearest_name(key, self.metrics.keys().map(AsRef::as_ref))
    }

    /// Returns the index of the span type for a call site with these fields, or `None` if its spans
    /// are not checked.
    pub(crate) fn claim(&self, target: &str, fields: &[&str]) -> Option<usize> {
        let of = |class: Class| self.spans.iter().position(|span| span.class == class);
        match target {
            target::DB => return of(Class::Db),
            target::JOB => return of(Class::Job),
            _ => {}
        }
        if let Some(index) = self.claim_by_user(fields) {
            return Some(index);
        }
        let has = |prefix: &str| fields.iter().any(|field| field.starts_with(prefix));
        let is_operation = [attribute::DB_SYSTEM_NAME, attribute::DB_OPERATION_NAME]
            .iter()
            .any(|key| fields.contains(key));
        match (has("db."), has("job.")) {
            (true, true) if fields.contains(&attribute::JOB_TYPE) && !is_operation => {
                of(Class::Job)
            }
            (true, _) => of(Class::Db),
            (false, true) => of(Class::Job),
            (false, false) => None,
        }
    }
}

impl Registry {
    /// Returns the span type of a user's registry with the most required attributes among these
    /// fields, then with the most attributes. Only attributes of the registry's own namespaces
    /// count. An attribute that several span types share and none requires selects none of them.
    fn claim_by_user(&self, fields: &[&str]) -> Option<usize> {
        let is_own = |key: &str| {
            let first = key.split('.').next().unwrap_or(key);
            self.own_namespaces
                .iter()
                .any(|namespace| namespace == first)
        };
        let score = |span: &SpanType| {
            let there = span
                .attributes
                .iter()
                .filter(|used| is_own(&used.key) && fields.contains(&&*used.key));
            there.fold((0, 0), |(required, all), used| {
                (
                    required + usize::from(used.requirement == Requirement::Required),
                    all + 1,
                )
            })
        };
        let scores = || {
            let spans = self
                .spans
                .iter()
                .enumerate()
                .filter(|(_, span)| span.class == Class::Other);
            spans
                .map(|(index, span)| (score(span), index))
                .filter(|((_, all), _)| *all > 0)
        };
        let (best, index) = scores().max_by_key(|(score, _)| *score)?;
        let is_only = scores().filter(|(score, _)| *score == best).count() == 1;
        (best.0 > 0 || is_only).then_some(index)
    }
}

/// `a`, `b` or `c`.
pub(crate) fn listed(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// Whether a name consists of lower-case words joined by `_` and `.`. Words start with a letter or
/// digit, the first one with a letter.
pub(crate) fn is_well_formed(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_lowercase())
        && key.split(['.', '_']).all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_well_formed_when_lower_case_words_are_joined() {
        for good in ["db.system.name", "job.batch_size", "k8s.pod2"] {
            assert!(is_well_formed(good), "{good}");
        }
        for bad in [
            "",
            "Db.system",
            "db..name",
            "db.name.",
            "_x",
            "9a",
            "db-name",
            "db.né",
        ] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }

    #[test]
    fn a_misspelled_name_finds_the_known_one() {
        let registry = Registry::builtin();
        for name in [
            "db.sytem.name",
            "db_system_name",
            "db.systemName",
            "db.system.names",
        ] {
            assert_eq!(
                registry.nearest_attribute(name),
                Some("db.system.name"),
                "{name}"
            );
        }
        assert_eq!(registry.nearest_attribute("app.tier"), None);
        assert_eq!(registry.nearest_attribute("db.rows"), None);
    }

    #[test]
    fn a_template_covers_every_last_word() {
        let registry = Registry::builtin();
        assert!(registry.attribute("db.query.parameter.0").is_some());
        assert!(registry.attribute("db.query.parameter").is_none());
        assert!(registry.attribute("db.query.parameters").is_none());
    }

    #[test]
    fn a_name_that_starts_with_a_full_name_is_found() {
        let registry = Registry::builtin();
        assert_eq!(
            registry.attribute_as_namespace("db.namespace.tenant"),
            Some("db.namespace")
        );
        assert_eq!(registry.attribute_as_namespace("db.system.name"), None);
    }

    #[test]
    fn a_call_site_is_claimed_by_target_or_by_its_fields() {
        let registry = Registry::builtin();
        let class = |target, fields: &[&str]| {
            registry
                .claim(target, fields)
                .map(|index| registry.spans[index].class)
        };
        assert_eq!(class(target::DB, &[]), Some(Class::Db));
        assert_eq!(class(target::JOB, &["db.namespace"]), Some(Class::Job));
        assert_eq!(class("app", &["db.anything"]), Some(Class::Db));
        assert_eq!(
            class("app", &["job.type", "db.namespace"]),
            Some(Class::Job)
        );
        assert_eq!(class("app", &["http.route", "dbase"]), None);
    }
}
