//! The `tracestate` header: vendors' own entries, kept in order and passed on as they came. The SDK's `TraceState`
//! refuses keys that Level 2 allows; where it does, the text lives in the context beside it (see `attach`).
//!
//! A [`StateList`] is never empty and holds at most 32 valid members with distinct keys (of two with the same key the first, which is the newer, stays). One invalid member makes the
//! whole list invalid: it is discarded, the trace goes on without it.

use std::borrow::Cow;

use opentelemetry::trace::TraceState;

/// The most members a list may have.
const MAX_MEMBERS: usize = 32;
/// The longest key, and the longest value.
const MAX_PART: usize = 256;
/// Members longer than this are the first to go when a list is cut.
const LONG_MEMBER: usize = 128;
/// What goes out at most. The standard asks for at least 512; servers commonly refuse header lines above 8 KiB.
const MAX_OUTGOING: usize = 4096;

/// The members of a `tracestate` header, joined by commas without white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateList(String);

impl StateList {
    /// Reads a header value; several header lines are joined by commas before. `None` if there is nothing to keep.
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

    /// What the SDK's type holds, as text. An empty one is `None`.
    pub(crate) fn from_sdk(state: &TraceState) -> Option<Self> {
        Self::join(state)
    }

    /// The SDK's type with every member it accepts; `true` if that is all of them.
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

    /// The members of `changed` in front, then those of this list that the SDK's type could not hold.
    pub(crate) fn merge_changed(&self, changed: &TraceState) -> Option<Self> {
        let unheld = self
            .members()
            .filter(|member| TraceState::from_key_value([*member]).is_err());
        Self::join(changed.into_iter().chain(unheld).take(MAX_MEMBERS))
    }

    /// The header value to send: whole members, longest first to go, then from the end.
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

    /// The whole list as text.
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
