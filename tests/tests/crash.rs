//! A writing process is killed many times at random moments, always with the same database. After
//! each kill, the database has every acknowledged write, each batch is complete or absent, the
//! indexes agree with the entities, and the vector index that is loaded from its file or rebuilt
//! has the vectors of the store.
//!
//! The process is this test program, which runs only the ignored test [`child`].
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails where it should"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use percolate_core::storage::StorageOptions;
use percolate_core::{Database, DatabaseOptions};
use serde_json::{Value, json};

const DIRECTORY: &str = "PERCOLATE_CRASH_DIRECTORY";
const FIRST: &str = "PERCOLATE_CRASH_FIRST";
const KILLS: u64 = 20;
const BATCH: usize = 7;

fn open(path: &Path) -> Database {
    let options = DatabaseOptions::new().storage(StorageOptions::new().sync(true));
    let db = Database::open_with(path, options).unwrap();
    let schema =
        json!({ "key_field": "slug", "indexed_fields": ["year"], "embedding_fields": ["body"] });
    db.register_schema("articles", &schema).unwrap();
    db
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

/// Reports a finished write to the parent process.
fn acknowledge(what: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "done {what} {number}").unwrap();
    out.flush().unwrap();
}

/// The process that is killed. Does nothing unless the test below started it.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let db = open(Path::new(&directory));
    for number in first.. {
        let id = db
            .insert("articles", &article(&format!("one-{number}"), number))
            .unwrap();
        acknowledge("insert", number);
        if number % 3 == 0 {
            let batch: Vec<_> = (0..BATCH)
                .map(|n| article(&format!("many-{number}-{n}"), number))
                .collect();
            db.insert_batch("articles", &batch).unwrap();
            acknowledge("batch", number);
        }
        if number % 4 == 0 {
            db.update("articles", id, &json!({ "year": number + 1_000_000 }))
                .unwrap();
            acknowledge("update", number);
        }
        if number % 5 == 0 {
            assert!(db.delete("articles", id).unwrap());
            acknowledge("delete", number);
        }
        match number % 7 {
            1 => drop(db.indexes().page_size(8).rebuild_all().unwrap()),
            2 => drop(wait(db.generate_embeddings("articles")).unwrap()),
            3 => assert!(db.save_index("articles").unwrap() < usize::MAX),
            4 => db.storage().flush().unwrap(),
            5 => db.storage().compact("entities").unwrap(),
            6 => {
                let stopping = db
                    .indexes()
                    .page_size(8)
                    .on_progress(|_| ControlFlow::Break(()));
                assert!(stopping.rebuild_all().unwrap().cancelled);
            }
            _ => {}
        }
    }
}

/// The numbers of the acknowledged writes of each kind.
#[derive(Default)]
struct Acknowledged(BTreeMap<String, BTreeSet<u64>>);

impl Acknowledged {
    fn read(&mut self, line: &str) {
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

    fn last(&self) -> u64 {
        self.of("insert").last().unwrap_or_default()
    }
}

/// Starts a child process, and kills it a few milliseconds after it has acknowledged `writes`
/// writes.
fn run_and_kill(directory: &Path, first: u64, writes: u64, acknowledged: &mut Acknowledged) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([
            "child",
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIRECTORY, directory)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut seen = 0;
    while seen < writes {
        let line = lines
            .next()
            .expect("the child should live until it is killed")
            .unwrap();
        acknowledged.read(&line);
        seen += u64::from(line.contains("done "));
    }
    std::thread::sleep(std::time::Duration::from_micros(writes * 977 % 7_000));
    process.kill().unwrap();
    process.wait().unwrap();
    lines
        .map_while(Result::ok)
        .filter(|line| line.ends_with(|last: char| last.is_ascii_digit()))
        .for_each(|line| {
            acknowledged.read(&line);
        });
}

fn check(db: &Database, acknowledged: &Acknowledged) {
    let find = |slug: String| db.lookup("articles", &slug).unwrap();
    for number in acknowledged.of("insert") {
        let entity = find(format!("one-{number}"));
        if acknowledged.has("delete", number) {
            assert_eq!(entity, None, "article {number} was deleted");
        } else if number % 5 != 0 {
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
    for number in (0..=acknowledged.last() + 1).filter(|number| number % 3 == 0) {
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

#[test]
fn acknowledged_writes_survive_every_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    let mut first = 1;
    let mut random = 0x5eed_u64;
    for _ in 0..KILLS {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        run_and_kill(
            directory.path(),
            first,
            (random >> 33) % 40,
            &mut acknowledged,
        );
        // An unacknowledged write may be in the database, so the next child uses other numbers.
        first = first.max(acknowledged.last()) + 2;
        check(&open(directory.path()), &acknowledged);
    }
    assert!(acknowledged.of("insert").count() > 100);
}
