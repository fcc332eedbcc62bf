//! Converting JSON values to column values: the values that SQL compares and indexes are sorted by.
//! A value that the column's type cannot represent becomes null.

use chrono::Utc;
use datafusion::arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use datafusion::arrow::datatypes::Date32Type;
use datafusion::common::ScalarValue;
use serde_json::Value;

use super::columns::Kind;
use crate::storage::keys::FieldValue;

/// Returns the value of a field in a column. Dates are days and times are microseconds since
/// 1970-01-01 UTC.
///
/// Values that the type cannot represent become null. They occur because the data may be older than
/// the schema, and because formats are not enforced.
pub(super) fn column_value(kind: &Kind, value: &Value) -> FieldValue {
    let held = match (kind, value) {
        (_, Value::Null) => None,
        (Kind::Text | Kind::Json, Value::String(text)) => Some(FieldValue::Text(text.clone())),
        (Kind::Json, other) => Some(FieldValue::Text(other.to_string())),
        (Kind::Integer, Value::Number(number)) => number
            .as_i64()
            .or_else(|| number.as_f64().and_then(integral))
            .map(FieldValue::Integer),
        (Kind::Float, Value::Number(number)) => number.as_f64().map(float),
        (Kind::Boolean, Value::Bool(value)) => Some(FieldValue::Bool(*value)),
        (Kind::Date, Value::String(text)) => {
            parse_date(text).map(|days| FieldValue::Integer(days.into()))
        }
        (Kind::Timestamp, Value::String(text)) => parse_timestamp(text).map(FieldValue::Integer),
        _ => None,
    };
    held.unwrap_or(FieldValue::Null)
}

/// Converts a constant of a query to a value of a column. Returns `None` if it is null or has
/// another type.
pub(super) fn constant(kind: &Kind, literal: &ScalarValue) -> Option<FieldValue> {
    Some(match (kind, literal) {
        (
            Kind::Text | Kind::Json,
            ScalarValue::Utf8(Some(text))
            | ScalarValue::Utf8View(Some(text))
            | ScalarValue::LargeUtf8(Some(text)),
        ) => FieldValue::Text(text.clone()),
        (Kind::Integer, ScalarValue::Int64(Some(number))) => FieldValue::Integer(*number),
        (Kind::Float, ScalarValue::Float64(Some(number))) => float(*number),
        (Kind::Boolean, ScalarValue::Boolean(Some(value))) => FieldValue::Bool(*value),
        (Kind::Date, ScalarValue::Date32(Some(days))) => FieldValue::Integer((*days).into()),
        (Kind::Timestamp, ScalarValue::TimestampMicrosecond(Some(micros), _)) => {
            FieldValue::Integer(*micros)
        }
        _ => return None,
    })
}

/// Converts a float. Negative zero becomes zero, as in the indexes.
fn float(number: f64) -> FieldValue {
    FieldValue::Float(if number == 0.0 { 0.0 } else { number })
}

/// Converts a float without a fraction to an integer. In JSON Schema, `1.0` is an integer.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the number is whole and within bounds"
)]
fn integral(number: f64) -> Option<i64> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    (number.fract() == 0.0 && (-BEYOND..BEYOND).contains(&number)).then_some(number as i64)
}

/// Parses a date such as `2026-11-22` into days.
fn parse_date(text: &str) -> Option<i32> {
    (text.len() == 10 && begins_with_date(text))
        .then(|| Date32Type::parse(text))
        .flatten()
}

/// Parses a time such as `2026-11-22T15:04:05.000000Z` into microseconds. A time without an offset
/// is in UTC. Arrow's own parser of microseconds goes through nanoseconds, which end in 2262.
fn parse_timestamp(text: &str) -> Option<i64> {
    (text.len() > 10 && begins_with_date(text))
        .then(|| parse_moment(text))
        .flatten()
}

/// Parses a date or a time in any of Arrow's forms into microseconds.
pub(super) fn parse_moment(text: &str) -> Option<i64> {
    let moment = string_to_datetime(&Utc, text).ok()?;
    Some(moment.timestamp_micros())
}

/// Returns `true` if the text begins with a date. Index lookups rely on this: texts of dates and
/// times sort by the day that they begin with.
fn begins_with_date(text: &str) -> bool {
    let shape = |(at, byte): (usize, u8)| {
        if matches!(at, 4 | 7) {
            byte == b'-'
        } else {
            byte.is_ascii_digit()
        }
    };
    text.bytes().take(10).enumerate().all(shape)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn integer(kind: &Kind, value: &Value) -> Option<i64> {
        match column_value(kind, value) {
            FieldValue::Integer(number) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_written() {
        assert_eq!(integer(&Kind::Integer, &json!(1.0)), Some(1));
        assert_eq!(integer(&Kind::Integer, &json!(i64::MIN)), Some(i64::MIN));
        for other in [
            json!(1.5),
            json!(u64::MAX),
            json!(1e300),
            json!("1"),
            json!([1]),
        ] {
            assert_eq!(column_value(&Kind::Integer, &other), FieldValue::Null);
        }
    }

    #[test]
    fn times_are_read_with_any_offset_and_without() {
        let time = |text: &str| integer(&Kind::Timestamp, &json!(text));
        assert_eq!(time("1970-01-01T00:00:01Z"), Some(1_000_000));
        assert_eq!(time("1970-01-01T02:00:00.0000015+02:00"), Some(1));
        assert_eq!(time("1970-01-01 00:00:01"), Some(1_000_000));
        assert_eq!(time("9999-12-31T23:59:59Z"), Some(253_402_300_799_000_000));
        assert_eq!(time("0001-01-01T00:00:00Z"), Some(-62_135_596_800_000_000));
        assert_eq!(
            time("1500-06-01T12:00:00.25+01:00"),
            Some(-14_818_683_599_750_000)
        );
        for other in [
            "19700101T000001Z",
            "1970-01-01",
            "tomorrow",
            "",
            "1970-13-01T00:00:00Z",
        ] {
            assert_eq!(time(other), None, "{other}");
        }
    }

    #[test]
    fn dates_are_read_in_their_one_form() {
        let date = |text: &str| integer(&Kind::Date, &json!(text));
        assert_eq!(date("1970-01-02"), Some(1));
        for other in [
            "1970-1-2",
            "19700102",
            "1970-01-02T00:00:00Z",
            "1970-02-30",
            "üüüüü",
        ] {
            assert_eq!(date(other), None, "{other}");
        }
    }

    #[test]
    fn text_of_any_kind_shows_strings_as_they_are_and_the_rest_as_json() {
        let text = |value| column_value(&Kind::Json, &value);
        assert_eq!(text(json!("a")), FieldValue::Text("a".to_owned()));
        assert_eq!(
            text(json!({ "a": [1] })),
            FieldValue::Text("{\"a\":[1]}".to_owned())
        );
        assert_eq!(text(json!(null)), FieldValue::Null);
        assert_eq!(column_value(&Kind::Text, &json!(1)), FieldValue::Null);
    }
}
