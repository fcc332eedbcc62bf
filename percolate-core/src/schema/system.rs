//! The system fields of an entity: their names, and how they are separated from data to write.
//!
//! [`Entity::to_json`](super::entity::Entity::to_json) adds them when an entity is read. They are
//! never stored as data, and a schema cannot declare them. Versions before this rule stored such
//! data; the system value takes precedence when it is read.

use std::borrow::Cow;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{EntityError, Schema};

/// The id of an entity.
pub(crate) const ID: &str = "_id";
/// The time of the first write.
pub(crate) const CREATED_AT: &str = "_created_at";
/// The time of the last write.
pub(crate) const UPDATED_AT: &str = "_updated_at";

/// Returns whether `field` is the name of a system field.
pub(crate) fn is_system_field(field: &str) -> bool {
    [ID, CREATED_AT, UPDATED_AT].contains(&field)
}

/// Removes the system fields from data.
pub(crate) fn remove_system_fields(data: &mut Map<String, Value>) {
    data.retain(|field, _| !is_system_field(field));
}

/// Data to write, without system fields.
pub(crate) struct Written<'a> {
    /// The id that the data named.
    pub(crate) id: Option<Uuid>,
    /// A JSON object, not nested too deeply.
    pub(crate) data: Cow<'a, Value>,
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

    fn parse_id(&self, id: &Value) -> Result<Uuid, EntityError> {
        id.as_str()
            .and_then(|id| Uuid::parse_str(id).ok())
            .ok_or_else(|| EntityError::InvalidId {
                table: self.table().to_owned(),
            })
    }
}
