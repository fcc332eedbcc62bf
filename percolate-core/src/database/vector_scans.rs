//! [`VectorScans`]: the vectors of a table in a snapshot, read next to the entities of the same
//! snapshot, in the same order.

use std::iter::Peekable;

use uuid::Uuid;

use super::core::Core;
use super::error::Error;
use super::supplied::Vector;
use crate::index::vectors::VectorError;
use crate::schema::Schema;
use crate::storage::column_families::EMBEDDINGS;
use crate::storage::{Entry, ReadError, ScanRange, Snapshot, keys};

/// The scans of the vectors of each embedded field of a table.
pub(crate) struct VectorScans<'s> {
    fields: Vec<FieldScan<'s>>,
    dimensions: usize,
}

struct FieldScan<'s> {
    field: String,
    entries: Peekable<Box<dyn Iterator<Item = Result<Entry, ReadError>> + 's>>,
}

impl<'s> VectorScans<'s> {
    pub(crate) fn new(
        core: &Core,
        snapshot: &'s Snapshot<'_>,
        schema: &Schema,
    ) -> Result<Self, Error> {
        let table = core.table_name(schema.table());
        let scan = |field: &String| {
            let range = ScanRange::prefix(keys::field_prefix(table, field));
            let entries: Box<dyn Iterator<Item = _>> = Box::new(snapshot.scan(EMBEDDINGS, range)?);
            Ok(FieldScan {
                field: field.clone(),
                entries: entries.peekable(),
            })
        };
        let fields = schema.embedding_fields().iter().map(scan);
        Ok(Self {
            fields: fields.collect::<Result<_, Error>>()?,
            dimensions: core.dimensions(),
        })
    }

    /// Returns the vector of an entity for each embedded field, in the order of the schema. Each call
    /// has a larger id than the one before.
    ///
    /// # Errors
    ///
    /// [`VectorError::ExportDimensions`] if a vector has another length than those of the provider.
    pub(crate) fn of(&mut self, id: Uuid) -> Result<Vec<Option<Vector>>, Error> {
        let dimensions = self.dimensions;
        let fields = self.fields.iter_mut();
        fields.map(|field| field.of(id, dimensions)).collect()
    }
}

impl FieldScan<'_> {
    fn of(&mut self, id: Uuid, dimensions: usize) -> Result<Option<Vector>, Error> {
        while let Some(entry) = self.entries.peek() {
            // An entry without an entity that is exported is left out.
            if let Ok((key, _)) = entry
                && keys::parse_embedding_key(key)? > id
            {
                return Ok(None);
            }
            let Some((key, vector)) = self.entries.next().transpose()? else {
                break;
            };
            if keys::parse_embedding_key(&key)? == id {
                return self.checked(&vector, dimensions);
            }
        }
        Ok(None)
    }

    /// Decodes a vector. One that JSON cannot represent, which no search finds, is left out.
    fn checked(&self, bytes: &[u8], dimensions: usize) -> Result<Option<Vector>, Error> {
        let vector = Vector::from_bytes(bytes);
        let found = vector.numbers.len();
        if found != dimensions {
            return Err(VectorError::ExportDimensions {
                field: self.field.clone(),
                expected: dimensions,
                found,
            }
            .into());
        }
        let is_finite = vector.numbers.iter().all(|number| number.is_finite());
        Ok(is_finite.then_some(vector))
    }
}
