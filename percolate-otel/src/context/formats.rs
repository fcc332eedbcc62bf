//! [`Formats`]: the header formats that are read and written, and those that the process uses. The
//! formats themselves are in `traceparent`, `tracestate`, `baggage`, `b3` and `jaeger`. Inside a
//! [`TraceContext`](super::TraceContext) the ids always are in W3C form.

use std::sync::atomic::{AtomicU8, Ordering};

use super::header::{
    B3, B3_FLAGS, B3_PARENT_SPAN_ID, B3_SAMPLED, B3_SPAN_ID, B3_TRACE_ID, BAGGAGE, TRACEPARENT,
    TRACESTATE, UBER_TRACE_ID,
};

/// A set of header formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Formats(u8);

/// The formats of `inject` and `TraceContext::from_headers`.
static INSTALLED: AtomicU8 = AtomicU8::new(Formats::DEFAULT.0);

/// The headers that each format reads. B3 is read in both of its forms.
const READ: [(Formats, &str); 10] = [
    (Formats::TRACE_CONTEXT, TRACEPARENT),
    (Formats::TRACE_CONTEXT, TRACESTATE),
    (Formats::BAGGAGE, BAGGAGE),
    (Formats::ANY_B3, B3),
    (Formats::ANY_B3, B3_TRACE_ID),
    (Formats::ANY_B3, B3_SPAN_ID),
    (Formats::ANY_B3, B3_PARENT_SPAN_ID),
    (Formats::ANY_B3, B3_SAMPLED),
    (Formats::ANY_B3, B3_FLAGS),
    (Formats::JAEGER, UBER_TRACE_ID),
];

/// The headers that each format writes.
const WRITTEN: [(Formats, &str); 8] = [
    (Formats::TRACE_CONTEXT, TRACEPARENT),
    (Formats::TRACE_CONTEXT, TRACESTATE),
    (Formats::BAGGAGE, BAGGAGE),
    (Formats::B3, B3),
    (Formats::B3_MULTI, B3_TRACE_ID),
    (Formats::B3_MULTI, B3_SPAN_ID),
    (Formats::B3_MULTI, B3_SAMPLED),
    (Formats::JAEGER, UBER_TRACE_ID),
];

impl Formats {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const TRACE_CONTEXT: Self = Self(1);
    pub(crate) const BAGGAGE: Self = Self(1 << 1);
    pub(crate) const B3: Self = Self(1 << 2);
    pub(crate) const B3_MULTI: Self = Self(1 << 3);
    pub(crate) const JAEGER: Self = Self(1 << 4);
    pub(crate) const DEFAULT: Self = Self::TRACE_CONTEXT.and(Self::BAGGAGE);
    const ANY_B3: Self = Self::B3.and(Self::B3_MULTI);

    /// Returns the formats that this process uses: those of the installed pipeline, else the W3C
    /// formats.
    pub(super) fn installed() -> Self {
        Self(INSTALLED.load(Ordering::Relaxed))
    }

    /// Sets the formats that this process uses.
    pub(super) fn install(self) {
        INSTALLED.store(self.0, Ordering::Relaxed);
    }

    /// Returns the formats of both sets.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the formats that are not in the other set.
    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the sets have a format in common.
    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether a format other than those of W3C is read.
    pub(super) fn has_foreign(self) -> bool {
        self.has(Self::ANY_B3.and(Self::JAEGER))
    }

    /// Returns the formats of a word of `OTEL_PROPAGATORS`, in any letter case.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "tracecontext" => Self::TRACE_CONTEXT,
            "baggage" => Self::BAGGAGE,
            "b3" => Self::B3,
            "b3multi" => Self::B3_MULTI,
            "jaeger" => Self::JAEGER,
            "none" => Self::NONE,
            _ => return None,
        })
    }

    /// Returns the name in lower case of a header that these formats read.
    pub(super) fn reads(self, name: &str) -> Option<&'static str> {
        let mut known = READ.iter().filter(|(formats, _)| self.has(*formats));
        known
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(_, known)| *known)
    }

    /// Returns the names of the headers that these formats write.
    pub(super) fn written(self) -> impl Iterator<Item = &'static str> {
        let written = WRITTEN.iter().filter(move |(format, _)| self.has(*format));
        written.map(|(_, name)| *name)
    }
}
