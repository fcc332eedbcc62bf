//! The names of the system fields of an entity.

use serde_json::{Map, Value};

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
