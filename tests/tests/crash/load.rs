//! The mixed load of a process that ends badly, and what must be true of its database afterwards: it
//! has every acknowledged write, each batch is complete or absent, the indexes agree with the
//! entities, and the vector index that is loaded from its file or rebuilt has the vectors of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use percolate_core::storage::StorageOptions;
use percolate_core::{Database, DatabaseOptions, Error};
use serde_json::{Value, json};

use crate::engine;

const BATCH: usize = 7;

/// Opens the database with its table. Every write waits for the disk.
pub(crate) fn open(path: &Path) -> Result<Database, Error> {
    let options = DatabaseOptions::new().storage(StorageOptions::new().sync(true));
    let db = Database::open_with(engine::place(path), options)?;
    let schema =
        json!({ "key_field": "slug", "indexed_fields": ["year"], "embedding_fields": ["body"] });
    db.register_schema("articles", &schema)?;
    Ok(db)
}

/// Returns a command that runs the ignored test `name` of this program.
pub(crate) fn child(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        name,
        "--exact",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command
}

/// Returns the number in an environment variable, or `default` if it is not set.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}

/// Deterministic numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn article(slug: &str, year: u64) -> Value {
    json!({ "slug": slug, "year": year, "body": format!("the body of {slug}") })
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Prints a line for the parent process.
pub(crate) fn report(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Reports a finished write to the parent process.
pub(crate) fn acknowledge(what: &str, number: u64) {
    report(&format!("done {what} {number}"));
}

/// One step of the load: a few writes, with a call of `acknowledge` after each, and some maintenance.
pub(crate) fn step(db: &Database, number: u64, acknowledge: fn(&str, u64)) -> Result<(), Error> {
    let id = db.insert("articles", &article(&format!("one-{number}"), number))?;
    acknowledge("insert", number);
    if number.is_multiple_of(3) {
        let batch: Vec<_> = (0..BATCH)
            .map(|n| article(&format!("many-{number}-{n}"), number))
            .collect();
        db.insert_batch("articles", &batch)?;
        acknowledge("batch", number);
    }
    if number.is_multiple_of(4) {
        db.update("articles", id, &json!({ "year": number + 1_000_000 }))?;
        acknowledge("update", number);
    }
    if number.is_multiple_of(5) {
        assert!(db.delete("articles", id)?, "the article was inserted");
        acknowledge("delete", number);
    }
    match number % 7 {
        1 => drop(db.indexes().page_size(8).rebuild_all()?),
        2 => drop(wait(db.generate_embeddings("articles"))?),
        3 => assert!(db.save_index("articles")? < usize::MAX),
        4 => db.storage().flush()?,
        // SlateDB compacts by itself.
        5 if engine::name() == "rocksdb" => db.storage().compact("entities")?,
        6 => {
            let stopping = db
                .indexes()
                .page_size(8)
                .on_progress(|_| ControlFlow::Break(()));
            assert!(stopping.rebuild_all()?.cancelled);
        }
        _ => {}
    }
    Ok(())
}

/// The numbers of the acknowledged writes of each kind.
#[derive(Default)]
pub(crate) struct Acknowledged(BTreeMap<String, BTreeSet<u64>>);

impl Acknowledged {
    /// Reads a line of the child process. Other lines are ignored.
    pub(crate) fn read(&mut self, line: &str) {
        // The test harness may print text at the start of the line.
        let Some((_, report)) = line.split_once("done ") else {
            return;
        };
        let (what, number) = report.split_once(' ').unwrap();
        self.0
            .entry(what.to_owned())
            .or_default()
            .insert(number.parse().unwrap());
    }

    fn of(&self, what: &str) -> impl Iterator<Item = u64> {
        self.0.get(what).into_iter().flatten().copied()
    }

    fn has(&self, what: &str, number: u64) -> bool {
        self.of(what).any(|known| known == number)
    }

    pub(crate) fn inserts(&self) -> usize {
        self.of("insert").count()
    }

    pub(crate) fn last(&self) -> u64 {
        self.of("insert").last().unwrap_or_default()
    }
}

/// Checks the database after the process ended. `tried` is the number of the last step that may have
/// begun.
pub(crate) fn check(db: &Database, acknowledged: &Acknowledged, tried: u64) {
    let find = |slug: String| db.lookup("articles", &slug).unwrap();
    for number in acknowledged.of("insert") {
        let entity = find(format!("one-{number}"));
        if acknowledged.has("delete", number) {
            assert_eq!(entity, None, "article {number} was deleted");
        } else if !number.is_multiple_of(5) {
            let year = entity
                .unwrap_or_else(|| panic!("article {number} was acknowledged"))
                .data["year"]
                .as_u64();
            assert!(
                !acknowledged.has("update", number) || year == Some(number + 1_000_000),
                "article {number} was updated"
            );
        }
    }
    for number in (0..=tried).filter(|number| number.is_multiple_of(3)) {
        let found = (0..BATCH)
            .filter(|n| find(format!("many-{number}-{n}")).is_some())
            .count();
        assert!(
            found == BATCH || (found == 0 && !acknowledged.has("batch", number)),
            "{found} of batch {number}"
        );
    }
    let report = db.indexes().verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
    let loaded = db.load_index("articles").unwrap();
    assert_eq!(
        loaded,
        db.indexes().rebuild_hnsw_index().unwrap().entities,
        "vectors from a file and from the store"
    );
}
