//! Arrow columns as the JSON of entities: the inverse of what `rows` and `values` do for queries, and
//! the forms that Python's values have.
//!
//! A type without a JSON form is found before any row is read. A value without one, such as NaN, makes
//! its row invalid. Messages contain no values.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDateTime, NaiveTime, Offset as _, TimeZone as _, Timelike as _};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray as _};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Date64Type, Float32Type, Float64Type, Int64Type, TimeUnit, UInt64Type,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::temporal_conversions::{date32_to_datetime, date64_to_datetime};
use datafusion::arrow::util::display::array_value_to_string;
use serde_json::{Map, Number, Value};

/// What a field of a schema allows, as far as it decides about the form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Text only. Decimals are text.
    Text,
    /// No text. Text is parsed as JSON, which is the form of such fields in SQL.
    NoText,
    Any,
}

const NANOS: i64 = 1_000_000_000;

/// Returns whether a type has a JSON form.
pub(super) fn has_json(kind: &DataType) -> bool {
    match kind {
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Interval(_)
        | DataType::Union(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => false,
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            has_json(field.data_type())
        }
        DataType::Struct(fields) => fields.iter().all(|field| has_json(field.data_type())),
        DataType::Map(field, _) => match field.data_type() {
            DataType::Struct(entries) => {
                is_text(entries[0].data_type()) && has_json(entries[1].data_type())
            }
            _ => false,
        },
        DataType::Dictionary(_, values) => has_json(values),
        DataType::RunEndEncoded(_, values) => has_json(values.data_type()),
        _ => true,
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// The values of a column. A value that JSON cannot represent is the reason.
pub(super) type Values = Vec<Result<Value, String>>;

/// Converts a column.
///
/// # Errors
/// The error of Arrow if the column cannot be read.
pub(super) fn values_of(column: &ArrayRef, form: Form) -> Result<Values, ArrowError> {
    if !has_json(column.data_type()) {
        return Err(ArrowError::NotYetImplemented(format!(
            "the type {} has no form in JSON",
            column.data_type()
        )));
    }
    let mut values = non_null_values(column, form)?;
    for (at, value) in values.iter_mut().enumerate() {
        if column.is_null(at) {
            *value = Ok(Value::Null);
        }
    }
    Ok(values)
}

/// Converts a column, with any values in place of nulls.
fn non_null_values(column: &ArrayRef, form: Form) -> Result<Values, ArrowError> {
    let texts = |texts: &mut dyn Iterator<Item = Option<&str>>| {
        texts
            .map(|text| Ok(text_value(text.unwrap_or_default(), form)))
            .collect()
    };
    let length = column.len();
    Ok(match column.data_type() {
        DataType::Null => vec![Ok(Value::Null); length],
        DataType::Boolean => {
            let values = column.as_boolean();
            (0..length).map(|at| Ok(values.value(at).into())).collect()
        }
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let values = cast(column, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>().values().iter();
            values.map(|value| Ok((*value).into())).collect()
        }
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            let values = cast(column, &DataType::UInt64)?;
            let values = values.as_primitive::<UInt64Type>().values().iter();
            values.map(|value| Ok((*value).into())).collect()
        }
        DataType::Float16 | DataType::Float32 => {
            let values = cast(column, &DataType::Float32)?;
            let values = values.as_primitive::<Float32Type>().values().iter();
            values.map(|value| finite(f64::from(*value))).collect()
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().values().iter();
            values.map(|value| finite(*value)).collect()
        }
        DataType::Utf8 => texts(&mut column.as_string::<i32>().iter()),
        DataType::LargeUtf8 => texts(&mut column.as_string::<i64>().iter()),
        DataType::Utf8View => texts(&mut column.as_string_view().iter()),
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().values().iter();
            days.map(|days| date(date32_to_datetime(*days))).collect()
        }
        DataType::Date64 => {
            let millis = column.as_primitive::<Date64Type>().values().iter();
            millis
                .map(|millis| date(date64_to_datetime(*millis)))
                .collect()
        }
        DataType::Time32(unit) | DataType::Time64(unit) => ticks(column)?
            .into_iter()
            .map(|ticks| time(ticks, *unit))
            .collect(),
        DataType::Timestamp(unit, zone) => {
            let zone = zone.as_deref().map(str::parse::<Tz>).transpose()?;
            ticks(column)?
                .into_iter()
                .map(|ticks| timestamp(ticks, *unit, zone))
                .collect()
        }
        DataType::Duration(unit) => ticks(column)?
            .into_iter()
            .map(|ticks| Ok(Value::String(duration(ticks, *unit))))
            .collect(),
        DataType::List(_) => lists(length, |at| column.as_list::<i32>().value(at)),
        DataType::LargeList(_) => lists(length, |at| column.as_list::<i64>().value(at)),
        DataType::FixedSizeList(..) => lists(length, |at| column.as_fixed_size_list().value(at)),
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns().iter();
            let columns = columns
                .map(|column| values_of(column, Form::Any))
                .collect::<Result<Vec<_>, _>>()?;
            let names = fields.iter().map(|field| field.name().clone());
            rows_of(&names.collect::<Vec<_>>(), columns, length)
                .map(|row| row.map(Value::Object))
                .collect()
        }
        DataType::Map(..) => {
            let maps = column.as_map();
            (0..length)
                .map(|at| {
                    let entries = maps.value(at);
                    let names = values_of(entries.column(0), Form::Text);
                    let values = values_of(entries.column(1), Form::Any);
                    object(names, values)
                })
                .collect()
        }
        DataType::Dictionary(_, values) => values_of(&cast(column, values)?, form)?,
        DataType::RunEndEncoded(_, values) => values_of(&cast(column, values.data_type())?, form)?,
        // Decimals.
        _ => (0..length)
            .map(|at| {
                let text = array_value_to_string(column, at).map_err(|error| error.to_string())?;
                decimal(&text, form)
            })
            .collect(),
    })
}

/// Assembles rows of named columns.
pub(super) fn rows_of(
    names: &[String],
    columns: Vec<Values>,
    length: usize,
) -> impl Iterator<Item = Result<Map<String, Value>, String>> {
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    (0..length).map(move |_| {
        let mut row = Ok(Map::new());
        // All columns advance, also if one of them has no value.
        for (name, column) in names.iter().zip(&mut columns) {
            let value = column.next().unwrap_or(Ok(Value::Null));
            row = match (row, value) {
                (Ok(mut row), Ok(value)) => {
                    row.insert(name.clone(), value);
                    Ok(row)
                }
                (Ok(_), Err(reason)) => Err(format!("`{name}` {reason}")),
                (refused, _) => refused,
            };
        }
        row
    })
}

fn object(
    names: Result<Values, ArrowError>,
    values: Result<Values, ArrowError>,
) -> Result<Value, String> {
    let failed = |error: ArrowError| error.to_string();
    let entries = names.map_err(failed)?.into_iter();
    let entries = entries.zip(values.map_err(failed)?);
    let mut object = Map::new();
    for (name, value) in entries {
        if let Value::String(name) = name? {
            object.insert(name, value?);
        }
    }
    Ok(Value::Object(object))
}

fn lists(length: usize, list: impl Fn(usize) -> ArrayRef) -> Values {
    (0..length)
        .map(|at| {
            let items = values_of(&list(at), Form::Any).map_err(|error| error.to_string())?;
            items.into_iter().collect::<Result<Vec<_>, _>>()
        })
        .map(|items| items.map(Value::Array))
        .collect()
}

/// Returns text, or the JSON in it where the schema allows no text. Text that is not JSON is left to
/// the schema to refuse.
fn text_value(text: &str, form: Form) -> Value {
    let json = match form {
        Form::NoText => serde_json::from_str(text).ok(),
        Form::Text | Form::Any => None,
    };
    json.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn finite(number: f64) -> Result<Value, String> {
    Number::from_f64(number)
        .map(Value::Number)
        .ok_or_else(|| "is not a finite number".to_owned())
}

/// Returns the form of a decimal: text where the schema allows only text, otherwise an integer if it
/// is written without a fraction, otherwise a float.
fn decimal(text: &str, form: Form) -> Result<Value, String> {
    if form == Form::Text {
        return Ok(Value::String(text.to_owned()));
    }
    if text.contains('.') {
        return text
            .parse()
            .map_err(|_| "is not a number".to_owned())
            .and_then(finite);
    }
    let signed = text.parse::<i64>().map(Number::from);
    let number = signed.or_else(|_| text.parse::<u64>().map(Number::from));
    number
        .map(Value::Number)
        .map_err(|_| "is an integer that does not fit into 64 bits".to_owned())
}

/// Returns the numbers of a column of times.
fn ticks(column: &ArrayRef) -> Result<Vec<i64>, ArrowError> {
    let numbers = match column.data_type() {
        DataType::Time32(_) => cast(&cast(column, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(column, &DataType::Int64)?,
    };
    Ok(numbers.as_primitive::<Int64Type>().values().to_vec())
}

fn units(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => NANOS,
    }
}

/// Splits a time into seconds and nanoseconds.
fn split(ticks: i64, unit: TimeUnit) -> (i64, u32) {
    let per_second = units(unit);
    let nanos = ticks.rem_euclid(per_second) * (NANOS / per_second);
    (
        ticks.div_euclid(per_second),
        u32::try_from(nanos).unwrap_or_default(),
    )
}

fn out_of_range() -> String {
    "is a time outside of the calendar".to_owned()
}

fn date(time: Option<NaiveDateTime>) -> Result<Value, String> {
    let time = time.ok_or_else(out_of_range)?;
    Ok(Value::String(time.format("%Y-%m-%d").to_string()))
}

fn time(ticks: i64, unit: TimeUnit) -> Result<Value, String> {
    let (seconds, nanos) = split(ticks, unit);
    let time = u32::try_from(seconds)
        .ok()
        .and_then(|seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos));
    let time = time.ok_or_else(out_of_range)?;
    Ok(Value::String(format!(
        "{}{}",
        time.format("%H:%M:%S"),
        fraction(nanos)
    )))
}

/// Returns a time as Python's `isoformat` writes it, with an offset if the column has a time zone.
fn timestamp(ticks: i64, unit: TimeUnit, zone: Option<Tz>) -> Result<Value, String> {
    let (seconds, nanos) = split(ticks, unit);
    let utc = DateTime::from_timestamp(seconds, nanos).ok_or_else(out_of_range)?;
    let utc = utc.naive_utc();
    let offset = zone.map(|zone| zone.offset_from_utc_datetime(&utc).fix());
    let local = match offset {
        Some(offset) => utc.checked_add_offset(offset).ok_or_else(out_of_range)?,
        None => utc,
    };
    let mut text = format!(
        "{}{}",
        local.format("%Y-%m-%dT%H:%M:%S"),
        fraction(local.nanosecond())
    );
    if let Some(offset) = offset {
        // Writing to a string cannot fail.
        _ = write!(text, "{offset}");
    }
    Ok(Value::String(text))
}

/// Returns the fraction of a second with six digits, nine if it needs them, or nothing.
fn fraction(nanos: u32) -> String {
    match (nanos, nanos % 1000) {
        (0, _) => String::new(),
        (nanos, 0) => format!(".{:06}", nanos / 1000),
        (nanos, _) => format!(".{nanos:09}"),
    }
}

/// Returns a duration in the format of ISO 8601: `P1DT2H3M4.5S`.
fn duration(ticks: i64, unit: TimeUnit) -> String {
    let per_second = units(unit).unsigned_abs();
    let (seconds, rest) = (
        ticks.unsigned_abs() / per_second,
        ticks.unsigned_abs() % per_second,
    );
    let nanos = rest * (NANOS.unsigned_abs() / per_second);
    let part = |number: u64, unit: char| match number {
        0 => String::new(),
        number => format!("{number}{unit}"),
    };
    let fraction = fraction(u32::try_from(nanos).unwrap_or_default());
    let last = match (seconds % 60, fraction.trim_end_matches('0')) {
        (0, "") if ticks == 0 => "0S".to_owned(),
        (0, "") => String::new(),
        (seconds, fraction) => format!("{seconds}{fraction}S"),
    };
    let date = part(seconds / 86_400, 'D');
    let time = [
        part(seconds / 3600 % 24, 'H'),
        part(seconds / 60 % 60, 'M'),
        last,
    ]
    .concat();
    let sign = if ticks < 0 { "-" } else { "" };
    let separator = if time.is_empty() { "" } else { "T" };
    format!("{sign}P{date}{separator}{time}")
}
