//! Access paths: reading the rows of a table by id, by key, through a field index, or with a scan.
//!
//! An access path may find more rows than the query selects, but never fewer: every pushed-down
//! filter is re-checked on every row.

use std::fmt;

use serde_json::Value;
use uuid::Uuid;

use super::columns::{Column, Kind, Source};
use super::filters::{Extent, Restriction, tidy};
use crate::schema::Schema;
use crate::schema::entity::{Timestamp, field_value};
use crate::storage::keys::{FieldValue, ValueRange};

/// Microseconds.
const DAY: i64 = 86_400_000_000;

/// An access path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Access {
    /// By id.
    Ids(Vec<Uuid>),
    /// Through the key index.
    Keys(Vec<String>),
    /// Through the index of a field. The ranges are sorted and do not overlap.
    Field {
        field: String,
        ranges: Vec<ValueRange>,
        /// `true` if rows that violate the schema would be missed.
        trusts_rules: bool,
    },
    /// A scan of the table, or of the ids within the bounds (both inclusive).
    Scan {
        first: Option<Uuid>,
        last: Option<Uuid>,
    },
}

impl Access {
    pub(super) const SCAN: Self = Self::Scan {
        first: None,
        last: None,
    };

    /// Chooses the access path with the lowest estimated number of rows.
    pub(super) fn choose(
        schema: &Schema,
        columns: &[Column],
        restrictions: &[Restriction],
    ) -> Self {
        let paths = restrictions.iter().filter_map(|restriction| {
            let column = &columns[restriction.column];
            let extent = restriction.extent(&column.kind);
            if extent == Extent::Everything {
                return None;
            }
            let path = match &column.source {
                Source::Id => by_id(restriction),
                Source::Field(field) => {
                    by_key(schema, field, &column.kind, restriction).or_else(|| {
                        let indexed = schema.indexed_fields().contains(field);
                        let ranges = indexed
                            .then(|| index_ranges(&column.kind, restriction))
                            .flatten()?;
                        let trusts_rules =
                            column.kind != Kind::Json && restriction.allows(&FieldValue::Null);
                        Some(Self::Field {
                            field: field.clone(),
                            ranges,
                            trusts_rules,
                        })
                    })
                }
                Source::CreatedAt | Source::UpdatedAt | Source::Data => None,
            }?;
            Some((path.cost(extent), path))
        });
        paths
            .min_by_key(|(cost, _)| *cost)
            .map_or(Self::SCAN, |(_, path)| path)
    }

    /// Estimates the number of rows without reading any. Lower values are better.
    fn cost(&self, extent: Extent) -> (u8, usize) {
        match (self, extent) {
            (Self::Ids(ids), _) => (0, ids.len()),
            (Self::Keys(keys), _) => (1, keys.len()),
            (_, Extent::Values(count)) => (2, count),
            (_, Extent::Between) => (3, 0),
            (_, Extent::OneSided) => (4, 0),
            (_, Extent::Everything) => (5, 0),
        }
    }
}

impl fmt::Display for Access {
    /// Formats the access path for `EXPLAIN`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ids(ids) => write!(formatter, "by id, {}", counted(ids.len(), "id")),
            Self::Keys(keys) => write!(formatter, "by key, {}", counted(keys.len(), "key")),
            Self::Field { field, ranges, .. } => {
                write!(
                    formatter,
                    "index of {field}, {}",
                    counted(ranges.len(), "range")
                )
            }
            Self::Scan {
                first: None,
                last: None,
            } => formatter.write_str("all rows"),
            Self::Scan { .. } => formatter.write_str("a range of ids"),
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Chooses access by id. Ids are compared as text, so only text in the canonical form of an id
/// matches.
fn by_id(restriction: &Restriction) -> Option<Access> {
    let id = |value: &FieldValue| match value {
        FieldValue::Text(text) => Uuid::try_parse(text)
            .ok()
            .filter(|id| id.to_string() == *text),
        _ => None,
    };
    if let Some(values) = restriction.values() {
        return Some(Access::Ids(values.iter().filter_map(id).collect()));
    }
    let first = restriction
        .ranges
        .first()
        .and_then(ValueRange::first)
        .as_ref()
        .and_then(id);
    let last = restriction
        .ranges
        .last()
        .and_then(ValueRange::end)
        .as_ref()
        .and_then(id);
    (first.is_some() || last.is_some()).then_some(Access::Scan { first, last })
}

fn by_key(schema: &Schema, field: &str, kind: &Kind, restriction: &Restriction) -> Option<Access> {
    let shows_keys = matches!(kind, Kind::Text | Kind::Json | Kind::Integer | Kind::Float);
    if schema.key_field() != Some(field) || !shows_keys {
        return None;
    }
    // Must agree with `Schema::key_of`. No entity has any other key.
    let key = |value: FieldValue| match value {
        FieldValue::Text(text) => Some(text),
        FieldValue::Integer(number) => Some(number.to_string()),
        _ => None,
    };
    let keys = restriction
        .values()?
        .into_iter()
        .map(key)
        .collect::<Option<_>>()?;
    Some(Access::Keys(keys))
}

/// Returns the index ranges of all rows whose column has an allowed value, or `None` if the index
/// cannot find all of them.
fn index_ranges(kind: &Kind, restriction: &Restriction) -> Option<Vec<ValueRange>> {
    if *kind == Kind::Json {
        let entries = restriction
            .values()?
            .iter()
            .map(entries_shown_as)
            .collect::<Option<Vec<_>>>()?;
        return Some(tidy(entries.concat()));
    }
    let mut entries = if restriction.allows(&FieldValue::Null) {
        entries_shown_as_null(kind)?
    } else {
        Vec::new()
    };
    let present = restriction
        .ranges
        .iter()
        .map(|range| range.and(&ValueRange::present()));
    let present = present.filter(|range| !range.is_empty());
    entries.extend::<Vec<_>>(match kind {
        Kind::Float => present.map(|range| range.rounded()).collect(),
        Kind::Date => present
            .map(|range| texts_of_days(&range, |day| day, 0))
            .collect(),
        Kind::Timestamp => present
            .map(|range| texts_of_days(&range, |micros| micros.div_euclid(DAY), 1))
            .collect(),
        _ => present.collect(),
    });
    Some(tidy(entries))
}

/// Returns the index ranges of values that a column shows as null: null itself, and values that the
/// schema allows but the column type cannot represent. If the schema's rules never changed, there
/// are no others; in particular there are no lists and objects, which are in no index.
fn entries_shown_as_null(kind: &Kind) -> Option<Vec<ValueRange>> {
    let null = ValueRange::at(&FieldValue::Null);
    match kind {
        Kind::Text | Kind::Boolean | Kind::Float => Some(vec![null]),
        Kind::Integer => {
            let below = ValueRange::numbers().before(&FieldValue::Integer(i64::MIN));
            Some(vec![
                null,
                below,
                ValueRange::numbers().after(&FieldValue::Integer(i64::MAX)),
            ])
        }
        // Any text is possible.
        Kind::Date | Kind::Timestamp | Kind::Json | Kind::List(_) => None,
    }
}

/// Returns the index ranges of values that a JSON column shows as `shown`: the string, and the
/// value that it is as JSON.
fn entries_shown_as(shown: &FieldValue) -> Option<Vec<ValueRange>> {
    let FieldValue::Text(text) = shown else {
        return Some(vec![ValueRange::at(shown)]);
    };
    let mut entries = vec![ValueRange::at(shown)];
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(_) | Value::Object(_)) => return None,
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => {
            entries.extend(field_value(Some(&value)).as_ref().map(ValueRange::at));
        }
        Ok(Value::Null | Value::String(_)) | Err(_) => {}
    }
    Some(entries)
}

/// Returns the range of texts that begin with the days of a range of dates or times. Adds `around`
/// days on either side, because the offset from UTC may move a time to another day.
fn texts_of_days(range: &ValueRange, day: impl Fn(i64) -> i64, around: i64) -> ValueRange {
    let text = |bound: Option<FieldValue>, days: i64| match bound {
        Some(FieldValue::Integer(bound)) => {
            let moment = day(bound).checked_add(days)?.checked_mul(DAY)?;
            let text = Timestamp::from_micros(moment).to_string();
            // Years without exactly four digits do not sort as text.
            (text.len() == "1970-01-01T00:00:00.000000Z".len())
                .then(|| FieldValue::Text(text[..10].to_owned()))
        }
        _ => None,
    };
    let mut texts = ValueRange::texts();
    if let Some(first) = text(range.first(), -around) {
        texts = texts.from(&first);
    }
    if let Some(end) = text(range.end(), around + i64::from(around > 0)) {
        texts = texts.before(&end);
    }
    texts
}
