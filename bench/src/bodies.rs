//! The measured bodies: an empty one, and calls of RocksDB with its data in the block cache.
//!
//! A body contains no telemetry; `calls.rs` wraps it in each kind of instrumentation.

use std::hint::black_box;

#[cfg(feature = "store")]
pub(crate) use store::{Batch, Get, Put, Scan, Store};

use crate::Failed;

/// The error of a body.
pub(crate) type Failure = Failed;

/// The function that is instrumented.
pub(crate) trait Body: Sync {
    /// What one call returns.
    type Out;
    /// Call number `turn`.
    fn run(&self, turn: usize) -> Result<Self::Out, Failure>;
}

/// The settings that a workload is measured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    /// All settings.
    All,
    /// Percolate's settings.
    #[cfg(feature = "store")]
    Percolate,
    /// Nothing installed, metrics only, and sampled.
    #[cfg(feature = "store")]
    Store,
}

impl Compared {
    /// Returns `true` if the setting is included.
    #[cfg_attr(
        not(feature = "store"),
        expect(unused_variables, reason = "without a store all are compared")
    )]
    pub(crate) fn has(self, setting: &str) -> bool {
        match self {
            Self::All => true,
            #[cfg(feature = "store")]
            Self::Percolate => setting == "bare" || setting.starts_with("percolate"),
            #[cfg(feature = "store")]
            Self::Store => [
                "bare",
                "percolate_nothing_installed",
                "percolate_unsampled_parent",
                "percolate_1pct",
                "percolate_100pct",
            ]
            .contains(&setting),
        }
    }
}

/// A body and its batch sizes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    /// `empty`, `get`, `put`, `scan`, `batch`; `storage_get` and so on.
    pub(crate) name: &'static str,
    /// Calls per round. Less than the queue size of every setting.
    pub(crate) calls: usize,
    /// Calls per piece, between two clock readings.
    pub(crate) piece: usize,
    /// The settings to run.
    pub(crate) compared: Compared,
}

impl Workload {
    /// The settings' names in the result: bare for the `get`, with a prefix for the others.
    pub(crate) fn key(&self, threads: usize, setting: &str) -> String {
        let threads = if threads == 2 { "two_threads_" } else { "" };
        if self.name == "get" {
            format!("{threads}{setting}")
        } else {
            format!("{threads}{}_{setting}", self.name)
        }
    }
}

/// The empty body.
pub(crate) const EMPTY: Workload = Workload {
    name: "empty",
    calls: 20_000,
    piece: 1_000,
    compared: Compared::All,
};

/// Calls of RocksDB.
#[cfg(feature = "store")]
pub(crate) const STORE: [Workload; 4] = [
    Workload {
        name: "get",
        calls: 20_000,
        piece: 1_000,
        compared: Compared::All,
    },
    Workload {
        name: "put",
        calls: 20_000,
        piece: 1_000,
        compared: Compared::Percolate,
    },
    Workload {
        name: "scan",
        calls: 2_000,
        piece: 100,
        compared: Compared::Percolate,
    },
    Workload {
        name: "batch",
        calls: 400,
        piece: 20,
        compared: Compared::Percolate,
    },
];
/// Calls of RocksDB. Empty without the feature `store`.
#[cfg(not(feature = "store"))]
pub(crate) const STORE: [Workload; 0] = [];

/// Rows of a scan and of a batch.
#[cfg(feature = "store")]
pub(crate) const ROWS: usize = 100;

/// Returns one empty row.
#[derive(Debug)]
pub(crate) struct Empty;

impl Body for Empty {
    type Out = Option<Vec<u8>>;

    fn run(&self, turn: usize) -> Result<Self::Out, Failure> {
        black_box(turn);
        Ok(Some(Vec::new()))
    }
}

#[cfg(feature = "store")]
mod store {
    use std::hint::black_box;

    use rocksdb::{
        BlockBasedOptions, Cache, DBWithThreadMode, IteratorMode, MultiThreaded, Options,
        WriteBatch,
    };
    use tempfile::TempDir;

    use super::{Body, Failure, ROWS};
    use crate::Failed;

    const KEYS: usize = 10_000;
    const VALUE: [u8; 100] = [b'v'; 100];

    /// Ten thousand values of 100 bytes, in one file and in the block cache.
    pub(crate) struct Store {
        db: DBWithThreadMode<MultiThreaded>,
        keys: Vec<[u8; 16]>,
        _dir: TempDir,
    }

    impl Store {
        pub(crate) fn open() -> Result<Self, Failed> {
            let dir = tempfile::tempdir()?;
            let mut options = Options::default();
            options.create_if_missing(true);
            let mut table = BlockBasedOptions::default();
            table.set_block_cache(&Cache::new_lru_cache(64 << 20));
            options.set_block_based_table_factory(&table);
            let db = DBWithThreadMode::open(&options, dir.path())?;
            let keys: Vec<_> = (0..KEYS).map(key).collect();
            for key in &keys {
                db.put(key, VALUE)?;
            }
            db.flush()?;
            db.compact_range(None::<&[u8]>, None::<&[u8]>);
            let store = Self {
                db,
                keys,
                _dir: dir,
            };
            for turn in 0..KEYS {
                black_box(Get(&store).run(turn)?);
            }
            Ok(store)
        }

        fn key(&self, turn: usize) -> &[u8; 16] {
            // With a prime step, consecutive reads hit different blocks.
            &self.keys[turn.wrapping_mul(7919) % KEYS]
        }
    }

    fn key(number: usize) -> [u8; 16] {
        let mut key = *b"article/00000000";
        for (place, digit) in key.iter_mut().rev().zip(number.to_string().bytes().rev()) {
            *place = digit;
        }
        key
    }

    /// Reads one value.
    pub(crate) struct Get<'a>(pub(crate) &'a Store);

    impl Body for Get<'_> {
        type Out = Option<Vec<u8>>;

        fn run(&self, turn: usize) -> Result<Self::Out, Failure> {
            Ok(self
                .0
                .db
                .get_pinned(self.0.key(turn))?
                .map(|value| value.to_vec()))
        }
    }

    /// Writes one value; the log is not synced.
    pub(crate) struct Put<'a>(pub(crate) &'a Store);

    impl Body for Put<'_> {
        type Out = ();

        fn run(&self, turn: usize) -> Result<(), Failure> {
            Ok(self.0.db.put(self.0.key(turn), VALUE)?)
        }
    }

    /// Reads a hundred rows in order.
    pub(crate) struct Scan<'a>(pub(crate) &'a Store);

    impl Body for Scan<'_> {
        type Out = usize;

        fn run(&self, turn: usize) -> Result<usize, Failure> {
            let from = IteratorMode::From(
                &self.0.keys[turn.wrapping_mul(7919) % (KEYS - ROWS)],
                rocksdb::Direction::Forward,
            );
            let mut rows = 0;
            for row in self.0.db.iterator(from).take(ROWS) {
                black_box(row?);
                rows += 1;
            }
            Ok(rows)
        }
    }

    /// Writes a hundred values in one batch.
    pub(crate) struct Batch<'a>(pub(crate) &'a Store);

    impl Body for Batch<'_> {
        type Out = ();

        fn run(&self, turn: usize) -> Result<(), Failure> {
            let mut batch = WriteBatch::default();
            for number in 0..ROWS {
                batch.put(self.0.key(turn + number), VALUE);
            }
            Ok(self.0.db.write(batch)?)
        }
    }
}
