//! Creating the vectors of entities, and keeping the vector indexes up to date. They are searched in
//! [`nearest`](super::nearest).
//!
//! Vectors are stored in `embeddings`. The index in memory ([`slot`](super::slot)) is derived from
//! them ([`stored`](super::stored)). A writer that changes stored vectors locks the index before
//! the commit and unlocks it after the index has changed too, and records a new generation in the
//! same batch, so that an index file written earlier is recognised as stale.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use uuid::Uuid;

use super::computed::Computed;
use super::core::{Core, Old};
use super::error::Error;
use super::pending::{self, PAGE, Reasons};
use super::slot::{Field, Reading, Source as _};
use super::stored::{Rebuild, Stopped, Stored};
use super::vector_changes::VectorChanges;
use crate::embeddings::EmbeddedBatch;
use crate::index::report::IndexReport;
use crate::index::saved;
use crate::index::vectors;
use crate::otel::{JobOutcome, JobStatus};
use crate::progress::OnProgress;
use crate::schema::Schema;
use crate::schema::entity::RecordParts;
use crate::storage::column_families::{EMBEDDINGS, ENTITIES, META, PENDING_EMBEDDINGS};
use crate::storage::{BatchWriter, ScanRange, WriteError, keys};

/// The result of creating vectors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbeddingReport {
    /// Entities whose vectors are stored.
    pub embedded: usize,
    /// Entities that remain marked, because the provider failed or they changed in the meantime.
    pub waiting: usize,
    /// Entities that were set aside, because the provider has no vector for one of their texts
    /// while it embedded others. [`Database::embedding_status`](crate::Database::embedding_status)
    /// lists them with the reasons. They are embedded again after a change, and after
    /// [`Database::retry_refused_embeddings`](crate::Database::retry_refused_embeddings).
    pub refused: usize,
}

impl JobOutcome for EmbeddingReport {
    fn job_status(&self) -> JobStatus {
        if self.waiting > 0 || self.refused > 0 {
            JobStatus::Partial
        } else {
            JobStatus::Success
        }
    }
}

/// The result of embedding one text.
enum TextResult {
    Embedded(Vec<f32>),
    Refused(String),
    Failed,
}

/// Entities that are marked for embedding.
struct Page {
    entities: Vec<(Uuid, Old)>,
    /// The supplied vectors, as the ids and the positions of their fields.
    kept: HashSet<(Uuid, usize)>,
}

impl Page {
    /// Returns the texts to embed, ordered by entity and then by field.
    fn texts(&self, schema: &Schema) -> Vec<String> {
        let fields = || schema.embedding_fields().iter().enumerate();
        let texts = self.entities.iter().flat_map(|(id, old)| {
            fields()
                .filter(|(position, _)| !self.kept.contains(&(*id, *position)))
                .filter_map(|(_, field)| old.text(field))
        });
        texts.map(str::to_owned).collect()
    }
}

/// The numbers of entities of a page.
#[derive(Default)]
struct Counts {
    embedded: usize,
    refused: usize,
}

impl Core {
    /// Creates the missing vectors of a table, until the end or until the progress function returns
    /// [`ControlFlow::Break`] after a page.
    pub(super) async fn generate_embeddings(
        &self,
        table: &str,
        progress: &OnProgress,
    ) -> Result<EmbeddingReport, Error> {
        let running = progress.start();
        let total = if progress.is_set() {
            let table = table.to_owned();
            let count = move |core: &Self| core.embedding_status(&table);
            Some(self.blocking(count).await?.waiting)
        } else {
            None
        };
        let (mut report, mut done) = (EmbeddingReport::default(), 0);
        let mut schema = self.schema(table)?;
        let mut page = self.page_to_embed(&schema, None)?;
        let mut is_proven = false;
        while let Some((last, _)) = page.entities.last() {
            let (last, marked) = (*last, page.entities.len());
            let texts = page.texts(&schema);
            let answer = self.embedder().embed_more(&texts, is_proven).await?;
            is_proven |= answer.embedded() > 0;
            let results = results_of(answer);
            done += marked;
            // Others may mark entities meanwhile.
            let (running, total) = (running.clone(), total.map(|total| total.max(done)));
            // The progress function may block, and may call the database.
            let store = move |core: &Self| {
                let stored = core.store_vectors(&schema, &page, results)?;
                Ok((stored, running.notify(done, total)))
            };
            let (stored, flow) = self.blocking(store).await?;
            report.embedded += stored.embedded;
            report.refused += stored.refused;
            report.waiting += marked - stored.embedded - stored.refused;
            if flow.is_break() || marked < PAGE {
                break;
            }
            schema = self.schema(table)?;
            page = self.page_to_embed(&schema, Some(last))?;
        }
        Ok(report)
    }

    /// Returns the next entities after `after` to embed.
    fn page_to_embed(&self, schema: &Schema, after: Option<Uuid>) -> Result<Page, Error> {
        let entities = self.pending_page(schema.table(), after)?;
        let ids: Vec<Uuid> = entities.iter().map(|(id, _)| *id).collect();
        let kept = self.supplied(schema, &ids)?;
        Ok(Page { entities, kept })
    }

    /// Returns the vectors of these entities that were supplied and fit the provider, as the ids and
    /// the positions of their fields.
    fn supplied(&self, schema: &Schema, ids: &[Uuid]) -> Result<HashSet<(Uuid, usize)>, Error> {
        let fits = |vector: &[u8]| {
            vectors::is_supplied(vector)
                && vectors::vector_from_bytes(vector).len() == self.dimensions()
        };
        let stored = self.stored_vectors(schema, ids)?.into_iter();
        let supplied = stored.filter(|(_, vector)| fits(vector));
        Ok(supplied.map(|(place, _)| place).collect())
    }

    /// Returns the stored vectors of these entities, by their ids and the positions of their fields.
    pub(super) fn stored_vectors(
        &self,
        schema: &Schema,
        ids: &[Uuid],
    ) -> Result<HashMap<(Uuid, usize), Vec<u8>>, Error> {
        let table = self.table_name(schema.table());
        let mut stored = HashMap::new();
        if ids.is_empty() {
            return Ok(stored);
        }
        for (position, field) in schema.embedding_fields().iter().enumerate() {
            let key = |id: &Uuid| keys::embedding_key(table, field, *id);
            let keys: Vec<_> = ids.iter().map(key).collect();
            let vectors = self.storage().multi_get(EMBEDDINGS, &keys)?;
            let vectors = ids.iter().zip(vectors);
            stored.extend(vectors.filter_map(|(id, vector)| Some(((*id, position), vector?))));
        }
        Ok(stored)
    }

    pub(super) fn save_index(&self, table: &str) -> Result<usize, Error> {
        if self.storage().is_read_only() {
            return Err(WriteError::ReadOnly.into());
        }
        let mut vectors = 0;
        for field in self.embedded_fields(&*self.schema(table)?) {
            let _saving = field.slot.save();
            let reading = self.loaded(table, &field, &to_the_end)?;
            let Some(loaded) = reading.loaded() else {
                continue;
            };
            let (generation, bytes) = (loaded.generation, loaded.index.to_bytes()?);
            vectors += loaded.index.len();
            // Changes during the write are allowed: the file's generation then shows that it is
            // stale.
            drop(reading);
            let index = self.index_name(table, &field.name);
            saved::write(self.storage(), &index, generation, &bytes)?;
        }
        Ok(vectors)
    }

    /// Loads the indexes of a table into memory. Returns the number of vectors.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] if `tell` ends the work. Indexes loaded before stay in memory.
    pub(crate) fn load_index(
        &self,
        table: &str,
        tell: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<usize, Error> {
        let mut vectors = 0;
        for field in self.embedded_fields(&*self.schema(table)?) {
            vectors += self
                .loaded(table, &field, tell)?
                .loaded()
                .map_or(0, |loaded| loaded.index.len());
        }
        Ok(vectors)
    }

    pub(super) fn mark_for_embedding(&self, table: &str) -> Result<usize, Error> {
        self.schema(table)?;
        let range = ScanRange::prefix(keys::table_prefix(self.table_name(table)));
        let mut marked = 0;
        let mut batch = self.storage().batch();
        for entry in self.storage().scan(ENTITIES, range)? {
            let (key, value) = entry?;
            // An entity whose record is malformed has no texts.
            if RecordParts::read(&value).is_ok_and(|parts| parts.deleted) {
                continue;
            }
            batch.put(PENDING_EMBEDDINGS, key, [])?;
            marked += 1;
            if batch.len() == PAGE {
                std::mem::replace(&mut batch, self.storage().batch()).commit()?;
            }
        }
        if !batch.is_empty() {
            batch.commit()?;
        }
        Ok(marked)
    }

    /// Removes the vectors and indexes of fields that are no longer embedded.
    pub(super) fn forget_unembedded(&self, table: &str) -> Result<(), Error> {
        let schema = self.schema(table)?;
        for field in self.fields_with_vectors(table)? {
            if !schema.embedding_fields().contains(&field) {
                self.forget_vectors(table, &self.field(table, &field))?;
            }
        }
        Ok(())
    }

    /// Returns the names of the fields of a table that have stored vectors.
    fn fields_with_vectors(&self, table: &str) -> Result<Vec<String>, Error> {
        let mut fields = Vec::new();
        let all = ScanRange::prefix(keys::table_prefix(self.table_name(table)));
        let mut rest = all.clone();
        while let Some(entry) = self.storage().scan(EMBEDDINGS, rest)?.next() {
            let field = keys::parse_embedding_field(&entry?.0)?;
            rest = all
                .clone()
                .after_prefix(keys::field_prefix(self.table_name(table), &field));
            fields.push(field);
        }
        Ok(fields)
    }

    /// Commits `batch`, which removes a table with its vectors, and removes the vector indexes of
    /// the table. The caller holds the guard of [`change_schemas`](Self::change_schemas).
    pub(super) fn commit_dropping(
        &self,
        mut batch: BatchWriter<'_>,
        table: &str,
        embedded: &[String],
    ) -> Result<(), Error> {
        let mut fields: BTreeSet<String> = embedded.iter().cloned().collect();
        fields.extend(self.fields_with_vectors(table)?);
        let fields: Vec<Field> = fields.iter().map(|name| self.field(table, name)).collect();
        let mut slots: Vec<_> = fields.iter().map(|field| field.slot.change()).collect();
        for field in &fields {
            batch.delete(META, self.generation_key(table, &field.name))?;
        }
        batch.commit()?;
        for slot in &mut slots {
            slot.forget();
        }
        drop(slots);
        for field in &fields {
            let name = self.index_name(table, &field.name);
            saved::remove(self.storage(), &name)?;
        }
        Ok(())
    }

    fn forget_vectors(&self, table: &str, field: &Field) -> Result<(), Error> {
        let mut slot = field.slot.change();
        slot.forget();
        let range = ScanRange::prefix(keys::field_prefix(self.table_name(table), &field.name));
        let mut batch = self.storage().batch();
        for entry in self.storage().scan(EMBEDDINGS, range)? {
            batch.delete(EMBEDDINGS, entry?.0)?;
            if batch.len() == PAGE {
                std::mem::replace(&mut batch, self.storage().batch()).commit()?;
            }
        }
        // An index file is ignored if there is no generation.
        batch.delete(META, self.generation_key(table, &field.name))?;
        batch.commit()?;
        let index = self.index_name(table, &field.name);
        Ok(saved::remove(self.storage(), &index)?)
    }

    /// Rebuilds the vector indexes of every table from the stored vectors, read `page` at a time,
    /// while other threads read and write. Each new index replaces the old one when it is complete.
    pub(crate) fn rebuild_vector_indexes(
        &self,
        page: usize,
        tell: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<IndexReport, Error> {
        let mut report = IndexReport::default();
        for table in self.tables() {
            for field in self.embedded_fields(&*self.schema(&table)?) {
                let before = report.clone();
                let stored = Stored {
                    core: self,
                    table: &table,
                    field: &field.name,
                    page,
                    tell,
                };
                let mut rebuild = Rebuild {
                    stored,
                    before,
                    report,
                };
                let made = field.slot.make(&mut rebuild);
                report = rebuild.report;
                match made {
                    Ok(()) => {}
                    Err(Stopped::Cancelled) => {
                        return Ok(IndexReport {
                            cancelled: true,
                            ..report
                        });
                    }
                    Err(Stopped::Failed(error)) => return Err(error),
                }
            }
        }
        Ok(report)
    }

    /// Compares the vector indexes in memory of a table with the stored vectors.
    pub(crate) fn verify_vector_indexes(
        &self,
        table: &str,
        page: usize,
        tell: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<IndexReport, Error> {
        let mut report = IndexReport::default();
        let mut done = 0;
        for field in self.embedded_fields(&*self.schema(table)?) {
            let mut stored = Stored {
                core: self,
                table,
                field: &field.name,
                page,
                tell,
            };
            let (mut last, mut ended) = (None, false);
            while !ended {
                // Vectors change only under the lock of their index, so the index must contain this
                // page.
                let reading = match self.loaded(table, &field, &|_| tell(done)) {
                    Err(Error::Cancelled) => {
                        return Ok(IndexReport {
                            cancelled: true,
                            ..report
                        });
                    }
                    reading => reading?,
                };
                let vectors = stored.next_page(&mut last)?;
                let Some(loaded) = reading.loaded() else {
                    continue;
                };
                for (id, vector) in &vectors {
                    match vectors::check_dimensions(self.dimensions(), vector) {
                        Ok(()) => report.missing += usize::from(!loaded.index.holds(*id, vector)),
                        Err(_) => report.failed += 1,
                    }
                }
                drop(reading);
                (ended, done) = (vectors.len() < page, done + vectors.len());
                if tell(done).is_break() {
                    return Ok(IndexReport {
                        cancelled: true,
                        ..report
                    });
                }
            }
            (last, ended) = (None, false);
            while !ended {
                let reading = self.loaded(table, &field, &to_the_end)?;
                let Some(loaded) = reading.loaded() else {
                    continue;
                };
                let ids = loaded.index.ids_after(last, page);
                report.stale += stored
                    .vectors(&ids)?
                    .iter()
                    .filter(|vector| vector.is_none())
                    .count();
                drop(reading);
                (last, ended, done) = (ids.last().copied(), ids.len() < page, done + ids.len());
                if tell(done).is_break() {
                    return Ok(IndexReport {
                        cancelled: true,
                        ..report
                    });
                }
            }
        }
        Ok(report)
    }

    /// Stores the vectors of entities whose texts have not changed since, and sets entities with
    /// refused texts aside. Returns the numbers of both. The marks of entities that cannot be
    /// decoded stay.
    fn store_vectors(
        &self,
        schema: &Arc<Schema>,
        page: &Page,
        results: Vec<TextResult>,
    ) -> Result<Counts, Error> {
        let _steady = self.steady();
        let table = schema.table();
        if !Arc::ptr_eq(schema, &self.schema(table)?) {
            // The vectors may belong to fields that are no longer embedded.
            return Ok(Counts::default());
        }
        let ids: Vec<Uuid> = page.entities.iter().map(|(id, _)| *id).collect();
        let _locks = self.lock_all(&ids);
        let now = self.old_batch(table, &ids)?;
        let kept = self.kept_now(schema, page, &now)?;
        let mut results = results.into_iter();
        let mut batch = self.storage().batch();
        let computed = Computed::default();
        let mut changes = VectorChanges::new(&computed);
        let mut counts = Counts::default();
        for ((id, then), now) in page.entities.iter().zip(&now) {
            let is_malformed = matches!(now, Old::Malformed(..));
            let mut is_done = !is_malformed;
            let mut reasons = Reasons::new();
            for (position, field) in schema.embedding_fields().iter().enumerate() {
                let text = then.text(field);
                let was_kept = page.kept.contains(&(*id, position));
                let result = text.filter(|_| !was_kept).and_then(|_| results.next());
                match result {
                    _ if kept.contains(&(*id, position)) => {}
                    _ if is_malformed || was_kept || text != now.text(field) => {
                        is_done = false;
                    }
                    Some(TextResult::Failed) => is_done = false,
                    Some(TextResult::Refused(reason)) => {
                        reasons.insert(field.clone(), reason);
                        changes.replace(self, schema, (*id, position), None);
                    }
                    Some(TextResult::Embedded(vector)) => {
                        changes.replace(self, schema, (*id, position), Some(vector));
                    }
                    None => changes.replace(self, schema, (*id, position), None),
                }
            }
            let mark = keys::entity_key(self.table_name(table), *id);
            if is_done && reasons.is_empty() {
                batch.delete(PENDING_EMBEDDINGS, mark)?;
                counts.embedded += 1;
            } else if is_done {
                batch.put(PENDING_EMBEDDINGS, mark, pending::encode(&reasons))?;
                counts.refused += 1;
            }
        }
        self.commit_with_vectors(batch, &changes)?;
        Ok(counts)
    }

    /// Returns the supplied vectors of a page, as they are after the provider has embedded the others.
    fn kept_now(
        &self,
        schema: &Schema,
        page: &Page,
        now: &[Old],
    ) -> Result<HashSet<(Uuid, usize)>, Error> {
        let is_written = |(then, now): (&Old, &Old)| match (then, now) {
            (Old::Live(then), Old::Live(now)) => then.updated_at != now.updated_at,
            _ => true,
        };
        let entities = page.entities.iter().zip(now);
        let written: Vec<Uuid> = entities
            .filter(|((_, then), now)| is_written((then, now)))
            .map(|((id, _), _)| *id)
            .collect();
        let mut kept = page.kept.clone();
        kept.retain(|(id, _)| !written.contains(id));
        kept.extend(self.supplied(schema, &written)?);
        Ok(kept)
    }

    /// Returns the index of a field. Loads it if it is not in memory.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] if `tell` ends the loading.
    pub(super) fn loaded<'a>(
        &self,
        table: &str,
        field: &'a Field,
        tell: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Reading<'a>, Error> {
        loop {
            let reading = field.slot.read();
            if reading.loaded().is_some() {
                return Ok(reading);
            }
            drop(reading);
            field.slot.load(&mut Stored {
                core: self,
                table,
                field: &field.name,
                page: PAGE,
                tell,
            })?;
        }
    }

    pub(super) fn embedded_fields(&self, schema: &Schema) -> Vec<Field> {
        schema
            .embedding_fields()
            .iter()
            .map(|name| self.field(schema.table(), name))
            .collect()
    }

    pub(super) fn field(&self, table: &str, name: &str) -> Field {
        Field {
            name: name.to_owned(),
            slot: self.slot(self.index_name(table, name)),
        }
    }
}

/// The progress function of work that is not ended early.
pub(super) fn to_the_end(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Returns the result for each text, in order.
fn results_of(batch: EmbeddedBatch) -> Vec<TextResult> {
    let vectors = batch.vectors.into_iter();
    let mut results: Vec<_> = vectors
        .map(|vector| vector.map_or(TextResult::Failed, TextResult::Embedded))
        .collect();
    for refused in batch.refused {
        results[refused.position] = TextResult::Refused(refused.reason);
    }
    results
}

#[cfg(test)]
mod tests;
