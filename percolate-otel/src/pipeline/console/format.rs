//! Durations, counts and attribute values as readable text.

use std::time::Duration;

use opentelemetry::{Array, KeyValue, Value};

/// Formats seconds with three significant digits and a unit: `412 ns`, `9.10 µs`, `1.24 s`.
pub(super) fn seconds(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s if s >= 1e-6 => (s * 1e6, "µs"),
        s => (s * 1e9, "ns"),
    };
    let digits = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ if unit == "ns" => 0,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

pub(super) fn duration(duration: Duration) -> String {
    seconds(duration.as_secs_f64())
}

/// Formats a count with grouped thousands: `12 345`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats `key=value`. A value that is not a single word is quoted; a long one is truncated.
pub(super) fn attribute(attribute: &KeyValue) -> String {
    format!("{}={}", attribute.key, value(&attribute.value))
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => word(text.as_str()),
        Value::Array(Array::String(texts)) => {
            format!(
                "[{}]",
                texts
                    .iter()
                    .map(|text| word(text.as_str()))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        other => other.to_string(),
    }
}

fn word(text: &str) -> String {
    const LONGEST: usize = 120;
    let shown: String = text.chars().take(LONGEST).collect();
    let cut = if shown.len() < text.len() { "…" } else { "" };
    let plain = !shown.is_empty()
        && !shown.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
    if plain {
        format!("{shown}{cut}")
    } else {
        format!("{shown:?}{cut}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_and_a_fitting_unit() {
        let shown = [4.12e-7, 9.1e-6, 1.234e-3, 0.099_99, 0.1234, 1.0, 75.0].map(seconds);
        assert_eq!(
            shown,
            [
                "412 ns", "9.10 µs", "1.23 ms", "100 ms", "123 ms", "1.00 s", "75.0 s"
            ]
        );
    }

    #[test]
    fn values_other_than_single_words_are_quoted() {
        let shown = [
            attribute(&KeyValue::new("db.query.text", "SELECT * FROM articles")),
            attribute(&KeyValue::new("db.collection.name", "articles")),
            attribute(&KeyValue::new("db.response.returned_rows", 3_i64)),
            attribute(&KeyValue::new("empty", "")),
        ];
        let expected = [
            "db.query.text=\"SELECT * FROM articles\"",
            "db.collection.name=articles",
            "db.response.returned_rows=3",
            "empty=\"\"",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn large_counts_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1 000", "1 234 567"]
        );
    }
}
