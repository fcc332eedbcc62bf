//! The reader of a query.
//!
//! Each query reads one snapshot, which operators of DataFusion cannot borrow. The reader holds it
//! and creates pages of rows on request, on the thread of the query ([`compute`](super::compute)).
//! It ends when all request handles are dropped.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::access::Access;
use super::budget::Stop;
use super::rows::{BatchBuilder, RowReader};
use crate::database::core::Core;
use crate::database::error::Error;
use crate::index;
use crate::schema::Schema;
use crate::storage::column_families::{ENTITIES, FIELD_INDEX, KEY_INDEX, META};
use crate::storage::keys::{Table, ValueRange};
use crate::storage::{Entry, ReadError, ScanRange, Snapshot, keys};

/// Rows in the first page of a scan. It is small so that a query for few rows is fast. Each page is
/// [`GROWTH`] times as large as the one before, up to [`MAX_PAGE`].
const FIRST_PAGE: usize = 64;
const GROWTH: usize = 4;
const MAX_PAGE: usize = 8192;
/// A page ends early when its records exceed this many bytes, or this part of the memory limit:
/// several functions may hold as much as a page at a time.
const MAX_PAGE_BYTES: usize = 4 << 20;
const PAGES_IN_LIMIT: usize = 32;
/// The number of index ranges that are scanned one by one. More ranges are read with one scan from
/// the first to the last.
const MAX_RANGES: usize = 64;
/// The number of entities fetched by id at a time.
const FETCH: usize = 256;

/// The tables of a tenant in one snapshot.
pub(super) type Tables = BTreeMap<String, Arc<Schema>>;

/// A scan of a table.
#[derive(Debug, Clone)]
pub(super) struct ScanSpec {
    pub(super) table: String,
    pub(super) access: Access,
    pub(super) rows: Arc<RowReader>,
    pub(super) limit: Option<usize>,
}

enum Request {
    Page {
        scan: u64,
        spec: Arc<ScanSpec>,
        largest: Largest,
        reply: oneshot::Sender<Page>,
    },
    Close {
        scan: u64,
    },
}

/// `None` after the last page.
type Page = Result<Option<RecordBatch>, DataFusionError>;

/// A handle for requests to the reader.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    sender: mpsc::UnboundedSender<Request>,
    scans: Arc<AtomicU64>,
    page_bytes: usize,
}

/// The requests that the reader receives.
pub(super) struct Receiver(mpsc::UnboundedReceiver<Request>);

impl Requests {
    /// Creates a handle for a query with this memory limit.
    pub(super) fn new(memory_limit: usize) -> (Self, Receiver) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let requests = Self {
            sender,
            scans: Arc::default(),
            page_bytes: MAX_PAGE_BYTES.min(memory_limit / PAGES_IN_LIMIT),
        };
        (requests, Receiver(receiver))
    }

    /// Opens a scan with pages of at most `rows` rows. Nothing is read before its first page is
    /// requested.
    pub(super) fn open(&self, spec: Arc<ScanSpec>, rows: usize) -> OpenScan {
        OpenScan {
            scan: self.scans.fetch_add(1, Ordering::Relaxed),
            spec,
            largest: Largest {
                rows: rows.min(MAX_PAGE),
                bytes: self.page_bytes,
            },
            requests: self.clone(),
        }
    }
}

/// The size at which a page ends.
#[derive(Clone, Copy)]
struct Largest {
    rows: usize,
    bytes: usize,
}

/// An open scan. Dropping it closes the scan.
pub(super) struct OpenScan {
    requests: Requests,
    scan: u64,
    spec: Arc<ScanSpec>,
    largest: Largest,
}

impl OpenScan {
    pub(super) async fn next_page(&self) -> Page {
        let gone = || DataFusionError::External(Box::new(Error::ShuttingDown));
        let (reply, page) = oneshot::channel();
        let request = Request::Page {
            scan: self.scan,
            spec: Arc::clone(&self.spec),
            largest: self.largest,
            reply,
        };
        self.requests.sender.send(request).map_err(|_| gone())?;
        page.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for OpenScan {
    fn drop(&mut self) {
        // Fails if the thread has already ended, which closes all scans.
        _ = self
            .requests
            .sender
            .send(Request::Close { scan: self.scan });
    }
}

/// Takes the error of a reader out of DataFusion's wrappers. Returns any other error without its
/// wrappers.
pub(super) fn read_error(error: DataFusionError) -> Result<Error, DataFusionError> {
    match error {
        DataFusionError::External(error) => match error.downcast::<Error>() {
            Ok(error) => Ok(*error),
            Err(error) => Err(DataFusionError::External(error)),
        },
        DataFusionError::Context(_, error) | DataFusionError::Diagnostic(_, error) => {
            read_error(*error)
        }
        DataFusionError::Collection(mut errors) if !errors.is_empty() => {
            read_error(errors.remove(0))
        }
        error => Err(error),
    }
}

/// Answers the requests of a query until all of its request handles are dropped.
pub(super) async fn serve(
    core: &Core,
    snapshot: &Snapshot<'_>,
    mut requests: Receiver,
    stop: &Stop,
) {
    let mut walks: HashMap<u64, Walk<'_>> = HashMap::new();
    while let Some(request) = requests.0.recv().await {
        match request {
            Request::Page {
                scan,
                spec,
                largest,
                reply,
            } => {
                let page = match walks
                    .remove(&scan)
                    .map_or_else(|| Walk::begin(core, snapshot, spec, largest), Ok)
                {
                    Ok(mut walk) => {
                        let page = walk.page(stop);
                        walks.insert(scan, walk);
                        page
                    }
                    Err(error) => Err(DataFusionError::External(Box::new(error))),
                };
                // The receiver may have been dropped.
                _ = reply.send(page);
            }
            Request::Close { scan } => drop(walks.remove(&scan)),
        }
    }
}

/// A running scan.
struct Walk<'s> {
    core: &'s Core,
    snapshot: &'s Snapshot<'s>,
    spec: Arc<ScanSpec>,
    found: Found<'s>,
    /// The number of rows left before the limit.
    left: usize,
    page: usize,
    largest: Largest,
}

/// The source of the rows.
enum Found<'s> {
    Entities(Entries<'s>),
    Ids(Box<dyn Iterator<Item = Result<Uuid, Error>> + 's>),
}

type Entries<'s> = Box<dyn Iterator<Item = Result<Entry, ReadError>> + 's>;

impl<'s> Walk<'s> {
    fn begin(
        core: &'s Core,
        snapshot: &'s Snapshot<'s>,
        spec: Arc<ScanSpec>,
        largest: Largest,
    ) -> Result<Self, Error> {
        let left = spec.limit.unwrap_or(usize::MAX);
        let found = Found::begin(core.tenant(), snapshot, &spec)?;
        Ok(Self {
            core,
            snapshot,
            spec,
            found,
            left,
            page: FIRST_PAGE.min(largest.rows),
            largest,
        })
    }

    /// Reads the next page.
    fn page(&mut self, stop: &Stop) -> Page {
        let rows = Arc::clone(&self.spec.rows);
        let mut batch = rows.batch();
        let target = self.page.min(self.left);
        self.fill(&mut batch, target, stop)
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        self.page = (self.page * GROWTH).min(self.largest.rows);
        self.left -= batch.rows();
        if batch.rows() == 0 {
            Ok(None)
        } else {
            Ok(Some(batch.finish()?))
        }
    }

    /// Adds rows until there are `target` rows, no rows are left, or the query is dropped.
    fn fill(
        &mut self,
        batch: &mut BatchBuilder<'_>,
        target: usize,
        stop: &Stop,
    ) -> Result<(), Error> {
        let mut bytes = 0;
        let largest = self.largest.bytes;
        let is_full = |batch: &BatchBuilder<'_>, bytes| {
            batch.rows() >= target || (bytes > largest && batch.rows() > 0) || stop.is_stopped()
        };
        while !is_full(batch, bytes) {
            match &mut self.found {
                Found::Entities(entries) => {
                    let Some(entry) = entries.next() else { break };
                    let (key, value) = entry?;
                    bytes += value.len();
                    let id = keys::parse_entity_key(&key)?.2;
                    push(self.core, &self.spec, batch, id, &value)?;
                }
                Found::Ids(ids) => {
                    let wanted = (target - batch.rows()).min(FETCH);
                    let ids = ids.take(wanted).collect::<Result<Vec<_>, _>>()?;
                    if ids.is_empty() {
                        break;
                    }
                    let table = self.core.table_name(&self.spec.table);
                    let key = |id: &Uuid| keys::entity_key(table, *id);
                    let records = fetch(
                        self.snapshot,
                        ENTITIES,
                        &ids.iter().map(key).collect::<Vec<_>>(),
                    )?;
                    for (id, record) in ids.into_iter().zip(records) {
                        let Some(record) = record else { continue };
                        bytes += record.len();
                        push(self.core, &self.spec, batch, id, &record)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Adds a row to a batch. Skips a record that cannot be decoded if the handle does so.
fn push(
    core: &Core,
    spec: &ScanSpec,
    batch: &mut BatchBuilder<'_>,
    id: Uuid,
    record: &[u8],
) -> Result<(), Error> {
    let pushed = batch.push(id, record).map(Some);
    core.skipping(pushed.map_err(|reason| Error::MalformedRecord {
        table: spec.table.clone(),
        id,
        reason,
    }))?;
    Ok(())
}

impl<'s> Found<'s> {
    fn begin(tenant: &'s str, snapshot: &'s Snapshot<'s>, spec: &ScanSpec) -> Result<Self, Error> {
        let table = Table::new(tenant, &spec.table);
        match &spec.access {
            Access::Ids(ids) => Ok(Self::Ids(Box::new(ids.clone().into_iter().map(Ok)))),
            Access::Keys(wanted) => {
                let wanted: Vec<_> = wanted
                    .iter()
                    .map(|key| keys::key_index_key(table, key))
                    .collect();
                let mut ids = Vec::with_capacity(wanted.len());
                for wanted in wanted.chunks(FETCH) {
                    let owners = fetch(snapshot, KEY_INDEX, wanted)?;
                    ids.extend(
                        owners
                            .iter()
                            .flatten()
                            .filter_map(|owner| index::keys::owner(owner))
                            .map(Ok),
                    );
                }
                Ok(Self::Ids(Box::new(ids.into_iter())))
            }
            // During a schema change the index does not contain every entity.
            Access::Field { .. } if snapshot.get(META, keys::unfinished_key(table))?.is_some() => {
                Self::all(table, snapshot, None, None)
            }
            Access::Field {
                trusts_rules: true, ..
            } if snapshot
                .get(META, keys::changed_rules_key(table))?
                .is_some() =>
            {
                Self::all(table, snapshot, None, None)
            }
            Access::Field { field, ranges, .. } => {
                let walks = match &ranges[..] {
                    [first, .., last] if ranges.len() > MAX_RANGES => vec![first.to(last)],
                    ranges => ranges.to_vec(),
                };
                let walks: Vec<_> = walks
                    .iter()
                    .map(|range| index::fields::value_range(table, field, range))
                    .collect();
                let wanted = ranges.clone();
                let id = move |entry: Result<Entry, ReadError>| {
                    let (value, id) = keys::parse_field_index_key(&entry?.0)?;
                    Ok(ValueRange::any_contains(&wanted, &value).then_some(id))
                };
                let entries = walks.into_iter().flat_map(move |walk| {
                    match snapshot.scan(FIELD_INDEX, walk) {
                        Ok(entries) => Box::new(entries) as Entries<'s>,
                        Err(error) => Box::new(std::iter::once(Err(error))),
                    }
                });
                Ok(Self::Ids(Box::new(
                    entries.map(id).filter_map(Result::transpose),
                )))
            }
            Access::Scan { first, last } => Self::all(table, snapshot, *first, *last),
        }
    }

    fn all(
        table: Table<'_>,
        snapshot: &'s Snapshot<'s>,
        first: Option<Uuid>,
        last: Option<Uuid>,
    ) -> Result<Self, Error> {
        let mut range = ScanRange::prefix(keys::table_prefix(table));
        if let Some(first) = first {
            range = range.from(keys::entity_key(table, first));
        }
        if let Some(last) = last {
            range = range.through(keys::entity_key(table, last));
        }
        Ok(Self::Entities(Box::new(snapshot.scan(ENTITIES, range)?)))
    }
}

/// Returns the values of several keys.
fn fetch(
    snapshot: &Snapshot<'_>,
    family: &str,
    keys: &[Vec<u8>],
) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
    match keys {
        [key] => Ok(vec![snapshot.get(family, key)?]),
        keys => snapshot.multi_get(family, keys),
    }
}
