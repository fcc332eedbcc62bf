//! [`Vectors`], which are supplied with an entity instead of those of the embedding provider.
//!
//! They are checked before anything is written.

use std::collections::BTreeMap;
use std::fmt;

use super::core::{Core, Old};
use super::error::Error;
use crate::index::vectors::{VectorError, has_direction};
use crate::schema::Schema;

/// Vectors of embedded fields that are written with an entity, for models that run elsewhere. They
/// have the dimensions of the database's embedding provider.
///
/// A supplied vector is stored in the same atomic write as the entity, and searches find it at once.
/// It stays while the text of its field stays the same:
///
/// | Afterwards | The vector |
/// |---|---|
/// | the entity is written with the same text, or still without one | stays |
/// | the text changes, appears or is removed, and no vector is supplied for it | is removed; the provider embeds the text |
/// | [`generate_embeddings`](crate::Database::generate_embeddings) and the background worker | stays |
/// | [`mark_for_embedding`](crate::Database::mark_for_embedding), another provider | stays if it has the provider's dimensions; otherwise the provider replaces it |
/// | an export | does not contain it |
/// | [`remove`](Self::remove) for the field | is removed; the provider embeds the text |
///
/// ```
/// use std::sync::Arc;
///
/// use percolate_core::embeddings::OfflineEmbeddings;
/// use percolate_core::{Database, DatabaseOptions, Vectors};
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let options = DatabaseOptions::new().provider(Arc::new(OfflineEmbeddings::with_dimensions(3)));
/// let db = Database::open_with(dir.path(), options)?;
/// db.register_schema("articles", &json!({ "embedding_fields": ["body"] }))?;
/// let vectors = Vectors::new().set("body", [0.1, 0.9, 0.2]);
/// let id = db.insert_with_vectors("articles", &json!({ "body": "porous stone" }), &vectors)?;
/// let hits = db.search_vector("articles", &[0.0, 1.0, 0.0], 1, None)?;
/// assert_eq!(hits[0].entity.id, id);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Vectors(BTreeMap<String, Option<Vec<f32>>>);

impl Vectors {
    /// Creates an empty set of vectors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the vector of a field.
    #[must_use]
    pub fn set(mut self, field: impl Into<String>, vector: impl Into<Vec<f32>>) -> Self {
        self.0.insert(field.into(), Some(vector.into()));
        self
    }

    /// Removes the vector of a field, and marks the entity for embedding.
    #[must_use]
    pub fn remove(mut self, field: impl Into<String>) -> Self {
        self.0.insert(field.into(), None);
        self
    }

    /// Returns whether no field is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the fields, and their vectors unless these are to be removed.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&[f32]>)> {
        let fields = self.0.iter();
        fields.map(|(field, vector)| (field.as_str(), vector.as_deref()))
    }

    /// Returns whether there is a vector for a field.
    pub(super) fn has(&self, field: &str) -> bool {
        self.0.get(field).is_some_and(Option::is_some)
    }

    /// Returns whether the vector of a field is to be removed.
    pub(super) fn removes(&self, field: &str) -> bool {
        self.0.get(field).is_some_and(Option::is_none)
    }

    /// Removes the vectors of fields whose texts change from `now` to `new`, and adds those of the
    /// change.
    pub(super) fn follow(&mut self, schema: &Schema, now: &Old, new: &Old, change: &Self) {
        for field in schema.embedding_fields() {
            if now.text(field) != new.text(field) {
                self.0.remove(field);
            }
        }
        if !matches!(new, Old::Live(_)) {
            self.0.clear();
        }
        self.0.extend(change.0.clone());
    }
}

impl fmt::Debug for Vectors {
    /// Prints the names of the fields only: the numbers are the user's data.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Core {
    /// Checks supplied vectors before they are written.
    pub(super) fn check_supplied(&self, schema: &Schema, vectors: &Vectors) -> Result<(), Error> {
        for (field, vector) in vectors.iter() {
            if !schema.embedding_fields().iter().any(|known| known == field) {
                return Err(Error::NotEmbeddedField {
                    table: schema.table().to_owned(),
                    field: field.to_owned(),
                    known: schema.embedding_fields().to_vec(),
                });
            }
            let Some(vector) = vector else { continue };
            let (expected, found) = (self.dimensions(), vector.len());
            let field = field.to_owned();
            if found != expected {
                return Err(VectorError::SuppliedDimensions {
                    field,
                    expected,
                    found,
                }
                .into());
            }
            if !has_direction(vector) {
                return Err(VectorError::SuppliedWithoutDirection { field }.into());
            }
        }
        Ok(())
    }
}
