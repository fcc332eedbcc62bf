//! `Storage` compared with the `rocksdb` crate: the same open database, column family, and read and
//! write options. Both sides return owned values and keep their options. The bare side also keeps
//! the handle of the column family, which `Storage` looks up by name.

use std::hint::black_box;
use std::sync::Arc;

use percolate_core::storage::{ScanRange, Storage, StorageOptions};
use rocksdb::{
    BoundColumnFamily, DBWithThreadMode, Direction, IteratorMode, MultiThreaded, ReadOptions,
    WriteBatch, WriteOptions,
};
use tempfile::TempDir;

use crate::Failed;
use crate::bodies::{Body, Compared, Failure, ROWS, Workload};
use crate::calls::{Way, bare};
use crate::child::{COLLECTION, Function, answer};
use crate::declarations;
use crate::settings::Setting;

/// The prefix of these workloads' names.
pub(crate) const PREFIX: &str = "storage_";

/// Calls of `Storage`.
pub(crate) const WORKLOADS: [Workload; 5] = [
    Workload {
        name: "storage_get",
        calls: 20_000,
        piece: 1_000,
        compared: Compared::Store,
    },
    Workload {
        name: "storage_put",
        calls: 20_000,
        piece: 1_000,
        compared: Compared::Store,
    },
    Workload {
        name: "storage_scan",
        calls: 2_000,
        piece: 100,
        compared: Compared::Store,
    },
    Workload {
        name: "storage_batch",
        calls: 400,
        piece: 20,
        compared: Compared::Store,
    },
    Workload {
        name: "storage_multi_get",
        calls: 2_000,
        piece: 100,
        compared: Compared::Store,
    },
];

const FAMILY: &str = COLLECTION;
const ENTITIES: usize = 10_000;

/// Ten thousand real entities, in files and in the block cache.
struct Store {
    storage: Storage,
    entities: Vec<(String, String)>,
    _dir: TempDir,
}

impl Store {
    fn open() -> Result<Self, Failed> {
        let dir = tempfile::tempdir()?;
        let storage = Storage::open(
            dir.path(),
            StorageOptions::new()
                .column_family(FAMILY)
                .namespace("demo"),
        )?;
        let key =
            |entity: &serde_json::Value| entity["place"].as_str().unwrap_or_default().to_owned();
        let mut entities: Vec<_> = declarations::read(ENTITIES)?
            .iter()
            .map(|entity| (key(entity), entity.to_string()))
            .collect();
        entities.sort();
        for (key, value) in &entities {
            storage.put(FAMILY, key, value)?;
        }
        storage.flush()?;
        storage.compact(FAMILY)?;
        for (key, _) in &entities {
            black_box(storage.get(FAMILY, key)?);
        }
        Ok(Self {
            storage,
            entities,
            _dir: dir,
        })
    }

    /// With a prime step, consecutive reads hit different blocks.
    fn entity(&self, turn: usize) -> (&str, &str) {
        let (key, value) = &self.entities[turn.wrapping_mul(7919) % self.entities.len()];
        (key, value)
    }

    /// A key with at least a hundred keys after it.
    fn scanned_from(&self, turn: usize) -> &str {
        &self.entities[turn.wrapping_mul(7919) % (self.entities.len() - ROWS)].0
    }
}

/// One operation on both sides. [`Body::run`] is the bare one.
struct Operation<'a, K> {
    store: &'a Store,
    rocks: &'a DBWithThreadMode<MultiThreaded>,
    family: Arc<BoundColumnFamily<'a>>,
    reads: ReadOptions,
    writes: WriteOptions,
    _kind: K,
}

struct Get;
struct Put;
struct Scan;
struct Batch;
struct MultiGet;

/// `child SETTING storage_OPERATION`.
pub(crate) fn serve(setting: &Setting, operation: &str) -> Result<(), Failed> {
    let store = Store::open()?;
    match operation {
        "get" => side_by_side(setting, &store, Get, get),
        "put" => side_by_side(setting, &store, Put, put),
        "scan" => side_by_side(setting, &store, Scan, scan),
        "batch" => side_by_side(setting, &store, Batch, batch),
        "multi_get" => side_by_side(setting, &store, MultiGet, multi_get),
        _ => Err(format!("`Storage` has no operation `{operation}` here").into()),
    }
}

fn side_by_side<'a, K>(
    setting: &Setting,
    store: &'a Store,
    kind: K,
    ours: Function<Operation<'a, K>>,
) -> Result<(), Failed>
where
    Operation<'a, K>: Body,
{
    let rocks = store.storage.rocksdb().ok_or("the store is RocksDB's")?;
    let family = rocks
        .cf_handle(FAMILY)
        .ok_or("the column family does not exist")?;
    let (reads, writes) = (ReadOptions::default(), WriteOptions::default());
    let body = Operation {
        store,
        rocks,
        family,
        reads,
        writes,
        _kind: kind,
    };
    answer(
        setting,
        &body,
        if setting.way == Way::Bare { bare } else { ours },
    )
}

impl Body for Operation<'_, Get> {
    type Out = Option<Vec<u8>>;

    fn run(&self, turn: usize) -> Result<Self::Out, Failure> {
        let value =
            self.rocks
                .get_pinned_cf_opt(&self.family, self.store.entity(turn).0, &self.reads)?;
        Ok(value.map(|value| value.to_vec()))
    }
}

#[inline(never)]
fn get(body: &Operation<'_, Get>, family: &str, turn: usize) -> Result<Option<Vec<u8>>, Failure> {
    Ok(body.store.storage.get(family, body.store.entity(turn).0)?)
}

impl Body for Operation<'_, Put> {
    type Out = ();

    fn run(&self, turn: usize) -> Result<(), Failure> {
        let (key, value) = self.store.entity(turn);
        Ok(self
            .rocks
            .put_cf_opt(&self.family, key, value, &self.writes)?)
    }
}

#[inline(never)]
fn put(body: &Operation<'_, Put>, family: &str, turn: usize) -> Result<(), Failure> {
    let (key, value) = body.store.entity(turn);
    Ok(body.store.storage.put(family, key, value)?)
}

impl Body for Operation<'_, Scan> {
    type Out = usize;

    fn run(&self, turn: usize) -> Result<usize, Failure> {
        let from = IteratorMode::From(self.store.scanned_from(turn).as_bytes(), Direction::Forward);
        let mut rows = 0;
        for row in self
            .rocks
            .iterator_cf_opt(&self.family, ReadOptions::default(), from)
            .take(ROWS)
        {
            black_box(row?);
            rows += 1;
        }
        Ok(rows)
    }
}

#[inline(never)]
fn scan(body: &Operation<'_, Scan>, family: &str, turn: usize) -> Result<usize, Failure> {
    let mut rows = 0;
    for row in body
        .store
        .storage
        .scan(family, ScanRange::all().from(body.store.scanned_from(turn)))?
        .take(ROWS)
    {
        black_box(row?);
        rows += 1;
    }
    Ok(rows)
}

impl Body for Operation<'_, Batch> {
    type Out = ();

    fn run(&self, turn: usize) -> Result<(), Failure> {
        let mut batch = WriteBatch::default();
        for number in 0..ROWS {
            let (key, value) = self.store.entity(turn + number);
            batch.put_cf(&self.family, key, value);
        }
        Ok(self.rocks.write_opt(batch, &self.writes)?)
    }
}

#[inline(never)]
fn batch(body: &Operation<'_, Batch>, family: &str, turn: usize) -> Result<(), Failure> {
    let mut batch = body.store.storage.batch();
    for number in 0..ROWS {
        let (key, value) = body.store.entity(turn + number);
        batch.put(family, key, value)?;
    }
    batch.commit()?;
    Ok(())
}

/// The keys of one `multi_get`.
fn keys<'a>(store: &'a Store, turn: usize) -> [&'a str; ROWS] {
    std::array::from_fn(|number| store.entity(turn + number).0)
}

impl Body for Operation<'_, MultiGet> {
    type Out = Vec<Option<Vec<u8>>>;

    fn run(&self, turn: usize) -> Result<Self::Out, Failure> {
        let keys = keys(self.store, turn);
        let found = self
            .rocks
            .batched_multi_get_cf_opt(&self.family, keys, false, &self.reads);
        found
            .into_iter()
            .map(|value| Ok(value?.map(|value| value.to_vec())))
            .collect()
    }
}

#[inline(never)]
fn multi_get(
    body: &Operation<'_, MultiGet>,
    family: &str,
    turn: usize,
) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    Ok(body
        .store
        .storage
        .multi_get(family, &keys(body.store, turn))?)
}
