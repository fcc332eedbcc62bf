//! The `baggage` header within the limits of W3C Baggage: at most 64 members and 8192 bytes. Baggage
//! can contain confidential values, so it is forwarded only on request.
//!
//! Invalid members, and members above the limits, are dropped one by one; the others are kept.

use opentelemetry::baggage::Baggage;

const MAX_MEMBERS: usize = 64;
const MAX_BYTES: usize = 8192;

/// Returns the members of a `baggage` header value that can be kept, `None` if there are none.
pub(crate) fn bounded(text: &str) -> Option<String> {
    let mut kept = String::new();
    let members = text
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|m| split_member(m).is_some());
    for member in members.take(MAX_MEMBERS) {
        let separator = usize::from(!kept.is_empty());
        if kept.len() + separator + member.len() > MAX_BYTES {
            break;
        }
        kept.extend([if kept.is_empty() { "" } else { "," }, member]);
    }
    (!kept.is_empty()).then_some(kept)
}

/// Parses a header value into the SDK's type. Values are percent-decoded.
pub(crate) fn parse(text: &str) -> Baggage {
    let mut baggage = Baggage::new();
    for (key, value, properties) in text.split(',').filter_map(split_member).take(MAX_MEMBERS) {
        baggage.insert_with_metadata(key.to_owned(), decode(value), properties);
    }
    baggage
}

/// Returns the header value for the SDK's type, `None` if it is empty.
pub(crate) fn print(baggage: &Baggage) -> Option<String> {
    bounded(&baggage.to_string())
}

/// Returns the key, the encoded value, and the properties after the first `;`.
fn split_member(member: &str) -> Option<(&str, &str, &str)> {
    let (pair, properties) = member.split_once(';').unwrap_or((member, ""));
    let (key, value) = pair.split_once('=')?;
    let (key, value) = (
        key.trim_matches([' ', '\t']),
        value.trim_matches([' ', '\t']),
    );
    let valid = is_token(key)
        && value.bytes().all(is_value_byte)
        && properties.bytes().all(is_property_byte);
    valid.then_some((key, value, properties.trim_matches([' ', '\t'])))
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_value_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

fn is_property_byte(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b';') || is_value_byte(byte)
}

/// Percent-decodes a value. Invalid UTF-8 becomes replacement characters, as the standard requires.
fn decode(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| tail.first_chunk::<2>().and_then(|digits| hex_pair(*digits)))
            .flatten();
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_pair([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(digit(high)? << 4 | digit(low)?)
}
