//! The names of the system fields of an entity.

use serde_json::{Map, Value};

/// The id of an entity.
pub(crate) const ID: &str = "_id";
/// The time of the first write.
pub(crate) const CREATED_AT: &str = "_created_at";
/// The time of the last write.
pub(crate) const UPDATED_AT: &str = "_updated_at";

/// The vectors of embedded fields, in exports and in data to write.
pub(crate) const VECTORS: &str = "_vectors";
/// The embedding providers that created some of these vectors.
pub(crate) const EMBEDDED_BY: &str = "_embedded_by";

/// Returns whether `field` is the name of a system field.
pub(crate) fn is_system_field(field: &str) -> bool {
    [ID, CREATED_AT, UPDATED_AT].contains(&field) || is_vector_field(field)
}

/// Returns whether `field` is the name of a system field about vectors.
pub(crate) fn is_vector_field(field: &str) -> bool {
    [VECTORS, EMBEDDED_BY].contains(&field)
}

/// Removes the system fields from data.
pub(crate) fn remove_system_fields(data: &mut Map<String, Value>) {
    data.retain(|field, _| !is_system_field(field));
}
