//! The same calls of `Storage` over RocksDB in a directory and over SlateDB in memory and in a
//! directory, with the data in their caches. A bucket adds the time of its network to what is not
//! cached, and to each durable write.

use std::cell::Cell;
use std::hint::black_box;

use percolate_core::storage::{ScanRange, Storage, StorageOptions};
use tempfile::TempDir;

use crate::Failed;
use crate::bodies::ROWS;
use crate::child::{Cost, timed};
use crate::declarations;
use crate::report::Report;
use crate::side_by_side::{self, Contestant};
use crate::{Plan, child};

const FAMILY: &str = child::COLLECTION;
const ENTITIES: usize = 10_000;

/// A store over one engine, with the same entities as the others.
struct Engine {
    name: &'static str,
    storage: Storage,
    durable: Storage,
    turn: Cell<usize>,
}

impl Engine {
    fn open(
        name: &'static str,
        place: &str,
        entities: &[(String, String)],
    ) -> Result<Self, Failed> {
        let open = |place: &str, sync| {
            let options = StorageOptions::new().column_family(FAMILY).sync(sync);
            Storage::open(place, options)
        };
        let storage = open(place, false)?;
        let mut batch = storage.batch();
        for (key, value) in entities {
            batch.put(FAMILY, key, value)?;
        }
        batch.commit()?;
        storage.flush()?;
        for (key, _) in entities {
            black_box(storage.get(FAMILY, key)?);
        }
        Ok(Self {
            name,
            storage,
            durable: open(&format!("{place}-durable"), true)?,
            turn: Cell::new(0),
        })
    }

    /// With a prime step, consecutive reads hit different blocks.
    fn next<'e>(&self, entities: &'e [(String, String)]) -> &'e (String, String) {
        self.turn.set(self.turn.get() + 7919);
        &entities[self.turn.get() % (entities.len() - ROWS)]
    }
}

type Entities = [(String, String)];

/// A call, how often a piece makes it, and how it is called.
type Call = (
    &'static str,
    usize,
    fn(&Engine, &Entities) -> Result<(), Failed>,
);

const CALLS: [Call; 6] = [
    ("get", 1_000, |engine, entities| {
        black_box(engine.storage.get(FAMILY, &engine.next(entities).0)?);
        Ok(())
    }),
    ("multi_get of 100", 20, |engine, entities| {
        let keys: Vec<_> = (0..ROWS).map(|_| &engine.next(entities).0).collect();
        black_box(engine.storage.multi_get(FAMILY, &keys)?);
        Ok(())
    }),
    ("scan of 100", 20, |engine, entities| {
        let range = ScanRange::all().from(&engine.next(entities).0);
        for row in engine.storage.scan(FAMILY, range)?.take(ROWS) {
            black_box(row?);
        }
        Ok(())
    }),
    ("put", 200, |engine, entities| {
        let (key, value) = engine.next(entities);
        Ok(engine.storage.put(FAMILY, key, value)?)
    }),
    ("batch of 100", 10, |engine, entities| {
        let mut batch = engine.storage.batch();
        for _ in 0..ROWS {
            let (key, value) = engine.next(entities);
            batch.put(FAMILY, key, value)?;
        }
        batch.commit()?;
        Ok(())
    }),
    ("durable put", 1, |engine, entities| {
        let (key, value) = engine.next(entities);
        Ok(engine.durable.put(FAMILY, key, value)?)
    }),
];

/// Measures each call over each engine.
pub(crate) fn measure(plan: &Plan, report: &mut Report) -> Result<(), Failed> {
    report.progress("engines")?;
    let key = |entity: &serde_json::Value| entity["place"].as_str().unwrap_or_default().to_owned();
    let mut entities: Vec<_> = declarations::read(ENTITIES)?
        .iter()
        .map(|entity| (key(entity), entity.to_string()))
        .collect();
    entities.sort();
    entities.dedup_by(|one, other| one.0 == other.0);
    let dir: TempDir = tempfile::tempdir()?;
    let place = |scheme: &str, name: &str| format!("{scheme}{}/{name}", dir.path().display());
    let engines = [
        Engine::open("RocksDB", &place("", "rocks"), &entities)?,
        Engine::open("SlateDB in memory", &place("memory://", "slate"), &entities)?,
        Engine::open("SlateDB in files", &place("file://", "slate"), &entities)?,
    ];
    for (title, calls, call) in CALLS {
        let contestants = engines
            .iter()
            .map(|engine| {
                let entities = &entities;
                let piece = move || -> Result<Cost, Failed> {
                    timed(calls, || {
                        (0..calls).try_for_each(|_| call(engine, entities))
                    })
                };
                Contestant::new(engine.name, piece)
            })
            .collect();
        let title = format!("{title}, nothing installed");
        side_by_side::measure(&title, plan.rounds, contestants, report)?;
    }
    Ok(())
}
