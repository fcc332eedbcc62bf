//! The `tracestate` header: the entries of tracing systems, forwarded unchanged and in order. The
//! SDK's `TraceState` rejects keys that Level 2 allows. If it does, the complete text is kept in the
//! `Context` (see `received`).
//!
//! A [`StateList`] is never empty and has at most 32 valid members with distinct keys. Of two members
//! with the same key, the first is kept, because it is the newer one. One invalid member invalidates
//! the whole list, which is discarded; the trace continues without it.

use std::borrow::Cow;

use opentelemetry::trace::TraceState;

/// The maximum number of members.
const MAX_MEMBERS: usize = 32;
/// The maximum length of a key, and of a value.
const MAX_PART: usize = 256;
/// Longer members are removed first when a list is shortened.
const LONG_MEMBER: usize = 128;
/// The maximum length of an outgoing header. The standard requires at least 512; servers commonly
/// reject header lines above 8 KiB.
const MAX_OUTGOING: usize = 4096;

/// The members of a `tracestate` header, joined by commas without white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateList(String);

impl StateList {
    /// Parses a header value. Several header lines must be joined by commas. Returns `None` if the
    /// list is empty or invalid.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut members: Vec<(&str, &str)> = Vec::new();
        let listed = text
            .split(',')
            .map(|member| member.trim_matches([' ', '\t']))
            .filter(|member| !member.is_empty());
        for (count, member) in listed.enumerate() {
            let (key, value) = member
                .split_once('=')
                .filter(|(key, value)| is_key(key) && is_value(value))?;
            if count == MAX_MEMBERS {
                return None;
            }
            if members.iter().all(|(known, _)| *known != key) {
                members.push((key, value));
            }
        }
        Self::join(members)
    }

    /// Creates a list from the SDK's type. Returns `None` if it is empty.
    pub(crate) fn from_sdk(state: &TraceState) -> Option<Self> {
        Self::join(state)
    }

    /// Returns the SDK's type with every member that it accepts, and whether these are all members.
    pub(crate) fn to_sdk(&self) -> (TraceState, bool) {
        if let Ok(state) = TraceState::from_key_value(self.members()) {
            return (state, true);
        }
        let accepted = self
            .members()
            .filter(|member| TraceState::from_key_value([*member]).is_ok());
        (
            TraceState::from_key_value(accepted).unwrap_or_default(),
            false,
        )
    }

    /// Returns the members of `changed`, followed by those of this list that the SDK's type could not
    /// hold.
    pub(crate) fn merge_changed(&self, changed: &TraceState) -> Option<Self> {
        let unheld = self
            .members()
            .filter(|member| TraceState::from_key_value([*member]).is_err());
        Self::join(changed.into_iter().chain(unheld).take(MAX_MEMBERS))
    }

    /// Returns the header value to send. Whole members are removed: first long ones, then the last.
    pub(crate) fn outgoing(&self) -> Cow<'_, str> {
        if self.0.len() <= MAX_OUTGOING {
            return Cow::Borrowed(&self.0);
        }
        let mut members: Vec<&str> = self.0.split(',').collect();
        while joined_length(&members) > MAX_OUTGOING {
            let dropped = members
                .iter()
                .rposition(|member| member.len() > LONG_MEMBER)
                .unwrap_or(members.len() - 1);
            members.remove(dropped);
        }
        Cow::Owned(members.join(","))
    }

    /// Returns the whole list as text.
    #[cfg(test)]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .split(',')
            .filter_map(|member| member.split_once('='))
    }

    fn join<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let mut text = String::new();
        for (key, value) in members {
            let separator = if text.is_empty() { "" } else { "," };
            text.extend([separator, key, "=", value]);
        }
        (!text.is_empty()).then_some(Self(text))
    }
}

fn joined_length(members: &[&str]) -> usize {
    members
        .iter()
        .map(|member| member.len() + 1)
        .sum::<usize>()
        .saturating_sub(1)
}

fn is_key(key: &str) -> bool {
    let first = key
        .as_bytes()
        .first()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    first
        && key.len() <= MAX_PART
        && key.bytes().all(
            |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@'),
        )
}

fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= MAX_PART
        && !value.ends_with(' ')
        && value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=')
}
