//! `Database::insert` compared with its parts. The bare side reads the batches that the inserts
//! wrote from RocksDB's log and writes the same bytes again.

use std::cell::RefCell;
use std::hint::black_box;
use std::slice::ChunksExact;

use percolate_core::Database;
use rocksdb::{WriteBatch, WriteOptions};
use serde_json::Value;

use crate::child::{Cost, timed};
use crate::declarations::{self, TABLE};
use crate::report::Report;
use crate::side_by_side::{self, Contestant};
use crate::{Failed, Plan};

/// Entities of a piece, and of a batch.
const PIECE: usize = 100;

/// Measures inserts one by one and by the hundred.
pub(crate) fn measure(plan: &Plan, report: &mut Report) -> Result<(), Failed> {
    report.progress("insert")?;
    // Each round has a piece of single inserts and a piece of a batch. The first two rounds are not
    // counted.
    let entities = declarations::read((plan.rounds * plan.restarts + 2) * PIECE * 2)?;
    let rounds = (entities.len() / PIECE / 2)
        .checked_sub(2)
        .ok_or("too few entities were found")?;
    let dir = tempfile::tempdir()?;
    let db = Database::open(dir.path())?;
    db.register_schema(TABLE, &declarations::schema())?;
    let schema = db.schema(TABLE)?;
    let inserts = Inserts::new(&db, &entities);
    inserts.one_by_one()?;
    inserts.at_once()?;
    let each = |what: &dyn Fn(&Value) -> Result<(), Failed>| {
        timed(PIECE, || entities[..PIECE].iter().try_for_each(what))
    };
    let contestants = vec![
        Contestant::new("insert_bare_writes", || inserts.again(&inserts.single)),
        Contestant::new("insert", || inserts.one_by_one()),
        Contestant::new("insert_checking", || {
            each(&|entity| Ok(schema.check(black_box(entity))?))
        }),
        Contestant::new("insert_encoding", || {
            each(&|entity| Ok(drop(black_box(serde_json::to_vec(entity)?))))
        }),
        Contestant::new("insert_reading", || {
            each(&|_| Ok(drop(db.get(TABLE, black_box(uuid::Uuid::now_v7()))?)))
        }),
        Contestant::new("insert_batch_bare_write", || inserts.again(&inserts.whole)),
        Contestant::new("insert_batch", || inserts.at_once()),
    ];
    side_by_side::measure(
        "insert of one entity; the last two rows: one entity of a batch of a hundred",
        rounds,
        contestants,
        report,
    )
}

/// Inserts new entities into a table and keeps the written batches.
struct Inserts<'a> {
    db: &'a Database,
    pieces: RefCell<ChunksExact<'a, Value>>,
    writes: WriteOptions,
    /// The batches of the last piece of single inserts.
    single: RefCell<Vec<WriteBatch>>,
    /// The last batch.
    whole: RefCell<Vec<WriteBatch>>,
}

impl<'a> Inserts<'a> {
    fn new(db: &'a Database, entities: &'a [Value]) -> Self {
        Self {
            db,
            pieces: RefCell::new(entities.chunks_exact(PIECE)),
            writes: WriteOptions::default(),
            single: RefCell::default(),
            whole: RefCell::default(),
        }
    }

    fn one_by_one(&self) -> Result<Cost, Failed> {
        self.noting(&self.single, PIECE, |entities| {
            entities
                .iter()
                .try_for_each(|entity| Ok(self.db.insert(TABLE, entity).map(drop)?))
        })
    }

    fn at_once(&self) -> Result<Cost, Failed> {
        self.noting(&self.whole, 1, |entities| {
            Ok(self.db.insert_batch(TABLE, entities).map(drop)?)
        })
    }

    /// Inserts the next piece, and stores its writes in `written`.
    fn noting(
        &self,
        written: &RefCell<Vec<WriteBatch>>,
        expected: usize,
        insert: impl FnOnce(&[Value]) -> Result<(), Failed>,
    ) -> Result<Cost, Failed> {
        let entities = self
            .pieces
            .borrow_mut()
            .next()
            .ok_or("a round has no piece")?;
        let rocksdb = self
            .db
            .storage()
            .rocksdb()
            .ok_or("the store is RocksDB's")?;
        let before = rocksdb.latest_sequence_number();
        let cost = timed(PIECE, || insert(entities))?;
        let writes = rocksdb.get_updates_since(before)?.map(|write| Ok(write?.1));
        let writes = writes.collect::<Result<Vec<_>, Failed>>()?;
        if writes.len() != expected {
            return Err(format!(
                "{expected} writes are expected, but the log has {}",
                writes.len()
            )
            .into());
        }
        written.replace(writes);
        Ok(cost)
    }

    /// Writes the stored batches again.
    fn again(&self, written: &RefCell<Vec<WriteBatch>>) -> Result<Cost, Failed> {
        let writes = written.take();
        let rocksdb = self
            .db
            .storage()
            .rocksdb()
            .ok_or("the store is RocksDB's")?;
        timed(PIECE, || {
            writes
                .into_iter()
                .try_for_each(|write| Ok(rocksdb.write_opt(write, &self.writes)?))
        })
    }
}
