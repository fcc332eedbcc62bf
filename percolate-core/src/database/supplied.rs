//! [`Vectors`], which are supplied with an entity instead of those of the embedding provider.
//!
//! They are arguments of writes, or in the data as `_vectors`. Those of an import can be vectors that
//! the provider created earlier. All are checked before anything is written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::core::{Core, Old};
use super::error::Error;
use crate::index::vectors::{
    VectorError, has_direction, is_supplied, supplied_to_bytes, vector_from_bytes, vector_to_bytes,
};
use crate::schema::Schema;
use crate::schema::system::VectorFields;

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
/// | an export | contains it with [`ExportOptions::vectors`](crate::ExportOptions::vectors); an import supplies it again |
/// | [`remove`](Self::remove) for the field | is removed; the provider embeds the text |
///
/// The data of a write can have the vectors too, as an export has them: in `_vectors`, an object from
/// the fields to arrays of numbers. If `_embedded_by`, an object, has the name of the database's
/// embedding provider for a field, the vector is not a supplied one, but one that the provider has
/// created: [`mark_for_embedding`](crate::Database::mark_for_embedding) replaces it. With the name of
/// another provider, the write is refused. Vectors that are passed as [`Vectors`] take precedence.
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
pub struct Vectors(BTreeMap<String, Option<Vector>>);

/// A vector of a field.
#[derive(Clone, PartialEq)]
pub(crate) struct Vector {
    pub(crate) numbers: Vec<f32>,
    /// Whether it was supplied, and not created by the provider.
    pub(crate) is_supplied: bool,
}

impl Vector {
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            numbers: vector_from_bytes(bytes),
            is_supplied: is_supplied(bytes),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        if self.is_supplied {
            supplied_to_bytes(&self.numbers)
        } else {
            vector_to_bytes(&self.numbers)
        }
    }

    /// Returns the vector of a field with this text. Without a text, it was supplied: no provider can
    /// have created it.
    pub(super) fn of_text(&self, text: Option<&str>) -> Self {
        Self {
            numbers: self.numbers.clone(),
            is_supplied: self.is_supplied || text.is_none(),
        }
    }
}

impl Vectors {
    /// Creates an empty set of vectors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the vector of a field.
    #[must_use]
    pub fn set(mut self, field: impl Into<String>, vector: impl Into<Vec<f32>>) -> Self {
        let vector = Vector {
            numbers: vector.into(),
            is_supplied: true,
        };
        self.0.insert(field.into(), Some(vector));
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
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&Vector>)> {
        let fields = self.0.iter();
        fields.map(|(field, vector)| (field.as_str(), vector.as_ref()))
    }

    /// Returns the vector of a field, `None` if there is none or it is to be removed.
    pub(super) fn vector(&self, field: &str) -> Option<&Vector> {
        self.0.get(field)?.as_ref()
    }

    /// Returns whether there is a vector for a field.
    pub(super) fn has(&self, field: &str) -> bool {
        self.vector(field).is_some()
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
            let (expected, found) = (self.dimensions(), vector.numbers.len());
            let field = field.to_owned();
            if found != expected {
                return Err(VectorError::SuppliedDimensions {
                    field,
                    expected,
                    found,
                }
                .into());
            }
            // Providers return zeros for texts in which they find nothing.
            let is_zero = vector.numbers.iter().all(|number| *number == 0.0);
            let is_embedded = !vector.is_supplied && is_zero;
            if !is_embedded && !has_direction(&vector.numbers) {
                return Err(VectorError::SuppliedWithoutDirection { field }.into());
            }
        }
        Ok(())
    }

    /// Returns the vectors of a write, checked: those of the data, and instead of them those of the
    /// argument.
    pub(crate) fn vectors_of<'a>(
        &self,
        schema: &Schema,
        data: VectorFields,
        argument: Cow<'a, Vectors>,
    ) -> Result<Cow<'a, Vectors>, Error> {
        let mut vectors = self.named_vectors(schema, data)?;
        let vectors = if vectors.is_empty() {
            argument
        } else {
            vectors.0.extend(argument.into_owned().0);
            Cow::Owned(vectors)
        };
        self.check_supplied(schema, &vectors)?;
        Ok(vectors)
    }

    /// Returns the vectors of data. Only their providers are checked.
    fn named_vectors(&self, schema: &Schema, data: VectorFields) -> Result<Vectors, Error> {
        let mut vectors = Vectors::new();
        let provider = self.embedder().provider().name();
        for (field, named) in data.parse(schema.table())? {
            if named.embedded_by.as_ref().is_some_and(|by| by != provider) {
                let provider = provider.to_owned();
                return Err(VectorError::OtherProvider { field, provider }.into());
            }
            let vector = Vector {
                numbers: named.numbers,
                is_supplied: named.embedded_by.is_none(),
            };
            vectors.0.insert(field, Some(vector));
        }
        Ok(vectors)
    }
}
