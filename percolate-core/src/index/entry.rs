//! [`IndexEntry`] and [`Indexed`]: the output and the input of the key index and the field indexes.

use serde_json::Value;
use uuid::Uuid;

use crate::schema::Schema;
use crate::storage::keys::Table;

/// An index entry: its column family, key and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) family: &'static str,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// The parts of an entity that its index entries depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Indexed<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) schema: &'a Schema,
    pub(crate) id: Uuid,
    pub(crate) data: &'a Value,
}

impl<'a> Indexed<'a> {
    /// Returns the name of the entity's table.
    pub(super) fn table(self) -> Table<'a> {
        Table::new(self.tenant, self.schema.table())
    }
}
