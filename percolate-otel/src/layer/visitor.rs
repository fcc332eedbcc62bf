//! Reads the values of a span when they are recorded, and turns them into bits. Values are not
//! kept.

use std::fmt::{Debug, Write as _};

use tracing_core::field::{Field, Visit};

use super::call_site::{CallSite, MAX_FIELDS};
use super::flags::Flags;
use super::name_parts::{NameParts, Part};
use super::registry::Class;
use super::role::Role;
use super::seen::Seen;
use super::span_state::SpanState;
use super::text::{Short, has_literals, hash, is_changing, is_message, is_path};
use crate::conventions::{JobStatus, value};

/// Reads the fields of a span when they are given.
pub(crate) struct Visitor<'a> {
    site: &'a CallSite,
    seen: &'a mut Seen,
    flags: &'a mut Flags,
    operation: &'a mut u64,
    error: &'a mut u64,
    /// `Some` while the span is being created.
    parts: Option<&'a mut NameParts>,
}

impl<'a> Visitor<'a> {
    /// Reads the fields a span is created with.
    pub(crate) fn at_start(state: &'a mut SpanState, parts: &'a mut NameParts) -> Self {
        Self::new(state, Some(parts))
    }

    /// Reads fields that are recorded later.
    pub(crate) fn later(state: &'a mut SpanState) -> Self {
        Self::new(state, None)
    }

    fn new(state: &'a mut SpanState, parts: Option<&'a mut NameParts>) -> Self {
        let SpanState {
            site,
            seen,
            flags,
            operation,
            error,
        } = state;
        Self {
            site,
            seen,
            flags,
            operation,
            error,
            parts,
        }
    }

    /// Checks the name after all fields of the creation were read.
    pub(crate) fn finish(self) {
        let Some(parts) = self.parts else { return };
        let Self { site, flags, .. } = self;
        let is_job = site.class == Class::Job;
        let own = site.metadata.name().as_bytes();
        let name = parts.get(Part::Name).unwrap_or(own);
        if name.len() > 255 {
            flags.set(Flags::NAME_LONG);
        } else if !parts.is_cut {
            let is_other = site.class == Class::Other;
            flags.put(
                Flags::NAME_MISMATCH,
                !is_other && !parts.allow(name, is_job),
            );
            flags.put(Flags::NAME_CHANGING, is_changing(name));
        }
    }

    /// Notes that a field was given. Returns its index, its bit and its role.
    fn give(&mut self, field: &Field) -> Option<(usize, u64, Role)> {
        let index = field.index();
        let role = *self.site.roles.get(index).filter(|_| index < MAX_FIELDS)?;
        let bit = 1 << index;
        let seen = &mut *self.seen;
        if (seen.start | seen.late) & bit != 0 {
            // Given again, perhaps with another type.
            seen.clear_type(bit);
        }
        if self.parts.is_some() {
            seen.start |= bit;
        } else {
            seen.late |= bit;
        }
        Some((index, bit, role))
    }

    fn put(&mut self, part: Part, text: &str) {
        if let Some(parts) = &mut self.parts {
            parts.put(part, text);
        }
    }

    fn text(&mut self, index: usize, bit: u64, role: Role, text: &str) {
        match role {
            Role::Plain | Role::Port | Role::BatchSize => {}
            Role::OtelName if self.parts.is_none() => self.flags.set(Flags::NAME_LATE),
            Role::OtelName => {
                if text.len() > 255 {
                    self.flags.set(Flags::NAME_LONG);
                }
                self.put(Part::Name, text);
            }
            Role::OtelKind if self.parts.is_none() => self.flags.set(Flags::KIND_LATE),
            Role::OtelKind => self.kind(text),
            Role::OtelStatus => self.status(text),
            Role::OtelDescription => self.flags.set(Flags::STATUS_ERROR),
            Role::System => {
                self.flags.put(
                    Flags::SYSTEM_ODD,
                    text.is_empty() || !text.bytes().all(is_system_byte),
                );
                self.flags
                    .put(Flags::EMBEDDED, value::EMBEDDED_SYSTEMS.contains(&text));
                self.flags.put(Flags::ROCKSDB, text == "rocksdb");
                self.put(Part::System, text);
            }
            Role::Operation => {
                self.flags.put(
                    Flags::NEEDS_COLLECTION,
                    value::COLLECTION_OPERATIONS.contains(&text),
                );
                self.flags
                    .put(Flags::SINGLE, value::SINGLE_OPERATIONS.contains(&text));
                let is_batch = text
                    .get(..5)
                    .is_some_and(|start| start.eq_ignore_ascii_case("batch"));
                self.flags.put(Flags::BATCH, is_batch);
                *self.operation = hash(text);
                self.put(Part::Operation, text);
            }
            Role::Collection => self.put(Part::Collection, text),
            Role::Namespace => self.put(Part::Namespace, text),
            Role::Procedure => self.put(Part::Procedure, text),
            Role::Address => {
                self.flags.put(Flags::PATH, is_path(text));
                self.put(Part::Address, text);
            }
            Role::Summary => self.put(Part::Summary, text),
            Role::QueryText => self.flags.put(Flags::LITERAL, has_literals(text)),
            Role::ErrorType => {
                *self.error = hash(text);
                self.flags.put(Flags::ERROR_MESSAGE, is_message(text));
                self.flags.put(
                    Flags::ROCKSDB_CODE,
                    value::ROCKSDB_STATUS_CODES.contains(&text),
                );
            }
            Role::JobType => {
                *self.operation = hash(text);
                self.put(Part::JobType, text);
            }
            Role::JobTarget => self.put(Part::JobTarget, text),
            Role::JobStatus => {
                self.flags.put(Flags::JOB_SUCCESS, text == "success");
                self.flags
                    .put(Flags::JOB_FAILED, text == JobStatus::Failed.as_str());
                self.member(index, bit, text);
            }
            Role::Member => self.member(index, bit, text),
        }
    }

    fn member(&mut self, index: usize, bit: u64, text: &str) {
        let is_listed = self
            .site
            .members
            .get(&index)
            .is_none_or(|members| members.iter().any(|member| member == text));
        if is_listed {
            self.seen.undefined &= !bit;
        } else {
            self.seen.undefined |= bit;
        }
    }

    fn kind(&mut self, text: &str) {
        let flags = &mut *self.flags;
        flags.clear(Flags(
            Flags::KIND_RIGHT.0 | Flags::KIND_INTERNAL.0 | Flags::KIND_OTHER.0 | Flags::KIND_ODD.0,
        ));
        let is_known = ["client", "internal", "server", "producer", "consumer"]
            .iter()
            .any(|kind| text.eq_ignore_ascii_case(kind));
        flags.put(Flags::KIND_INTERNAL, text.eq_ignore_ascii_case("internal"));
        if text.eq_ignore_ascii_case(&self.site.kind) {
            flags.set(Flags::KIND_RIGHT);
        } else if !is_known {
            flags.set(Flags::KIND_ODD);
        } else {
            flags.set(Flags::KIND_OTHER);
        }
    }

    fn status(&mut self, text: &str) {
        let flags = &mut *self.flags;
        flags.clear(Flags(
            Flags::STATUS_ERROR.0 | Flags::STATUS_OK.0 | Flags::STATUS_ODD.0,
        ));
        if text.eq_ignore_ascii_case("error") {
            flags.set(Flags::STATUS_ERROR);
        } else if text.eq_ignore_ascii_case("ok") {
            flags.set(Flags::STATUS_OK);
        } else if !text.eq_ignore_ascii_case("unset") {
            flags.set(Flags::STATUS_ODD);
        }
    }

    fn number(&mut self, role: Role, value: i64) {
        if role == Role::BatchSize {
            self.flags.put(Flags::BATCH_ONE, value == 1);
            self.flags.put(Flags::BATCH_NEGATIVE, value < 0);
        }
    }
}

fn is_system_byte(byte: u8) -> bool {
    // `microsoft.sql_server`, `ibm.db2` and `h2database` are well-known values.
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
}

impl Visit for Visitor<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if let Some((_, bit, role)) = self.give(field) {
            self.seen.ints |= bit;
            self.number(role, value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if let Some((_, bit, role)) = self.give(field) {
            self.seen.unsigned |= bit;
            self.number(role, i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.record_u64(field, u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.record_u64(field, u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_f64(&mut self, field: &Field, _: f64) {
        if let Some((_, bit, _)) = self.give(field) {
            self.seen.doubles |= bit;
        }
    }

    fn record_bool(&mut self, field: &Field, _: bool) {
        if let Some((_, bit, _)) = self.give(field) {
            self.seen.booleans |= bit;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some((index, bit, role)) = self.give(field) {
            self.seen.strings |= bit;
            self.text(index, bit, role, value);
        }
    }

    fn record_error(&mut self, field: &Field, _: &(dyn std::error::Error + 'static)) {
        if let Some((_, bit, _)) = self.give(field) {
            self.seen.errors |= bit;
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if let Some((index, bit, role)) = self.give(field) {
            self.seen.strings |= bit;
            if role != Role::Plain {
                let mut text = Short::default();
                let _ = write!(text, "{value:?}");
                self.text(index, bit, role, text.as_str());
            }
        }
    }
}
