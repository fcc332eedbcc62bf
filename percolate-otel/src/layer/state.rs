//! What the Layer remembers of one span: bits. Values are looked at where they pass by and are not kept.

use std::fmt::{self, Debug, Write as _};

use tracing_core::field::{Field, Visit};

use super::super::conventions::value;
use super::site::{CallSite, MAX_FIELDS, Role};
use super::text::{has_literals, is_changing, is_message, is_path};

/// Which fields were given, when, and with which types.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Given when the span was created.
    pub(crate) start: u64,
    /// Given afterwards.
    pub(crate) late: u64,
    pub(crate) ints: u64,
    pub(crate) unsigned: u64,
    pub(crate) doubles: u64,
    pub(crate) booleans: u64,
    pub(crate) strings: u64,
    pub(crate) errors: u64,
    /// Values that their definitions do not list.
    pub(crate) undefined: u64,
}

impl Seen {
    pub(crate) fn given(&self) -> u64 {
        self.start | self.late
    }

    /// The type a field was given with.
    pub(crate) fn type_of(&self, index: usize) -> &'static str {
        let bit = 1 << index;
        match () {
            () if self.unsigned & bit != 0 => "u64",
            () if self.ints & bit != 0 => "int",
            () if self.doubles & bit != 0 => "double",
            () if self.booleans & bit != 0 => "boolean",
            () if self.errors & bit != 0 => "error",
            () => "string",
        }
    }
}

/// What the values said, as flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u64);

macro_rules! flags {
    ($($name:ident)*) => {
        flags!(@ 0; $($name)*);
    };
    (@ $bit:expr; $name:ident $($rest:ident)*) => {
        pub(crate) const $name: Flags = Flags(1 << $bit);
        flags!(@ $bit + 1; $($rest)*);
    };
    (@ $bit:expr;) => {};
}

impl Flags {
    flags! {
        STATUS_ERROR STATUS_OK STATUS_ODD ERROR_EVENT
        KIND_RIGHT KIND_INTERNAL KIND_OTHER KIND_ODD KIND_LATE
        NAME_LATE NAME_MISMATCH NAME_LONG NAME_CHANGING
        WANTS_COLLECTION SINGLE BATCH
        BATCH_ONE BATCH_NEGATIVE
        EMBEDDED ROCKSDB SYSTEM_ODD ROCKSDB_CODE ERROR_MESSAGE
        PATH LITERAL JOB_SUCCESS JOB_FAILED
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    fn put(&mut self, other: Self, on: bool) {
        if on {
            self.set(other)
        } else {
            self.clear(other)
        }
    }
}

/// The state of one open span.
#[derive(Debug, Clone)]
pub(crate) struct SpanState {
    pub(crate) site: &'static CallSite,
    pub(crate) seen: Seen,
    pub(crate) flags: Flags,
    /// Hash of the operation or job type; 0 when it was not given.
    pub(crate) operation: u64,
    /// Hash of the error type; 0 when it was not given.
    pub(crate) error: u64,
}

impl SpanState {
    pub(crate) fn new(site: &'static CallSite) -> Self {
        Self {
            site,
            seen: Seen::default(),
            flags: Flags::default(),
            operation: 0,
            error: 0,
        }
    }

    pub(crate) fn error_event(&mut self) {
        self.flags.set(Flags::ERROR_EVENT);
    }
}

/// A hash to tell names apart by without keeping them; never 0.
pub(crate) fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step) | 1
}

/// The texts a span's name is made of, for as long as the span is being created.
#[derive(Debug)]
pub(crate) struct Texts {
    bytes: [u8; 192],
    used: usize,
    /// Start and end of each part.
    parts: [(u8, u8); 10],
    /// Something did not fit; the name is not judged then.
    is_cut: bool,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Name,
    System,
    Operation,
    Collection,
    Namespace,
    Procedure,
    Address,
    Summary,
    JobType,
    JobTarget,
}

impl Texts {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; 192],
            used: 0,
            parts: [(0, 0); 10],
            is_cut: false,
        }
    }

    fn put(&mut self, part: Part, text: &str) {
        let end = self.used + text.len();
        let Some(place) = self.bytes.get_mut(self.used..end) else {
            self.is_cut = true;
            return;
        };
        place.copy_from_slice(text.as_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "both are at most 192")]
        let range = (self.used as u8, end as u8);
        self.parts[part as usize] = range;
        self.used = end;
    }

    fn get(&self, part: Part) -> Option<&[u8]> {
        let (start, end) = self.parts[part as usize];
        (start < end).then(|| &self.bytes[usize::from(start)..usize::from(end)])
    }

    /// Whether the name is one of those that follow from the attributes. Unknown parts do not speak against it.
    fn is_named_rightly(&self, name: &[u8], is_job: bool) -> bool {
        let joined = |first: Option<&[u8]>, second: Option<&[u8]>| match (first, second) {
            (Some(first), Some(second)) => {
                name.len() == first.len() + 1 + second.len()
                    && name.starts_with(first)
                    && name[first.len()] == b' '
                    && name.ends_with(second)
            }
            _ => false,
        };
        let is = |part: Option<&[u8]>| part == Some(name);
        if is_job {
            let (kind, target) = (self.get(Part::JobType), self.get(Part::JobTarget));
            return kind.is_none() || joined(kind, target) || (target.is_none() && is(kind));
        }
        let operation = self.get(Part::Operation);
        let (collection, summary) = (self.get(Part::Collection), self.get(Part::Summary));
        if is(summary) {
            return true;
        }
        if let Some(collection) = collection {
            return joined(operation, Some(collection))
                || (operation.is_none() && is(Some(collection)));
        }
        // Without a collection each of the wider targets will do, and so will none.
        let targets = [Part::Procedure, Part::Namespace, Part::Address].map(|part| self.get(part));
        match operation {
            Some(_) => {
                is(operation)
                    || targets.into_iter().any(|target| joined(operation, target))
                    || self.get(Part::Address).is_some_and(|address| {
                        // `{operation} {server.address}:{server.port}`
                        let rest = name.strip_prefix(operation.unwrap_or(&[]));
                        rest.and_then(|rest| rest.strip_prefix(b" "))
                            .and_then(|rest| rest.strip_prefix(address))
                            .is_some_and(|rest| {
                                rest.starts_with(b":") && rest[1..].iter().all(u8::is_ascii_digit)
                            })
                    })
            }
            None if summary.is_some() => false,
            None => {
                targets.into_iter().any(is)
                    || is(self.get(Part::System))
                    // Nothing to make a name of: other rules say so.
                    || (targets.iter().all(Option::is_none) && self.get(Part::System).is_none())
            }
        }
    }
}

/// Looks at the fields of a span as they are given.
pub(crate) struct Visitor<'a> {
    site: &'a CallSite,
    seen: &'a mut Seen,
    flags: &'a mut Flags,
    operation: &'a mut u64,
    error: &'a mut u64,
    /// There while the span is being created.
    texts: Option<&'a mut Texts>,
}

impl<'a> Visitor<'a> {
    /// Looks at the fields a span is created with.
    pub(crate) fn at_start(state: &'a mut SpanState, texts: &'a mut Texts) -> Self {
        Self::new(state, Some(texts))
    }

    /// Looks at fields that come later.
    pub(crate) fn later(state: &'a mut SpanState) -> Self {
        Self::new(state, None)
    }

    fn new(state: &'a mut SpanState, texts: Option<&'a mut Texts>) -> Self {
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
            texts,
        }
    }

    /// Judges the name, once all fields of the creation have passed.
    pub(crate) fn finish(self) {
        let Some(texts) = self.texts else { return };
        let Self { site, flags, .. } = self;
        let is_job = site.class == super::registry::Class::Job;
        let own = site.metadata.name().as_bytes();
        let name = texts.get(Part::Name).unwrap_or(own);
        if name.len() > 255 {
            flags.set(Flags::NAME_LONG);
        } else if !texts.is_cut {
            let is_other = site.class == super::registry::Class::Other;
            flags.put(
                Flags::NAME_MISMATCH,
                !is_other && !texts.is_named_rightly(name, is_job),
            );
            flags.put(Flags::NAME_CHANGING, is_changing(name));
        }
    }

    /// Notes that a field was given; its role if the rules care for the value.
    fn give(&mut self, field: &Field) -> Option<(usize, u64, Role)> {
        let index = field.index();
        let role = *self.site.roles.get(index).filter(|_| index < MAX_FIELDS)?;
        let bit = 1 << index;
        let seen = &mut *self.seen;
        if (seen.start | seen.late) & bit != 0 {
            // Given again, perhaps with another type.
            for types in [
                &mut seen.ints,
                &mut seen.unsigned,
                &mut seen.doubles,
                &mut seen.booleans,
                &mut seen.strings,
                &mut seen.errors,
            ] {
                *types &= !bit;
            }
        }
        if self.texts.is_some() {
            seen.start |= bit;
        } else {
            seen.late |= bit;
        }
        Some((index, bit, role))
    }

    fn put(&mut self, part: Part, text: &str) {
        if let Some(texts) = &mut self.texts {
            texts.put(part, text);
        }
    }

    fn text(&mut self, index: usize, bit: u64, role: Role, text: &str) {
        match role {
            Role::Plain | Role::Port | Role::BatchSize => {}
            Role::OtelName if self.texts.is_none() => self.flags.set(Flags::NAME_LATE),
            Role::OtelName => {
                if text.len() > 255 {
                    self.flags.set(Flags::NAME_LONG);
                }
                self.put(Part::Name, text);
            }
            Role::OtelKind if self.texts.is_none() => self.flags.set(Flags::KIND_LATE),
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
                    Flags::WANTS_COLLECTION,
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
                self.flags.put(Flags::JOB_FAILED, text == "failed");
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
            self.seen.undefined &= !bit
        } else {
            self.seen.undefined |= bit
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

/// A text cut at 256 bytes: enough to judge by, and never an allocation.
struct Short {
    bytes: [u8; 256],
    used: usize,
}

impl Default for Short {
    fn default() -> Self {
        Self {
            bytes: [0; 256],
            used: 0,
        }
    }
}

impl Short {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.used]).unwrap_or("")
    }
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut room = (self.bytes.len() - self.used).min(text.len());
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        self.bytes[self.used..self.used + room].copy_from_slice(&text.as_bytes()[..room]);
        self.used += room;
        // The rest is not wanted: stop the formatting.
        if room < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}
