//! One call site, classified once: bit masks with what each of its fields is, so that a span is
//! checked with a few bit operations.
//!
//! Bit `i` of each mask stands for field `i` of the call site. Fields after the 64th are not
//! checked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_core::Metadata;

use super::finding_slot::FindingSlots;
use super::registry::{Class, Registry, Requirement, SpanType, is_well_formed};
use super::role::Role;
use crate::conventions::{Stability, ValueType, attribute, target};

/// The number of fields in a mask.
pub(crate) const MAX_FIELDS: usize = 64;

/// The fields of a call site by what they are.
#[derive(Debug, Default)]
pub(crate) struct Masks {
    pub(crate) owned: u64,
    pub(crate) int: u64,
    pub(crate) string: u64,
    pub(crate) double: u64,
    pub(crate) boolean: u64,
    pub(crate) required: u64,
    pub(crate) at_start: u64,
    pub(crate) opt_in: u64,
    pub(crate) unknown: u64,
    pub(crate) misspelt: u64,
    pub(crate) deprecated: u64,
    pub(crate) malformed: u64,
    pub(crate) no_namespace: u64,
    pub(crate) illegal_namespace: u64,
    pub(crate) unstable: u64,
    pub(crate) otel_kind: u64,
    pub(crate) error_type: u64,
    pub(crate) status_code: u64,
    pub(crate) operation: u64,
    pub(crate) collection: u64,
    pub(crate) summary: u64,
    pub(crate) query_text: u64,
    pub(crate) batch_size: u64,
    pub(crate) address: u64,
    pub(crate) system: u64,
    pub(crate) job_status: u64,
    /// Fields that the span name may contain.
    pub(crate) name_parts: u64,
    /// Fields that are wrong whenever they are given.
    pub(crate) wrong: u64,
}

/// A call site whose spans are checked.
#[derive(Debug)]
pub(crate) struct CallSite {
    pub(crate) metadata: &'static Metadata<'static>,
    pub(crate) class: Class,
    /// The span kind of this type of span, in lower case.
    pub(crate) kind: String,
    /// The type of span in messages, such as `database span`.
    pub(crate) span_type: String,
    /// Has a target of percolate. Its spans are checked even without any attribute.
    pub(crate) is_ours: bool,
    pub(crate) roles: Box<[Role]>,
    /// The allowed values of fields with a closed set of them.
    pub(crate) members: HashMap<usize, Vec<String>>,
    pub(crate) masks: Masks,
    /// Required attributes that are not fields of the call site.
    pub(crate) missing: Vec<String>,
    /// The number of checked spans.
    pub(crate) checked: AtomicU64,
    /// Fields that have their note already. One note for each call site is enough.
    pub(crate) noted: AtomicU64,
    pub(crate) findings: FindingSlots,
}

impl CallSite {
    /// Classifies a call site. Returns `None` if its spans are not checked. `allowed` are the
    /// opt-in attributes that may be recorded.
    pub(crate) fn new(
        metadata: &'static Metadata<'static>,
        registry: &Registry,
        allowed: &[String],
    ) -> Option<Self> {
        let fields: Vec<&str> = metadata.fields().iter().map(|field| field.name()).collect();
        let span = &registry.spans[registry.claim(metadata.target(), &fields)?];
        let mut site = Self {
            metadata,
            class: span.class,
            kind: span.kind.to_string(),
            span_type: span.in_words(),
            is_ours: target::is_of_calls(metadata.target()),
            roles: fields
                .iter()
                .take(MAX_FIELDS)
                .map(|field| Role::of(field))
                .collect(),
            members: HashMap::new(),
            masks: Masks::default(),
            missing: Vec::new(),
            checked: AtomicU64::new(0),
            noted: AtomicU64::new(0),
            findings: FindingSlots::default(),
        };
        for (index, field) in fields.iter().enumerate().take(MAX_FIELDS) {
            site.classify_field(index, field, registry, span, allowed);
        }
        for used in &span.attributes {
            if used.requirement == Requirement::Required && !fields.contains(&&*used.key) {
                site.missing.push(used.key.to_string());
            }
        }
        let m = &mut site.masks;
        m.wrong = m.unknown
            | m.misspelt
            | m.deprecated
            | m.malformed
            | m.no_namespace
            | m.illegal_namespace
            | m.opt_in;
        Some(site)
    }

    fn classify_field(
        &mut self,
        index: usize,
        key: &str,
        registry: &Registry,
        span: &SpanType,
        allowed: &[String],
    ) {
        let bit = 1 << index;
        let masks = &mut self.masks;
        if registry.owns(key) {
            masks.owned |= bit;
        }
        if registry.deprecated.contains_key(key) {
            masks.deprecated |= bit;
            return;
        }
        if key.starts_with("otel.") || key.starts_with("log.") || key == "message" {
            if self.roles[index] == Role::OtelKind {
                masks.otel_kind |= bit;
            }
            return;
        }
        let Some(attribute) = registry.attribute(key) else {
            self.classify_unknown(index, key, registry);
            return;
        };
        match attribute.value_type {
            ValueType::Int => masks.int |= bit,
            ValueType::String => masks.string |= bit,
            ValueType::Double => masks.double |= bit,
            ValueType::Boolean => masks.boolean |= bit,
            ValueType::Any => {}
        }
        if attribute.stability == Stability::Development {
            masks.unstable |= bit;
        }
        if !attribute.members.is_empty() {
            let members: Vec<String> = attribute.members.iter().map(ToString::to_string).collect();
            self.members.insert(index, members);
            if self.roles[index] == Role::Plain {
                self.roles[index] = Role::Member;
            }
        }
        let is_of = |prefix: &str| {
            key.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if let Some(used) = span.attributes.iter().find(|used| is_of(&used.key)) {
            match used.requirement {
                Requirement::Required => masks.required |= bit,
                Requirement::OptIn if !allowed.iter().any(|allowed| is_of(allowed)) => {
                    masks.opt_in |= bit;
                }
                _ => {}
            }
            if used.at_start {
                masks.at_start |= bit;
            }
        }
        match self.roles[index] {
            Role::ErrorType => masks.error_type |= bit,
            Role::Operation => masks.operation |= bit,
            Role::Collection => masks.collection |= bit,
            Role::Summary => masks.summary |= bit,
            Role::QueryText => masks.query_text |= bit,
            Role::BatchSize => masks.batch_size |= bit,
            Role::Address => masks.address |= bit,
            Role::System => masks.system |= bit,
            Role::JobStatus => masks.job_status |= bit,
            _ if key == attribute::DB_RESPONSE_STATUS_CODE => masks.status_code |= bit,
            _ => {}
        }
        if self.roles[index].is_name_part() {
            masks.name_parts |= bit;
        }
    }

    fn classify_unknown(&mut self, index: usize, key: &str, registry: &Registry) {
        let bit = 1 << index;
        let masks = &mut self.masks;
        let is_misspelt = registry.nearest_attribute(key).is_some();
        let mask = if !is_well_formed(key) {
            if is_misspelt {
                &mut masks.misspelt
            } else {
                &mut masks.malformed
            }
        } else if registry.attribute_as_namespace(key).is_some() {
            &mut masks.illegal_namespace
        } else if is_misspelt {
            &mut masks.misspelt
        } else if registry.owns(key) {
            &mut masks.unknown
        } else if !key.contains('.') {
            &mut masks.no_namespace
        } else {
            // The namespace of another registry.
            return;
        };
        *mask |= bit;
    }

    /// Returns the name of a field.
    pub(crate) fn field(&self, index: usize) -> &'static str {
        self.metadata
            .fields()
            .iter()
            .nth(index)
            .map_or("", |field| field.name())
    }

    /// Removes the findings and the counts.
    pub(crate) fn clear(&self) {
        self.findings.clear();
        self.checked.store(0, Ordering::Relaxed);
        self.noted.store(0, Ordering::Relaxed);
    }
}
