//! The two names of an entity: its id and its key.

use uuid::Uuid;

/// The name of an entity in `get`, `update`, `delete` and `purge`: its id, or the value of its key
/// field.
///
/// ```
/// use percolate_core::{Database, EntityRef};
/// # use serde_json::json;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let db = Database::open(dir.path())?;
/// db.register_schema("articles", &json!({
///     "properties": { "slug": { "type": "string" }, "year": { "type": "integer" } },
///     "key_field": "slug",
/// }))?;
/// let id = db.insert("articles", &json!({ "slug": "percolation" }))?;
/// db.update("articles", "percolation", &json!({ "year": 1957 }))?;
/// assert_eq!(db.get("articles", id)?, db.get("articles", EntityRef::Key("percolation"))?);
/// assert!(db.delete("articles", id)?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntityRef<'a> {
    /// The id.
    Id(Uuid),
    /// The value of the key field. An integer is written in decimal.
    Key(&'a str),
}

impl<'a> EntityRef<'a> {
    /// Returns the key, `None` for an id.
    pub(super) fn key(self) -> Option<&'a str> {
        match self {
            Self::Id(_) => None,
            Self::Key(key) => Some(key),
        }
    }
}

impl From<Uuid> for EntityRef<'_> {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl From<&Uuid> for EntityRef<'_> {
    fn from(id: &Uuid) -> Self {
        Self::Id(*id)
    }
}

impl<'a> From<&'a str> for EntityRef<'a> {
    fn from(key: &'a str) -> Self {
        Self::Key(key)
    }
}

impl<'a> From<&&'a str> for EntityRef<'a> {
    fn from(key: &&'a str) -> Self {
        Self::Key(key)
    }
}

impl<'a> From<&'a String> for EntityRef<'a> {
    fn from(key: &'a String) -> Self {
        Self::Key(key)
    }
}
