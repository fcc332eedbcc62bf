//! How the system fields of an entity are separated from data to write.
//!
//! [`Entity::to_json`](super::entity::Entity::to_json) adds them when an entity is read. They are
//! never stored as data, and a schema cannot declare them. Versions before this rule stored such
//! data; the system value takes precedence when it is read.

use std::borrow::Cow;

use serde_json::Value;
use uuid::Uuid;

use super::depth::discard;
use super::entity::Timestamp;
pub(crate) use super::system_names::{
    CREATED_AT, ID, UPDATED_AT, is_system_field, remove_system_fields,
};
use super::{EntityError, Schema};

/// Data to write, without system fields.
pub(crate) struct Written<'a> {
    /// The id that the data named.
    pub(crate) id: Option<Uuid>,
    /// A JSON object, not nested too deeply.
    pub(crate) data: Cow<'a, Value>,
}

/// The times of a row to import are before the year 9999. Later ones could not be written: a write has a
/// later time than the one before, and RFC 3339 has no year 10000.
const IMPORTED_BEFORE: Timestamp = Timestamp::from_micros(253_370_764_800_000_000);

/// A row to import, without system fields in its data.
pub(crate) struct Imported {
    /// The id that the row named.
    pub(crate) id: Option<Uuid>,
    /// The times that the row named.
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) updated_at: Option<Timestamp>,
    /// A JSON object, not nested too deeply.
    pub(crate) data: Value,
}

impl Schema {
    /// Separates the system fields from data to write: `_id` names the entity, the times are
    /// ignored. The data is not yet checked against the schema.
    pub(crate) fn written<'a>(&self, data: &'a Value) -> Result<Written<'a>, EntityError> {
        let fields = self.check_shape(data)?;
        if !fields.keys().any(|field| is_system_field(field)) {
            return Ok(Written {
                id: None,
                data: Cow::Borrowed(data),
            });
        }
        let id = match fields.get(ID) {
            None | Some(Value::Null) => None,
            Some(id) => Some(self.parse_id(id)?),
        };
        let mut fields = fields.clone();
        remove_system_fields(&mut fields);
        Ok(Written {
            id,
            data: Cow::Owned(Value::Object(fields)),
        })
    }

    /// Separates the system fields from a row to import. A field that is null is ignored. The data is
    /// not yet checked against the schema.
    pub(crate) fn imported(&self, mut data: Value) -> Result<Imported, EntityError> {
        if let Err(error) = self.check_shape(&data) {
            discard(data);
            return Err(error);
        }
        let [id, created_at, updated_at] = [ID, CREATED_AT, UPDATED_AT].map(|field| {
            let fields = data.as_object_mut()?;
            fields.remove(field).filter(|value| !value.is_null())
        });
        let time = |field, time: Option<Value>| {
            let parsed = |time: Value| {
                let time = Timestamp::parse(time.as_str()?)?;
                (time < IMPORTED_BEFORE).then_some(time)
            };
            time.map(|time| {
                parsed(time).ok_or_else(|| EntityError::InvalidTime {
                    table: self.table().to_owned(),
                    field,
                })
            })
            .transpose()
        };
        Ok(Imported {
            id: id.map(|id| self.parse_id(&id)).transpose()?,
            created_at: time(CREATED_AT, created_at)?,
            updated_at: time(UPDATED_AT, updated_at)?,
            data,
        })
    }

    fn parse_id(&self, id: &Value) -> Result<Uuid, EntityError> {
        id.as_str()
            .and_then(|id| Uuid::parse_str(id).ok())
            .ok_or_else(|| EntityError::InvalidId {
                table: self.table().to_owned(),
            })
    }
}
