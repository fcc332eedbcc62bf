//! The work of the soak: a thread that writes and one that reads. The keys are always the same, so
//! that the data does not grow.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use percolate_core::storage::StorageOptions;
use percolate_core::{Database, DatabaseOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

const TABLE: &str = "articles";
/// The number of entities.
const ENTITIES: u64 = 2_000;
/// The number of entities that one round writes.
const BATCH: u64 = 50;
/// The limits of RocksDB's memory. They are small, so that a third of the run reaches them.
const MEMORY_TABLES: usize = 16 << 20;
const BLOCK_CACHE: usize = 8 << 20;

/// Accepts spans and drops them.
#[derive(Debug)]
pub(super) struct Forget;

impl SpanExporter for Forget {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

/// The numbers of completed rounds.
#[derive(Clone, Copy)]
pub(super) struct Rounds {
    pub(super) written: u64,
    pub(super) read: u64,
}

impl fmt::Display for Rounds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} writing, {} reading", self.written, self.read)
    }
}

/// A database and the numbers of rounds on it.
pub(super) struct Load {
    db: Database,
    written: AtomicU64,
    read: AtomicU64,
    _folder: TempDir,
}

impl Load {
    pub(super) fn open(provider: &(impl MeterProvider + Send + Sync)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = StorageOptions::new()
            .memory_table_limit(MEMORY_TABLES)
            .cache_size(BLOCK_CACHE);
        let options = DatabaseOptions::new().storage(storage);
        let db = Database::open_with(folder.path(), options).unwrap();
        let schema = json!({
            "key_field": "slug", "indexed_fields": ["year"], "embedding_fields": ["body"],
        });
        db.register_schema(TABLE, &schema).unwrap();
        // So that there is an open table file from the beginning.
        db.storage().flush().unwrap();
        db.storage().register_metrics(provider);
        Self {
            db,
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
            _folder: folder,
        }
    }

    pub(super) fn rounds(&self) -> Rounds {
        Rounds {
            written: self.written.load(Ordering::Relaxed),
            read: self.read.load(Ordering::Relaxed),
        }
    }

    pub(super) fn write_until(&self, stop: &AtomicBool) {
        Self::repeat_until(stop, &self.written, async |round| self.write(round).await);
    }

    pub(super) fn read_until(&self, stop: &AtomicBool) {
        Self::repeat_until(stop, &self.read, async |round| self.read(round).await);
    }

    fn repeat_until(stop: &AtomicBool, rounds: &AtomicU64, round: impl AsyncFn(u64)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        loop {
            runtime.block_on(round(rounds.load(Ordering::Relaxed)));
            rounds.fetch_add(1, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Writes entities, deletes some of them, creates their vectors and stores a resource.
    async fn write(&self, round: u64) {
        let db = &self.db;
        let first = round * BATCH % ENTITIES;
        for number in first..first + BATCH {
            db.upsert(TABLE, &article(number, round)).unwrap();
            if number % 10 == 0 {
                db.delete(TABLE, &*slug(number)).unwrap();
            }
        }
        db.generate_embeddings(TABLE).await.unwrap();
        db.store_resource("soak", &vec![0; 100_000]).unwrap();
    }

    /// Reads by key and by index, runs a query, a query that fails and a search.
    async fn read(&self, round: u64) {
        let db = &self.db;
        for number in 0..BATCH {
            let slug = slug((round * BATCH + number) % ENTITIES);
            db.lookup(TABLE, &slug).unwrap();
        }
        db.find(TABLE, "year", 10..=12).unwrap();
        let query = "select slug, body from articles where year = $1 order by slug";
        db.query_with(query, &[json!(round % 100)]).await.unwrap();
        db.query("select missing from articles").await.unwrap_err();
        db.search(TABLE, "stores and streams", 10, None)
            .await
            .unwrap();
        db.load_resource("soak").unwrap();
    }

    /// Closes the database, and returns the numbers of rounds.
    pub(super) fn close(self) -> Rounds {
        let rounds = self.rounds();
        self.db.close().unwrap();
        rounds
    }
}

fn slug(number: u64) -> String {
    format!("article-{number}")
}

fn article(number: u64, round: u64) -> Value {
    let body = format!("round {round} of article {number}, about stores and streams ").repeat(8);
    json!({ "slug": slug(number), "year": (number + round) % 100, "body": body })
}
