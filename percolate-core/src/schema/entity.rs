//! Entities and their stored bytes. Keys are in `storage::keys`; the schema defines the fields.
//!
//! An entity record, format version 1:
//!
//! | Bytes | Meaning |
//! |---|---|
//! | 1 | record version, 1 |
//! | 1 | flags; bit 0: deleted |
//! | 8 | created at, microseconds since 1970-01-01 UTC, i64 big-endian |
//! | 8 | updated at, likewise |
//! | rest | the data, a JSON object in UTF-8 |

use std::borrow::Borrow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::system_names;
use crate::storage::keys::FieldValue;

const RECORD_VERSION: u8 = 1;
const FLAG_DELETED: u8 = 1;
const HEADER: usize = 18;
/// The initial capacity for the text of an entity.
const ROOM: usize = 512;

/// A time in UTC, with microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Returns the current time.
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// Returns the current time, or the next one after `earlier` if that is later. The times of the
    /// writes of an entity so increase, also if the clock goes back.
    pub(crate) fn now_after(earlier: Self) -> Self {
        Self::now().later_than(earlier)
    }

    /// Returns this time, or the next one after `earlier` if that is later.
    pub(crate) fn later_than(self, earlier: Self) -> Self {
        self.max(Self(earlier.0.saturating_add(1)))
    }

    /// Creates a time from microseconds since 1970-01-01 UTC.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Parses a time as it is printed, or any other time in RFC 3339. Digits after the microseconds
    /// are ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Self(time.timestamp_micros()))
    }

    /// Returns the microseconds since 1970-01-01 UTC.
    pub const fn as_micros(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(micros(after)),
            Err(before) => Self(-micros(before.duration())),
        }
    }
}

impl std::fmt::Display for Timestamp {
    /// Formats the time as RFC 3339 with microseconds: `2026-11-22T15:04:05.000000Z`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nearest = if self.0 < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        };
        let time = DateTime::from_timestamp_micros(self.0).unwrap_or(nearest);
        write!(
            formatter,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.timestamp_subsec_micros(),
        )
    }
}

/// An object of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// The id: derived from the key if the table has a key field, otherwise time-ordered and
    /// random.
    pub id: Uuid,
    /// The time of the first write.
    pub created_at: Timestamp,
    /// The time of the last write.
    pub updated_at: Timestamp,
    /// The data, a JSON object.
    pub data: Value,
}

impl Entity {
    /// Returns the data with the system fields `_id`, `_created_at` and `_updated_at`. The result
    /// can be written back with `upsert` and `update`.
    pub fn to_json(&self) -> Value {
        self.clone().into_json()
    }

    /// Like [`to_json`](Self::to_json), without a copy of the data.
    pub fn into_json(self) -> Value {
        let mut all = match self.data {
            Value::Object(data) => data,
            _ => Map::new(),
        };
        for stored in [system_names::VECTORS, system_names::EMBEDDED_BY] {
            all.remove(stored);
        }
        for (field, value) in [
            (system_names::ID, self.id.to_string()),
            (system_names::CREATED_AT, self.created_at.to_string()),
            (system_names::UPDATED_AT, self.updated_at.to_string()),
        ] {
            all.insert(field.to_owned(), Value::String(value));
        }
        Value::Object(all)
    }
}

/// The stored form of an entity, with the flag for deleted entities. A record to be written borrows
/// its data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record<Data = Value> {
    pub(crate) deleted: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) data: Data,
}

/// The reason why stored bytes cannot be decoded as an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedRecord(&'static str);

impl MalformedRecord {
    pub(crate) const NOT_JSON: Self = Self("its data is not JSON, or is nested too deeply");
}

/// A stored record whose data has not been parsed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordParts<'a> {
    pub(crate) deleted: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// JSON.
    pub(crate) data: &'a [u8],
}

impl<'a> RecordParts<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, MalformedRecord> {
        let (header, data) = bytes
            .split_first_chunk::<HEADER>()
            .ok_or(MalformedRecord("its record is too short"))?;
        let &[version, flags, ref times @ ..] = header;
        if version != RECORD_VERSION {
            return Err(MalformedRecord("its record has an unknown version"));
        }
        let time = |at: usize| {
            let bytes = times
                .get(at..at + 8)
                .and_then(|bytes| bytes.try_into().ok())
                .unwrap_or_default();
            Timestamp::from_micros(i64::from_be_bytes(bytes))
        };
        Ok(Self {
            deleted: flags & FLAG_DELETED != 0,
            created_at: time(0),
            updated_at: time(8),
            data,
        })
    }
}

impl Record {
    /// Returns the record with borrowed data.
    pub(crate) fn borrowed(&self) -> Record<&Value> {
        Record {
            deleted: self.deleted,
            created_at: self.created_at,
            updated_at: self.updated_at,
            data: &self.data,
        }
    }
}

impl<Data: Borrow<Value>> Record<Data> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + ROOM);
        bytes.extend([RECORD_VERSION, if self.deleted { FLAG_DELETED } else { 0 }]);
        bytes.extend(self.created_at.as_micros().to_be_bytes());
        bytes.extend(self.updated_at.as_micros().to_be_bytes());
        serde_json::to_writer(&mut bytes, self.data.borrow())
            .expect("memory takes whatever is written");
        bytes
    }

    /// Returns the text of a field, `None` if there is no text to embed.
    pub(crate) fn text_to_embed(&self, field: &str) -> Option<&str> {
        text_to_embed(self.data.borrow(), field)
    }
}

/// Returns the text of a field of data, `None` if there is no text to embed.
pub(crate) fn text_to_embed<'a>(data: &'a Value, field: &str) -> Option<&'a str> {
    data.get(field)
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty())
}

impl Record {
    /// Decodes a record. Returns `None` if it is deleted; the data is then not read.
    pub(crate) fn decode_live(bytes: &[u8]) -> Result<Option<Self>, MalformedRecord> {
        let parts = RecordParts::read(bytes)?;
        if parts.deleted {
            Ok(None)
        } else {
            Self::from_parts(parts).map(Some)
        }
    }

    pub(crate) fn from_parts(parts: RecordParts<'_>) -> Result<Self, MalformedRecord> {
        let RecordParts {
            deleted,
            created_at,
            updated_at,
            data,
        } = parts;
        let data = serde_json::from_slice(data).map_err(|_| MalformedRecord::NOT_JSON)?;
        Ok(Self {
            deleted,
            created_at,
            updated_at,
            data,
        })
    }

    pub(crate) fn into_entity(self, id: Uuid) -> Entity {
        Entity {
            id,
            created_at: self.created_at,
            updated_at: self.updated_at,
            data: self.data,
        }
    }
}

/// Converts a JSON value to the value of an index, `None` for lists and objects, which indexes do
/// not have.
pub(crate) fn field_value(value: Option<&Value>) -> Option<FieldValue> {
    match value {
        None | Some(Value::Null) => Some(FieldValue::Null),
        Some(Value::Bool(value)) => Some(FieldValue::Bool(*value)),
        Some(Value::String(text)) => Some(FieldValue::Text(text.clone())),
        Some(Value::Number(number)) => number
            .as_i64()
            .map(FieldValue::Integer)
            .or_else(|| number.as_u64().map(FieldValue::Unsigned))
            .or_else(|| number.as_f64().map(FieldValue::Float)),
        Some(Value::Array(_) | Value::Object(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_timestamp_is_written_as_rfc_3339() {
        let text = |micros| Timestamp::from_micros(micros).to_string();
        assert_eq!(text(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(text(951_782_400_000_001), "2000-02-29T00:00:00.000001Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(text(4_102_444_799_000_000), "2099-12-31T23:59:59.000000Z");
        assert_eq!(
            text(253_402_300_800_000_000),
            "10000-01-01T00:00:00.000000Z"
        );
        // Beyond the calendar, the nearest time.
        assert_eq!(text(i64::MAX), "262142-12-31T23:59:59.999999Z");
        assert_eq!(text(i64::MIN), "-262143-01-01T00:00:00.000000Z");
    }

    #[test]
    fn a_record_keeps_its_bytes() {
        let record = Record {
            deleted: true,
            created_at: Timestamp::from_micros(1),
            updated_at: Timestamp::from_micros(2),
            data: json!({}),
        };
        assert_eq!(
            record.encode(),
            [
                &[1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2][..],
                b"{}"
            ]
            .concat()
        );
    }

    fn decode(bytes: &[u8]) -> Result<Record, MalformedRecord> {
        Record::from_parts(RecordParts::read(bytes)?)
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_went_in(deleted: bool, created: i64, updated: i64, text: String) {
            let (created_at, updated_at) = (Timestamp::from_micros(created), Timestamp::from_micros(updated));
            let record = Record { deleted, created_at, updated_at, data: json!({ "text": text }) };
            prop_assert_eq!(decode(&record.encode()).unwrap(), record);
        }

        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
