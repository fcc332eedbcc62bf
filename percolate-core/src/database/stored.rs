//! The sources of a vector index: its file, or the stored vectors, read page by page.
//!
//! Each commit that changes stored vectors also records a new generation, so that an index file of
//! an older generation is recognised as stale.

use std::ops::ControlFlow;

use uuid::Uuid;

use super::core::Core;
use super::error::Error;
use super::slot::Source;
use crate::background_job;
use crate::index::report::IndexReport;
use crate::index::saved;
use crate::index::vectors::{self, VectorError, VectorIndex};
use crate::otel::{JobOutcome, JobStatus};
use crate::storage::column_families::{EMBEDDINGS, META};
use crate::storage::{Entry, ReadError, ScanRange, keys};

impl Core {
    pub(super) fn generation(&self, table: &str, field: &str) -> Result<Option<Uuid>, Error> {
        let bytes = self
            .storage()
            .get(META, self.generation_key(table, field))?;
        Ok(bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok()))
    }

    pub(super) fn generation_key(&self, table: &str, field: &str) -> Vec<u8> {
        keys::generation_key(self.table_name(table), field)
    }

    /// Returns the name from which the file name of an index is derived.
    pub(super) fn index_name(&self, table: &str, field: &str) -> Vec<u8> {
        keys::field_prefix(self.table_name(table), field)
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.embedder().provider().dimensions()
    }
}

/// The number of vectors that are added to an index between two calls of the progress function.
const STEP: usize = 32;

/// Loads the index of one field: from its file if that is complete and current, otherwise from the
/// stored vectors.
pub(super) struct Stored<'a> {
    pub(super) core: &'a Core,
    pub(super) table: &'a str,
    pub(super) field: &'a str,
    pub(super) page: usize,
    /// Called with the number of vectors added so far. It can end the work.
    pub(super) tell: &'a dyn Fn(usize) -> ControlFlow<()>,
}

impl Stored<'_> {
    pub(super) fn saved(&self) -> Result<Option<Box<dyn VectorIndex>>, Error> {
        let core = self.core;
        let Some(generation) = core.generation(self.table, self.field)? else {
            return Ok(None);
        };
        let index = core.index_name(self.table, self.field);
        let payload = saved::read(core.storage(), &index, generation);
        Ok(payload.and_then(|payload| vectors::from_bytes(core.dimensions(), &payload).ok()))
    }

    /// Returns the next page of stored vectors after `last`, and updates `last`. Each page is a new
    /// scan, because a long scan would delay compaction.
    pub(super) fn next_page(
        &self,
        last: &mut Option<Uuid>,
    ) -> Result<Vec<(Uuid, Vec<f32>)>, Error> {
        let (table, storage) = (self.core.table_name(self.table), self.core.storage());
        let all = ScanRange::prefix(keys::field_prefix(table, self.field));
        let range = match last {
            Some(id) => all.after(keys::embedding_key(table, self.field, *id)),
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

/// The result of building an index.
struct Built {
    /// The number of vectors that were added.
    vectors: usize,
    /// `None` if the progress function ended the work.
    index: Option<Box<dyn VectorIndex>>,
}

impl JobOutcome for Built {
    fn job_status(&self) -> JobStatus {
        match self.index {
            Some(_) => JobStatus::Success,
            None => JobStatus::Cancelled,
        }
    }
}

impl Stored<'_> {
    /// Builds an index from the stored vectors.
    #[background_job(index.build, table, batch_size = |built| built.vectors)]
    fn build(&self, table: &str) -> Result<Built, Error> {
        let mut index = vectors::empty(self.core.dimensions())?;
        let (mut last, mut vectors) = (None, 0);
        loop {
            let page = self.next_page(&mut last)?;
            for step in page.chunks(STEP) {
                for (id, vector) in step {
                    index.set(*id, vector)?;
                }
                vectors += step.len();
                if (self.tell)(vectors).is_break() {
                    let index = None;
                    return Ok(Built { vectors, index });
                }
            }
            if page.len() < self.page {
                let index = Some(index);
                return Ok(Built { vectors, index });
            }
        }
    }
}

impl Source for Stored<'_> {
    type Error = Error;

    fn load(&mut self) -> Result<Box<dyn VectorIndex>, Error> {
        if let Some(index) = self.saved()? {
            return Ok(index);
        }
        self.build(self.table)?.index.ok_or(Error::Cancelled)
    }

    fn vectors(&mut self, ids: &[Uuid]) -> Result<Vec<Option<Vec<f32>>>, Error> {
        let key =
            |id: &Uuid| keys::embedding_key(self.core.table_name(self.table), self.field, *id);
        let stored = self
            .core
            .storage()
            .multi_get(EMBEDDINGS, &ids.iter().map(key).collect::<Vec<_>>())?;
        Ok(stored
            .into_iter()
            .map(|vector| vector.as_deref().map(vectors::vector_from_bytes))
            .collect())
    }

    fn wait(&self) -> Result<(), Error> {
        match (self.tell)(0) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }

    fn generation(&mut self) -> Result<Uuid, Error> {
        Ok(self
            .core
            .generation(self.table, self.field)?
            .unwrap_or_else(Uuid::nil))
    }
}

/// Rebuilds the index of one field from the stored vectors. Reports progress after each page and
/// skips vectors of the wrong length.
pub(super) struct Rebuild<'a> {
    pub(super) stored: Stored<'a>,
    /// The report of the fields rebuilt before.
    pub(super) before: IndexReport,
    pub(super) report: IndexReport,
}

/// Why a rebuild stopped.
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
        self.report = self.before.clone();
        let dimensions = self.stored.core.dimensions();
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
            if !page.is_empty() && (self.stored.tell)(self.report.entities).is_break() {
                return Err(Stopped::Cancelled);
            }
            if page.len() < self.stored.page {
                return Ok(index);
            }
        }
    }

    fn vectors(&mut self, ids: &[Uuid]) -> Result<Vec<Option<Vec<f32>>>, Stopped> {
        let dimensions = self.stored.core.dimensions();
        let stored = self.stored.vectors(ids)?.into_iter();
        Ok(stored
            .map(|vector| vector.filter(|vector| vector.len() == dimensions))
            .collect())
    }

    fn wait(&self) -> Result<(), Stopped> {
        Ok(self.stored.wait()?)
    }

    fn generation(&mut self) -> Result<Uuid, Stopped> {
        Ok(self.stored.generation()?)
    }
}
