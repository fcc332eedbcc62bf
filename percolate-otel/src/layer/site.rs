//! One call site, judged once: what each of its fields is, as bit masks over the fields, so that a span is judged by
//! a few words of bits. Also where the findings of the call site are kept.
//!
//! Bit `i` of every mask stands for field `i` of the call site. Fields past the 64th are not looked at.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tracing_core::Metadata;

use super::super::conventions::{Stability, ValueType, attribute, target};
use super::registry::{Class, Registry, SpanType, Want, is_well_formed, listed};
use super::rule::Case;
use super::state::Seen;

/// Fields a mask has room for.
pub(crate) const MAX_FIELDS: usize = 64;

/// What the value of a field means to the rules. Everything else about a field is in the masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Plain,
    OtelName,
    OtelKind,
    OtelStatus,
    OtelDescription,
    System,
    Operation,
    Collection,
    Namespace,
    Procedure,
    Address,
    Port,
    Summary,
    QueryText,
    BatchSize,
    ErrorType,
    JobType,
    JobTarget,
    JobStatus,
    /// A closed set of values, in [`CallSite::members`].
    Member,
}

/// The fields of a call site that are something, as bits.
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
    /// What the span's name is made of.
    pub(crate) name_parts: u64,
    /// Anything of the above that is wrong whenever it is given.
    pub(crate) wrong: u64,
}

/// A call site that makes spans the Layer checks.
#[derive(Debug)]
pub(crate) struct CallSite {
    pub(crate) metadata: &'static Metadata<'static>,
    pub(crate) class: Class,
    /// The kind spans of this type have.
    pub(crate) kind: String,
    pub(crate) span_type: String,
    /// percolate's own target: checked even when a span carries nothing.
    pub(crate) is_ours: bool,
    pub(crate) roles: Box<[Role]>,
    pub(crate) members: HashMap<usize, Vec<String>>,
    pub(crate) masks: Masks,
    /// Required attributes that are not even fields.
    pub(crate) missing: Vec<String>,
    /// Suggestions and definitions for messages: expected type, better name, listed values.
    pub(crate) expected: HashMap<usize, String>,
    pub(crate) types: HashMap<usize, &'static str>,
    pub(crate) checked: AtomicU64,
    /// Fields whose notes were written down already: one note a call site is enough.
    pub(crate) noted: AtomicU64,
    found: Mutex<Vec<Slot>>,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Span,
    Field(u8),
    /// An index into [`CallSite::missing`].
    Missing(u8),
    /// A name that is known where the case is reported.
    Known(&'static str),
}

/// One finding of a call site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) case: Case,
    pub(crate) subject: Subject,
    pub(crate) count: u64,
    pub(crate) first: Seen,
    pub(crate) last: Seen,
}

impl CallSite {
    /// Judges a call site; `None` when its spans are nobody's business.
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
            span_type: span.name.to_string(),
            is_ours: matches!(metadata.target(), target::DB | target::JOB),
            roles: fields
                .iter()
                .take(MAX_FIELDS)
                .map(|field| role(field))
                .collect(),
            members: HashMap::new(),
            masks: Masks::default(),
            missing: Vec::new(),
            expected: HashMap::new(),
            types: HashMap::new(),
            checked: AtomicU64::new(0),
            noted: AtomicU64::new(0),
            found: Mutex::default(),
        };
        for (index, field) in fields.iter().enumerate().take(MAX_FIELDS) {
            site.judge_field(index, field, registry, span, allowed);
        }
        for used in &span.attributes {
            if used.want == Want::Required && !fields.contains(&&*used.key) {
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

    fn judge_field(
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
        if let Some(instead) = registry.deprecated.get(key) {
            masks.deprecated |= bit;
            self.expected.insert(index, instead.to_string());
            return;
        }
        if key.starts_with("otel.") || key.starts_with("log.") || key == "message" {
            if self.roles[index] == Role::OtelKind {
                masks.otel_kind |= bit;
            }
            return;
        }
        let Some(attribute) = registry.attribute(key) else {
            self.judge_unknown(index, key, registry);
            return;
        };
        match attribute.value_type {
            ValueType::Int => masks.int |= bit,
            ValueType::String => masks.string |= bit,
            ValueType::Double => masks.double |= bit,
            ValueType::Boolean => masks.boolean |= bit,
            ValueType::Any => {}
        }
        self.types.insert(index, attribute.value_type.as_str());
        if attribute.stability == Stability::Development {
            masks.unstable |= bit;
        }
        if !attribute.members.is_empty() {
            let members: Vec<String> = attribute.members.iter().map(ToString::to_string).collect();
            self.expected.insert(index, listed(&members));
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
            match used.want {
                Want::Required => masks.required |= bit,
                Want::OptIn if !allowed.iter().any(|allowed| is_of(allowed)) => masks.opt_in |= bit,
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

    fn judge_unknown(&mut self, index: usize, key: &str, registry: &Registry) {
        let bit = 1 << index;
        let masks = &mut self.masks;
        let place = if !is_well_formed(key) {
            match registry.nearest_attribute(key) {
                Some(meant) => {
                    self.expected.insert(index, meant.to_owned());
                    &mut masks.misspelt
                }
                None => &mut masks.malformed,
            }
        } else if let Some(prefix) = registry.attribute_as_namespace(key) {
            self.expected.insert(index, prefix.to_owned());
            &mut masks.illegal_namespace
        } else if let Some(meant) = registry.nearest_attribute(key) {
            self.expected.insert(index, meant.to_owned());
            &mut masks.misspelt
        } else if registry.owns(key) {
            &mut masks.unknown
        } else if !key.contains('.') {
            &mut masks.no_namespace
        } else {
            // A namespace of somebody else.
            return;
        };
        *place |= bit;
    }

    /// The field's name.
    pub(crate) fn field(&self, index: usize) -> &'static str {
        self.metadata
            .fields()
            .iter()
            .nth(index)
            .map_or("", |field| field.name())
    }

    /// Writes a finding down. Returns whether it is the first of its kind.
    pub(crate) fn add(&self, case: Case, subject: Subject, seen: &Seen) -> bool {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = found
            .iter_mut()
            .find(|slot| slot.case == case && slot.subject == subject)
        {
            slot.count += 1;
            slot.last = *seen;
            return false;
        }
        found.push(Slot {
            case,
            subject,
            count: 1,
            first: *seen,
            last: *seen,
        });
        true
    }

    /// A copy of the findings.
    pub(crate) fn found(&self) -> Vec<Slot> {
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Forgets everything that was found.
    pub(crate) fn clear(&self) {
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.checked.store(0, Ordering::Relaxed);
        self.noted.store(0, Ordering::Relaxed);
    }
}

impl Role {
    fn is_name_part(self) -> bool {
        matches!(
            self,
            Self::System
                | Self::Operation
                | Self::Collection
                | Self::Namespace
                | Self::Procedure
                | Self::Summary
                | Self::JobType
                | Self::JobTarget
        )
    }
}

fn role(field: &str) -> Role {
    match field {
        attribute::OTEL_NAME => Role::OtelName,
        attribute::OTEL_KIND => Role::OtelKind,
        attribute::OTEL_STATUS_CODE => Role::OtelStatus,
        attribute::OTEL_STATUS_DESCRIPTION => Role::OtelDescription,
        attribute::DB_SYSTEM_NAME => Role::System,
        attribute::DB_OPERATION_NAME => Role::Operation,
        attribute::DB_COLLECTION_NAME => Role::Collection,
        attribute::DB_NAMESPACE => Role::Namespace,
        attribute::DB_STORED_PROCEDURE_NAME => Role::Procedure,
        attribute::SERVER_ADDRESS => Role::Address,
        attribute::SERVER_PORT => Role::Port,
        attribute::DB_QUERY_SUMMARY => Role::Summary,
        attribute::DB_QUERY_TEXT => Role::QueryText,
        attribute::DB_OPERATION_BATCH_SIZE => Role::BatchSize,
        attribute::ERROR_TYPE => Role::ErrorType,
        attribute::JOB_TYPE => Role::JobType,
        attribute::JOB_TARGET => Role::JobTarget,
        attribute::JOB_STATUS => Role::JobStatus,
        _ => Role::Plain,
    }
}
