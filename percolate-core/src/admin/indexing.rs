//! Rebuilding and verifying indexes from the entities, while other threads read and write.
//!
//! The work is done in pages. A page's entities are locked while their entries are compared and
//! corrected, so that each write happens entirely before or entirely after. No correct entry is
//! ever missing from an index because of a rebuild.

use std::ops::ControlFlow;
use std::sync::Arc;

use uuid::Uuid;

use crate::background_job;
use crate::database::core::Core;
use crate::database::error::Error;
use crate::index::report::{IndexReport, Unreadable};
use crate::index::{self, IndexEntry, Indexed};
use crate::progress::{OnProgress, Progress, Running};
use crate::schema::Schema;
use crate::schema::entity::Record;
use crate::storage::column_families::{ENTITIES, FIELD_INDEX, KEY_INDEX};
use crate::storage::keys::{self, Table};
use crate::storage::{BatchWriter, ScanRange, WriteError};

const PAGE: usize = 512;

/// Rebuilds and verifies the indexes of one tenant.
///
/// ```
/// use percolate_core::Database;
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let db = Database::open(dir.path())?;
/// db.register_schema("articles", &json!({ "key_field": "slug" }))?;
/// db.insert("articles", &json!({ "slug": "a" }))?;
/// let report = db.indexes().rebuild_key_index()?;
/// assert_eq!(report.entities, 1);
/// assert!(db.indexes().verify()?.is_clean());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct IndexManager {
    pub(super) core: Core,
    page: usize,
    on_progress: OnProgress,
    /// The operation that runs.
    running: Option<Running>,
}

impl IndexManager {
    pub(crate) fn over(core: Core) -> Self {
        Self {
            core,
            page: PAGE,
            on_progress: OnProgress::default(),
            running: None,
        }
    }

    /// Sets the number of entities that are locked and corrected at a time, at least 1. Default:
    /// 512.
    pub fn page_size(mut self, entities: usize) -> Self {
        self.page = entities.max(1);
        self
    }

    /// Calls `report` after each page. The work ends there if it returns [`ControlFlow::Break`].
    ///
    /// Ending the work early is not an error: the report is [`cancelled`](IndexReport::cancelled),
    /// and the `job.status` of the span is `cancelled`. Entries corrected so far stay corrected,
    /// and correct entries are never removed. The next run starts from the beginning.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::time::{Duration, Instant};
    ///
    /// # use percolate_core::Database;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Database::open(dir.path())?;
    /// # db.register_schema("articles", &serde_json::json!({ "key_field": "slug" }))?;
    /// # db.insert("articles", &serde_json::json!({ "slug": "a" }))?;
    /// let end = Instant::now() + Duration::from_secs(60);
    /// let in_time = move |_| if Instant::now() < end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    /// assert!(!db.indexes().on_progress(in_time).rebuild_all()?.cancelled);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_progress(
        mut self,
        report: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        self.on_progress = OnProgress::new(report);
        self
    }

    /// Returns the manager of an operation: of the one that runs, if this is a part of it.
    fn started(&self) -> Self {
        let mut manager = self.clone();
        manager
            .running
            .get_or_insert_with(|| self.on_progress.start());
        manager
    }

    /// Rebuilds the key index of every table. The index of a table whose schema cannot be read stays
    /// as it is.
    #[background_job(index.key.rebuild, target = "all", batch_size = |report| report.entities)]
    pub fn rebuild_key_index(&self) -> Result<IndexReport, Error> {
        self.started()
            .work(&Work::keys(self.core.tenant()), Mode::Correct)
    }

    /// Rebuilds the field indexes of one table according to its current schema.
    #[background_job(index.field.rebuild, table, batch_size = |report| report.entities)]
    pub fn rebuild_field_indexes(&self, table: &str) -> Result<IndexReport, Error> {
        self.core.schema(table)?;
        self.started()
            .work(&Work::fields(self.core.table_name(table)), Mode::Correct)
    }

    /// Rebuilds the vector indexes of every table from the stored vectors, which the report counts
    /// as `entities`.
    ///
    /// The old index is searched and kept up to date until the new one replaces it. Both are in
    /// memory until then; if the work ends early, the old one stays. The entities of texts without
    /// a vector (`missing`) and of vectors without a text (`stale`) are marked for the next
    /// [`generate_embeddings`](crate::Database::generate_embeddings).
    #[background_job(index.build, target = "hnsw", batch_size = |report| report.entities)]
    pub fn rebuild_hnsw_index(&self) -> Result<IndexReport, Error> {
        let this = self.started();
        let mut report = IndexReport::default();
        for table in self.core.tables() {
            if !report.cancelled {
                report.add(this.compare_embeddings(&table, Mode::Correct)?);
            }
        }
        if !report.cancelled {
            report.add(
                self.core
                    .rebuild_vector_indexes(self.page, &|done| this.notify(done))?,
            );
        }
        Ok(report)
    }

    /// Loads the vector indexes of a table into memory, as its first search does: from their files
    /// if these are complete and current, otherwise from the stored vectors. The report counts the
    /// vectors as `entities`. An index that is not complete when the work ends early is dropped.
    #[background_job(index.load, table, batch_size = |report| report.entities)]
    pub fn load_vector_indexes(&self, table: &str) -> Result<IndexReport, Error> {
        let this = self.started();
        match self.core.load_index(table, &|done| this.notify(done)) {
            Ok(entities) => Ok(IndexReport {
                entities,
                ..IndexReport::default()
            }),
            Err(Error::Cancelled) => Ok(IndexReport {
                cancelled: true,
                ..IndexReport::default()
            }),
            Err(error) => Err(error),
        }
    }

    /// Rebuilds every index: the key index, all field indexes and all vector indexes. The report
    /// does not count stored vectors as entities.
    #[background_job("index.rebuild", target = "all", batch_size = |report| report.entities)]
    pub fn rebuild_all(&self) -> Result<IndexReport, Error> {
        let this = self.started();
        let mut report = this.rebuild_key_index()?;
        self.add_unusable_tables(&mut report);
        for table in self.core.tables() {
            if report.cancelled {
                break;
            }
            report.add(this.rebuild_field_indexes(&table)?);
        }
        if !report.cancelled {
            report.add(IndexReport {
                entities: 0,
                ..this.rebuild_hnsw_index()?
            });
        }
        Ok(report)
    }

    /// Counts and names the entities that cannot be read. Counts the differences between entities
    /// and indexes, between texts and their vectors, and between stored vectors and the vector
    /// indexes in memory. Changes nothing on disk.
    ///
    /// A text that is marked for embedding does not count as a difference. Vector indexes that are
    /// not in memory are loaded first, as by a search.
    #[background_job("index.verify", target = "all", batch_size = |report| report.entities)]
    pub fn verify(&self) -> Result<IndexReport, Error> {
        let this = self.started();
        let mut report = this.work(&Work::keys(self.core.tenant()), Mode::Count)?;
        self.add_unusable_tables(&mut report);
        for table in self.core.tables() {
            if report.cancelled {
                break;
            }
            let fields = this.work(&Work::fields(self.core.table_name(&table)), Mode::Count)?;
            report.add(IndexReport {
                entities: 0,
                failed: 0,
                unreadable: Vec::new(),
                ..fields
            });
            if !report.cancelled {
                report.add(this.compare_embeddings(&table, Mode::Count)?);
            }
            if !report.cancelled {
                report.add(
                    self.core
                        .verify_vector_indexes(&table, self.page, &|done| this.notify(done))?,
                );
            }
        }
        Ok(report)
    }

    fn add_unusable_tables(&self, report: &mut IndexReport) {
        for table in self.core.unusable_tables().into_keys() {
            report.add_unreadable(Unreadable { table, id: None });
        }
    }

    fn work(&self, work: &Work, mode: Mode) -> Result<IndexReport, Error> {
        let mut report = IndexReport::default();
        let mut done = 0;
        let mut flow = self.each_page(ENTITIES, &work.entities, |page| {
            done += page.len();
            report.add(self.complete_page(work, mode, page)?);
            Ok(self.notify(done))
        })?;
        if flow.is_continue() {
            flow = self.each_page(work.family, &work.index, |page| {
                done += page.len();
                report.stale += self.clear_page(work, mode, page)?;
                Ok(self.notify(done))
            })?;
        }
        Ok(IndexReport {
            cancelled: flow.is_break(),
            ..report
        })
    }

    /// Passes the keys and values of `range` to `handle`, a page at a time. Each page is a new
    /// scan, because a long scan would delay compaction.
    pub(super) fn each_page(
        &self,
        family: &str,
        range: &ScanRange,
        mut handle: impl FnMut(&[Row]) -> Result<ControlFlow<()>, Error>,
    ) -> Result<ControlFlow<()>, Error> {
        let mut rest = range.clone();
        loop {
            let scan = self.core.storage().scan(family, rest)?;
            let page = scan.take(self.page).collect::<Result<Vec<Row>, _>>()?;
            let Some((last, _)) = page.last() else {
                return Ok(ControlFlow::Continue(()));
            };
            rest = range.clone().after(last);
            let flow = handle(&page)?;
            if flow.is_break() || page.len() < self.page {
                return Ok(flow);
            }
        }
    }

    /// Writes the missing entries of the page's entities.
    fn complete_page(&self, work: &Work, mode: Mode, page: &[Row]) -> Result<IndexReport, Error> {
        let unusable = self.core.unusable_tables();
        let mut owners = page
            .iter()
            .map(|(key, _)| Ok(Owner::of_entity(key)?))
            .collect::<Result<Vec<_>, Error>>()?;
        owners.retain(|owner| !unusable.contains_key(&owner.table));
        let (_locks, states) = self.lock_and_read(&owners)?;
        let mut report = IndexReport {
            entities: owners.len(),
            ..IndexReport::default()
        };
        let mut expected = Vec::new();
        for (owner, state) in owners.iter().zip(&states) {
            match self.expected(work, owner, state.as_ref()) {
                Some(entries) => expected.extend(entries),
                None => report.add_unreadable(Unreadable {
                    table: owner.table.clone(),
                    id: Some(owner.id),
                }),
            }
        }
        let keys: Vec<_> = expected.iter().map(|entry| &entry.key).collect();
        let found = self.core.storage().multi_get(work.family, &keys)?;
        let mut batch = self.core.storage().batch();
        for (entry, found) in expected.iter().zip(found) {
            if found.as_ref() != Some(&entry.value) {
                report.missing += 1;
                batch.put(entry.family, &entry.key, &entry.value)?;
            }
        }
        commit(batch, mode)?;
        Ok(report)
    }

    /// Removes the page's entries that belong to no entity.
    fn clear_page(&self, work: &Work, mode: Mode, page: &[Row]) -> Result<usize, Error> {
        // The entries of a table whose schema cannot be read stay until it is registered again.
        let unusable = self.core.unusable_tables();
        let is_usable = |(key, _): &&Row| {
            !keys::parse_table(key).is_ok_and(|table| unusable.contains_key(&table))
        };
        let page: Vec<&Row> = page.iter().filter(is_usable).collect();
        let owners: Vec<_> = page
            .iter()
            .map(|(key, value)| (work.owner)(key, value))
            .collect();
        let known: Vec<Owner> = owners.iter().flatten().cloned().collect();
        let (_locks, states) = self.lock_and_read(&known)?;
        let mut states = states.iter();
        let mut stale_rows = Vec::new();
        for (row, owner) in page.into_iter().zip(&owners) {
            // States were read for the known owners, in order.
            let expected = match owner {
                Some(owner) => self
                    .expected(work, owner, states.next().and_then(Option::as_ref))
                    .unwrap_or_default(),
                None => Vec::new(),
            };
            let (key, value) = row;
            if !expected
                .iter()
                .any(|entry| *entry.key == **key && *entry.value == **value)
            {
                stale_rows.push(row);
            }
        }
        if stale_rows.is_empty() {
            return Ok(0);
        }
        // A writer may have removed an entry after the page was read and before its entity was
        // locked.
        let keys: Vec<_> = stale_rows.iter().map(|(key, _)| key).collect();
        let found = self.core.storage().multi_get(work.family, &keys)?;
        let mut batch = self.core.storage().batch();
        for ((key, value), found) in stale_rows.into_iter().zip(found) {
            if found.as_deref() == Some(value) {
                batch.delete(work.family, key)?;
            }
        }
        let stale = batch.len();
        commit(batch, mode)?;
        Ok(stale)
    }

    pub(super) fn lock_and_read(
        &self,
        owners: &[Owner],
    ) -> Result<(impl Sized + use<'_>, Vec<Option<Vec<u8>>>), Error> {
        let ids: Vec<_> = owners.iter().map(|owner| owner.id).collect();
        let locks = self.core.lock_all(&ids);
        let keys: Vec<_> = owners
            .iter()
            .map(|owner| keys::entity_key(self.core.table_name(&owner.table), owner.id))
            .collect();
        Ok((locks, self.core.storage().multi_get(ENTITIES, &keys)?))
    }

    /// Returns the entries that an entity should have, or `None` if it cannot be read or has no
    /// schema.
    fn expected(
        &self,
        work: &Work,
        owner: &Owner,
        stored: Option<&Vec<u8>>,
    ) -> Option<Vec<IndexEntry>> {
        let Some(stored) = stored else {
            return Some(Vec::new());
        };
        let Some(record) = Record::decode_live(stored).ok()? else {
            return Some(Vec::new());
        };
        let schema: Arc<Schema> = self.core.schema(&owner.table).ok()?;
        let tenant = self.core.tenant();
        Some((work.entries)(Indexed {
            tenant,
            schema: &schema,
            id: owner.id,
            data: &record.data,
        }))
    }

    pub(super) fn notify(&self, done: usize) -> ControlFlow<()> {
        match &self.running {
            Some(running) => running.notify(done, None),
            None => ControlFlow::Continue(()),
        }
    }
}

impl std::fmt::Debug for IndexManager {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("IndexManager")
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}

pub(super) type Row = (Box<[u8]>, Box<[u8]>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Correct,
    Count,
}

/// The entity that an index entry belongs to.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) table: String,
    pub(super) id: Uuid,
}

impl Owner {
    pub(super) fn of_entity(key: &[u8]) -> Result<Self, keys::MalformedKey> {
        let (_, table, id) = keys::parse_entity_key(key)?;
        Ok(Self { table, id })
    }

    fn of_key_entry(key: &[u8], value: &[u8]) -> Option<Self> {
        Some(Self {
            table: keys::parse_table(key).ok()?,
            id: index::keys::owner(value)?,
        })
    }

    fn of_field_entry(key: &[u8], _value: &[u8]) -> Option<Self> {
        Some(Self {
            table: keys::parse_table(key).ok()?,
            id: keys::parse_field_index_key(key).ok()?.1,
        })
    }
}

/// One index: the ranges of its entities and entries, and how each is derived from the other.
struct Work {
    family: &'static str,
    entities: ScanRange,
    index: ScanRange,
    entries: fn(Indexed<'_>) -> Vec<IndexEntry>,
    owner: fn(&[u8], &[u8]) -> Option<Owner>,
}

impl Work {
    fn keys(tenant: &str) -> Self {
        let all = ScanRange::prefix(keys::tenant_prefix(tenant));
        Self {
            family: KEY_INDEX,
            entities: all.clone(),
            index: all,
            entries: index::keys::entries,
            owner: Owner::of_key_entry,
        }
    }

    fn fields(table: Table<'_>) -> Self {
        let table = ScanRange::prefix(keys::table_prefix(table));
        Self {
            family: FIELD_INDEX,
            entities: table.clone(),
            index: table,
            entries: index::fields::entries,
            owner: Owner::of_field_entry,
        }
    }
}

pub(super) fn commit(batch: BatchWriter<'_>, mode: Mode) -> Result<(), WriteError> {
    if mode == Mode::Correct && !batch.is_empty() {
        batch.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
