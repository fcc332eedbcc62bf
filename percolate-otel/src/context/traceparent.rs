//! The `traceparent` header: four fields, parsed strictly and printed in version 00, as W3C Trace
//! Context Level 2 specifies. The SDK's own propagator accepts values that must restart the trace.
//!
//! A [`TraceParent`] is always valid: no zero ids, and no flag bits but `sampled` and `random`.

use std::fmt;
use std::str::FromStr;

use opentelemetry::trace::{SpanId, TraceFlags, TraceId};

/// The flag bits of Level 2: `sampled` and `random`. All others are zero on output.
const KNOWN_FLAGS: u8 = 0x03;
/// The length of a version 00 header, and the minimum length of later versions.
const LENGTH: usize = 55;
/// The version that is always invalid.
const FORBIDDEN_VERSION: u8 = 0xff;

/// A span of any process: the trace id, span id and flags of a `traceparent` header.
///
/// ```
/// use percolate_otel::TraceParent;
///
/// let parent: TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
/// assert!(parent.is_sampled());
/// assert_eq!(parent.to_string(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
/// assert!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1".parse::<TraceParent>().is_err());
/// # Ok::<(), percolate_otel::TraceParentError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: TraceId,
    span_id: SpanId,
    flags: u8,
}

/// The error for an invalid `traceparent` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceParentError {
    /// Too short, or too long for version 00.
    #[error("traceparent has {found} characters; version 00 has 55, later versions at least 55")]
    Length {
        /// The number of characters without surrounding white space.
        found: usize,
    },
    /// A field is not followed by a dash, or the value contains several headers.
    #[error(
        "traceparent is one value with dashes between its fields: `00-<32 digits>-<16 digits>-<2 digits>`"
    )]
    Separator,
    /// Not two lower-case hexadecimal digits, or `ff`.
    #[error("the version of a traceparent is two lower-case hexadecimal digits other than `ff`")]
    Version,
    /// Not thirty-two lower-case hexadecimal digits, or all zero.
    #[error("the trace id of a traceparent is 32 lower-case hexadecimal digits, not all zero")]
    TraceId,
    /// Not sixteen lower-case hexadecimal digits, or all zero.
    #[error("the parent id of a traceparent is 16 lower-case hexadecimal digits, not all zero")]
    SpanId,
    /// Not two lower-case hexadecimal digits.
    #[error("the flags of a traceparent are two lower-case hexadecimal digits")]
    Flags,
}

impl TraceParent {
    /// Creates a value. Returns `None` if one of the ids is all zero. Unknown flag bits are cleared.
    pub fn new(trace_id: TraceId, span_id: SpanId, flags: TraceFlags) -> Option<Self> {
        (trace_id != TraceId::INVALID && span_id != SpanId::INVALID).then(|| Self {
            trace_id,
            span_id,
            flags: flags.to_u8() & KNOWN_FLAGS,
        })
    }

    /// Returns the trace id.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Returns the span id, which is the parent id of the next span.
    pub fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// Returns the flags `sampled` (bit 0) and `random` (bit 1).
    pub fn flags(&self) -> TraceFlags {
        TraceFlags::new(self.flags)
    }

    /// Returns whether the `sampled` flag is set.
    pub fn is_sampled(&self) -> bool {
        self.flags().is_sampled()
    }
}

impl FromStr for TraceParent {
    type Err = TraceParentError;

    /// Parses a header value. Surrounding spaces and tabs are ignored. A version above 00 may have
    /// more fields, which are ignored.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.trim_matches([' ', '\t']).as_bytes();
        let length = TraceParentError::Length { found: bytes.len() };
        let (Some(fields), rest) = (
            bytes.first_chunk::<LENGTH>(),
            bytes.get(LENGTH..).unwrap_or_default(),
        ) else {
            return Err(length);
        };
        let version = hex(&fields[..2]).ok_or(TraceParentError::Version)?;
        if version == u128::from(FORBIDDEN_VERSION) {
            return Err(TraceParentError::Version);
        }
        if version == 0 && !rest.is_empty() {
            return Err(length);
        }
        // Several headers were joined by commas, so the parent is ambiguous.
        if [fields[2], fields[35], fields[52]] != [b'-'; 3]
            || !matches!(rest, [] | [b'-', ..])
            || rest.contains(&b',')
        {
            return Err(TraceParentError::Separator);
        }
        let trace_id = hex(&fields[3..35])
            .filter(|&id| id != 0)
            .ok_or(TraceParentError::TraceId)?;
        let span_id = hex(&fields[36..52])
            .filter(|&id| id != 0)
            .ok_or(TraceParentError::SpanId)?;
        let flags = hex(&fields[53..]).ok_or(TraceParentError::Flags)?;
        // The strings have sixteen and two digits, so the conversions are lossless.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the fields have 16 and 2 hexadecimal digits"
        )]
        Ok(Self {
            trace_id: TraceId::from(trace_id),
            span_id: SpanId::from(span_id as u64),
            flags: flags as u8 & KNOWN_FLAGS,
        })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{}-{}-{:02x}",
            self.trace_id, self.span_id, self.flags
        )
    }
}

/// Parses at most 32 lower-case hexadecimal digits.
pub(super) fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}
