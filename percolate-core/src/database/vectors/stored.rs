//! Where a vector index comes from: its file, or the stored vectors, read page by page.

use std::ops::ControlFlow;

use uuid::Uuid;

use super::slot::Source;
use crate::admin::IndexReport;
use crate::database::{Database, Error};
use crate::index::saved;
use crate::index::vectors::{self, VectorError, VectorIndex};
use crate::storage::column_families::EMBEDDINGS;
use crate::storage::{Entry, ReadError, ScanRange, keys};

/// The stored vectors of one field, as an index is brought into memory: from its file where that is whole and up to
/// date, else from the store.
pub(super) struct Stored<'a> {
    pub(super) database: &'a Database,
    pub(super) table: &'a str,
    pub(super) field: &'a str,
    pub(super) page: usize,
}

impl Stored<'_> {
    pub(super) fn saved(&self) -> Result<Option<Box<dyn VectorIndex>>, Error> {
        let database = self.database;
        let Some(generation) = database.generation(self.table, self.field)? else {
            return Ok(None);
        };
        let path = saved::path(
            database.storage().path(),
            &database.index_name(self.table, self.field),
        );
        let payload = saved::read(&path, generation);
        Ok(payload.and_then(|payload| vectors::from_bytes(database.dimensions(), &payload).ok()))
    }

    /// The stored vectors after `last`, which becomes the last of them. A new scan for each page, so that none holds
    /// back compaction for as long as an index takes to make.
    pub(super) fn next_page(
        &self,
        last: &mut Option<Uuid>,
    ) -> Result<Vec<(Uuid, Vec<f32>)>, Error> {
        let (tenant, storage) = (&self.database.tenant, self.database.storage());
        let all = ScanRange::prefix(keys::field_prefix(tenant, self.table, self.field));
        let range = match last {
            Some(id) => all.after(keys::embedding_key(tenant, self.table, self.field, *id)),
            None => all,
        };
        let vector = |entry: Result<Entry, ReadError>| {
            let (key, vector) = entry.map_err(Error::from)?;
            Ok((
                keys::parse_embedding_key(&key)?,
                vectors::vector_from_bytes(&vector),
            ))
        };
        let page = storage
            .scan(EMBEDDINGS, range)?
            .take(self.page)
            .map(vector)
            .collect::<Result<Vec<_>, Error>>()?;
        *last = page.last().map(|(id, _)| *id);
        Ok(page)
    }
}

impl Source for Stored<'_> {
    type Error = Error;

    fn load(&mut self) -> Result<Box<dyn VectorIndex>, Error> {
        if let Some(index) = self.saved()? {
            return Ok(index);
        }
        let mut index = vectors::empty(self.database.dimensions())?;
        let mut last = None;
        loop {
            let page = self.next_page(&mut last)?;
            for (id, vector) in &page {
                index.set(*id, vector)?;
            }
            if page.len() < self.page {
                return Ok(index);
            }
        }
    }

    fn vectors(&mut self, ids: &[Uuid]) -> Result<Vec<Option<Vec<f32>>>, Error> {
        let key =
            |id: &Uuid| keys::embedding_key(&self.database.tenant, self.table, self.field, *id);
        let stored = self
            .database
            .storage()
            .multi_get(EMBEDDINGS, &ids.iter().map(key).collect::<Vec<_>>())?;
        Ok(stored
            .into_iter()
            .map(|vector| vector.as_deref().map(vectors::vector_from_bytes))
            .collect())
    }

    fn generation(&mut self) -> Result<Uuid, Error> {
        Ok(self
            .database
            .generation(self.table, self.field)?
            .unwrap_or_else(Uuid::nil))
    }
}

/// The stored vectors of one field, as an index is made anew: told page by page, and without those that it cannot take.
pub(super) struct Rebuild<'a> {
    pub(super) stored: Stored<'a>,
    pub(super) tell: &'a dyn Fn(usize) -> ControlFlow<()>,
    /// What was done for the fields before.
    pub(super) before: IndexReport,
    pub(super) report: IndexReport,
}

/// Why an index was not made.
pub(super) enum Stopped {
    Cancelled,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Source for Rebuild<'_> {
    type Error = Stopped;

    fn load(&mut self) -> Result<Box<dyn VectorIndex>, Stopped> {
        self.report = self.before;
        let dimensions = self.stored.database.dimensions();
        let mut index = vectors::empty(dimensions)?;
        let mut last = None;
        loop {
            let page = self.stored.next_page(&mut last)?;
            for (id, vector) in &page {
                match index.set(*id, vector) {
                    Err(VectorError::WrongDimensions { .. }) => self.report.failed += 1,
                    done => done?,
                }
            }
            self.report.entities += page.len();
            if !page.is_empty() && (self.tell)(self.report.entities).is_break() {
                return Err(Stopped::Cancelled);
            }
            if page.len() < self.stored.page {
                return Ok(index);
            }
        }
    }

    fn vectors(&mut self, ids: &[Uuid]) -> Result<Vec<Option<Vec<f32>>>, Stopped> {
        let dimensions = self.stored.database.dimensions();
        let stored = self.stored.vectors(ids)?.into_iter();
        Ok(stored
            .map(|vector| vector.filter(|vector| vector.len() == dimensions))
            .collect())
    }

    fn generation(&mut self) -> Result<Uuid, Stopped> {
        Ok(self.stored.generation()?)
    }
}
