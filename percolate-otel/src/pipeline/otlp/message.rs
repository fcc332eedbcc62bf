//! What a collector's response contains about rejected data, and its message without the program's
//! data. Invariant: a message is one line of at most [`LONGEST`] bytes, and no word of it that may
//! come from the request or its headers is kept.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_core::de::DeserializeOwned;

/// The longest response in bytes that is read.
pub(super) const MAX_RESPONSE: usize = 4 * 1024 * 1024;
/// The maximum length of a message in bytes.
const LONGEST: usize = 240;
/// Shorter words are kept: they occur in almost every request.
const SHORTEST_CHECKED: usize = 4;
/// Longer words may be identifiers.
const LONGEST_WORD: usize = 24;
const OMITTED: &str = "…";

/// The response to an export.
pub(super) trait ExportResponse: Message + Default + DeserializeOwned {
    /// Returns the number of rejected items and the collector's message.
    fn rejected(self) -> (i64, String);
}

macro_rules! responses {
    ($($response:ty: $count:ident;)*) => {$(
        impl ExportResponse for $response {
            fn rejected(self) -> (i64, String) {
                let partial = self.partial_success.unwrap_or_default();
                (partial.$count, partial.error_message)
            }
        }
    )*};
}

responses! {
    ExportTraceServiceResponse: rejected_spans;
    ExportMetricsServiceResponse: rejected_data_points;
    ExportLogsServiceResponse: rejected_log_records;
}

/// Returns the words of a collector's message that cannot be the program's data: plain words and
/// short numbers that occur neither in the request nor in `secrets`. Other words are replaced with
/// `…`. Returns `None` if no word is left.
pub(super) fn public_message(message: &str, request: &[u8], secrets: &[String]) -> Option<String> {
    let mut text = String::new();
    let mut has_word = false;
    for word in message.split_whitespace() {
        let is_public = is_public(word, request, secrets);
        has_word |= is_public;
        let word = if is_public { word } else { OMITTED };
        if word == OMITTED && text.ends_with(OMITTED) {
            continue;
        }
        if text.len() + word.len() + 2 * OMITTED.len() > LONGEST {
            if !text.ends_with(OMITTED) {
                text.push_str(OMITTED);
            }
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    has_word.then_some(text)
}

fn is_public(word: &str, request: &[u8], secrets: &[String]) -> bool {
    let word = word.trim_matches(['.', ',', ':', ';', '!', '?', '(', ')']);
    let is_plain =
        word.len() <= LONGEST_WORD && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_number = word.len() < SHORTEST_CHECKED && word.bytes().all(|byte| byte.is_ascii_digit());
    if word.is_empty() || !(is_plain || is_number) {
        return false;
    }
    word.len() < SHORTEST_CHECKED
        || !(contains(request, word)
            || secrets
                .iter()
                .any(|secret| contains(secret.as_bytes(), word)))
}

fn contains(text: &[u8], word: &str) -> bool {
    text.windows(word.len())
        .any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(message: &str) -> Option<String> {
        public_message(
            message,
            b"\x0a\x09canaryone\x12\x0bCanaryTwo",
            &["Bearer canarythree".to_owned()],
        )
    }

    #[test]
    fn a_message_keeps_its_plain_words() {
        let text = "quota exceeded: 100 spans a second, for this tenant.";
        assert_eq!(message(text).as_deref(), Some(text));
    }

    #[test]
    fn a_message_has_no_data_of_the_request_and_no_header() {
        let text =
            "invalid\n value 'x' of canaryone, canarytwo canarythree a@b.c 4711 k=v: rejected";
        assert_eq!(
            message(text).as_deref(),
            Some("invalid value … of … rejected")
        );
        assert_eq!(message("canaryone a@b.c"), None);
        assert_eq!(message(""), None);
    }

    #[test]
    fn a_message_is_bounded() {
        let long = message(&"rejected ".repeat(1_000_000)).expect("words");
        assert!(long.len() <= LONGEST && long.ends_with('…'), "{long}");
        let long = message(&"e".repeat(1_000_000));
        assert_eq!(long, None);
    }
}
