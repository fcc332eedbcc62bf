//! How the system fields of an entity are separated from data to write.
//!
//! [`Entity::to_json`](super::entity::Entity::to_json) adds the id and the times when an entity is
//! read, an export adds the vectors. They are never stored as data, and a schema cannot declare
//! them. Versions before this rule stored such data; the system value takes precedence when it is
//! read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::depth::discard;
use super::entity::Timestamp;
pub(crate) use super::system_names::{
    CREATED_AT, EMBEDDED_BY, ID, UPDATED_AT, VECTORS, is_system_field, is_vector_field,
    remove_system_fields,
};
use super::{EntityError, Schema};

/// Data to write, without system fields.
pub(crate) struct Written<'a> {
    /// The id that the data named.
    pub(crate) id: Option<Uuid>,
    pub(crate) vectors: VectorFields,
    /// A JSON object, not nested too deeply.
    pub(crate) data: Cow<'a, Value>,
}

/// The values of `_vectors` and `_embedded_by`, `None` if they are missing or null. They are not yet
/// checked.
#[derive(Default)]
pub(crate) struct VectorFields {
    vectors: Option<Value>,
    embedded_by: Option<Value>,
}

/// A vector that the data names.
pub(crate) struct NamedVector {
    pub(crate) numbers: Vec<f32>,
    /// The name of the embedding provider that created it.
    pub(crate) embedded_by: Option<String>,
}

impl VectorFields {
    fn take(fields: &mut Map<String, Value>) -> Self {
        let mut take = |field| fields.remove(field).filter(|value| !value.is_null());
        Self {
            vectors: take(VECTORS),
            embedded_by: take(EMBEDDED_BY),
        }
    }

    /// Removes the fields that do not pass.
    pub(crate) fn retain(&mut self, passes: impl Fn(&str) -> bool) {
        self.vectors.take_if(|_| !passes(VECTORS));
        self.embedded_by.take_if(|_| !passes(EMBEDDED_BY));
    }

    /// Returns the vectors by their fields. A field that is null is ignored.
    pub(crate) fn parse(self, table: &str) -> Result<BTreeMap<String, NamedVector>, EntityError> {
        let invalid = |field, expected| EntityError::InvalidVectors {
            table: table.to_owned(),
            field,
            expected,
        };
        let vectors = named_values(self.vectors, |value| {
            let numbers = value.as_array()?.iter().map(number);
            numbers.collect::<Option<Vec<f32>>>()
        });
        let vectors =
            vectors.ok_or_else(|| invalid(VECTORS, "embedded fields to arrays of numbers"))?;
        let providers = named_values(self.embedded_by, |name| name.as_str().map(str::to_owned));
        let mut providers = providers
            .ok_or_else(|| invalid(EMBEDDED_BY, "embedded fields to names of providers"))?;
        let vectors = vectors.into_iter().map(|(field, numbers)| {
            let embedded_by = providers.remove(&field);
            let vector = NamedVector {
                numbers,
                embedded_by,
            };
            (field, vector)
        });
        Ok(vectors.collect())
    }
}

/// Returns the nearest number of 32 bits, an infinity if it is too large for them. The
/// shortest decimal of each finite number of 32 bits is read as that number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "vectors have numbers of 32 bits"
)]
fn number(value: &Value) -> Option<f32> {
    value.as_f64().map(|number| number as f32)
}

/// Converts the values of an object, without those that are null. Returns `None` if it is not an
/// object, or one of its values cannot be converted.
fn named_values<T>(
    object: Option<Value>,
    convert: impl Fn(&Value) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let fields = match object {
        None => Map::new(),
        Some(Value::Object(fields)) => fields,
        Some(_) => return None,
    };
    let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
    fields
        .map(|(field, value)| Some((field, convert(&value)?)))
        .collect()
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
    pub(crate) vectors: VectorFields,
    /// A JSON object, not nested too deeply.
    pub(crate) data: Value,
}

impl Schema {
    /// Separates the system fields from data to write: `_id` names the entity, `_vectors` are its
    /// vectors, the times are ignored. The data is not yet checked against the schema.
    pub(crate) fn written<'a>(&self, data: &'a Value) -> Result<Written<'a>, EntityError> {
        let fields = self.check_shape(data)?;
        if !fields.keys().any(|field| is_system_field(field)) {
            return Ok(Written {
                id: None,
                vectors: VectorFields::default(),
                data: Cow::Borrowed(data),
            });
        }
        let id = match fields.get(ID) {
            None | Some(Value::Null) => None,
            Some(id) => Some(self.parse_id(id)?),
        };
        let mut fields = fields.clone();
        let vectors = VectorFields::take(&mut fields);
        remove_system_fields(&mut fields);
        Ok(Written {
            id,
            vectors,
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
        let vectors = data.as_object_mut().map(VectorFields::take);
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
            vectors: vectors.unwrap_or_default(),
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
