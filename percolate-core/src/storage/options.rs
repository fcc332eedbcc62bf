//! [`StorageOptions`]: how a store is opened. Every option has a default that is safe for a first use.

/// The `server.address` of spans. An embedded store has no host; its path identifies it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ServerAddress {
    /// The path of the database, as passed to `open`.
    #[default]
    Path,
    /// No `server.address`, as a strict reading of the conventions requires.
    Omit,
    /// A custom text.
    Custom(String),
}

/// Options of [`Storage::open`](super::Storage::open).
///
/// A store's memory is bounded by [`cache_size`](Self::cache_size) and
/// [`memory_table_limit`](Self::memory_table_limit). The indexes and Bloom filters of open table
/// files are in addition; they grow with the data.
///
/// ```
/// use percolate_core::storage::{Storage, StorageOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let options = StorageOptions::new().column_family("articles").namespace("library").sync(true);
/// let storage = Storage::open(dir.path(), options)?;
/// assert_eq!(storage.namespace(), "library");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each set by its name"
)]
pub struct StorageOptions {
    pub(super) create_if_missing: bool,
    pub(super) read_only: bool,
    pub(super) sync: bool,
    pub(super) namespace: Option<String>,
    pub(super) server_address: ServerAddress,
    pub(crate) column_families: Vec<String>,
    pub(super) cache_size: usize,
    pub(super) memory_table_limit: usize,
    pub(super) perf_context: bool,
    pub(super) statistics: bool,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            create_if_missing: true,
            read_only: false,
            sync: false,
            namespace: None,
            server_address: ServerAddress::Path,
            column_families: Vec::new(),
            cache_size: 64 << 20,
            memory_table_limit: 128 << 20,
            perf_context: false,
            statistics: false,
        }
    }
}

impl StorageOptions {
    /// Returns the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether a missing database is created, with its directory. Default: `true`.
    pub fn create_if_missing(mut self, create: bool) -> Self {
        self.create_if_missing = create;
        self
    }

    /// Sets whether the database is opened read-only, which is possible while another process has
    /// it open for writing. Default: `false`.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets whether every write waits for the disk and so survives a power failure. Default:
    /// `false`: a write then survives the end of the process, and a power failure only after a call
    /// of [`flush_wal`](super::Storage::flush_wal) with `sync`.
    pub fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// Sets the logical name of the store, `db.namespace` in spans and metrics. It must have low
    /// cardinality, so do not use a tenant id. Default: the last component of the path.
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = Some(name.into());
        self
    }

    /// Sets the `server.address` of spans. Default: the path.
    pub fn server_address(mut self, address: ServerAddress) -> Self {
        self.server_address = address;
        self
    }

    /// Adds a column family that is created if it does not exist. Existing column families are
    /// always opened.
    pub fn column_family(mut self, name: impl Into<String>) -> Self {
        self.column_families.push(name.into());
        self
    }

    /// Sets the size in bytes of the block cache, which all column families share. Default: 64 MiB.
    pub fn cache_size(mut self, bytes: usize) -> Self {
        self.cache_size = bytes;
        self
    }

    /// Sets the size in bytes that the memory tables of all column families have together. A write
    /// above it flushes the oldest one that is not being flushed. If data is written faster than
    /// flushed, they can be larger; writes do not wait for the limit. Each table is at most 64 MiB,
    /// and at least 1 MiB once it has data, so a limit that is smaller than twice the number of
    /// families in MiB causes constant flushes. 0 means no limit. Default: 128 MiB.
    pub fn memory_table_limit(mut self, bytes: usize) -> Self {
        self.memory_table_limit = bytes;
        self
    }

    /// Sets whether spans carry RocksDB's counters of their call (blocks read, cache hits, time of
    /// seeks and log writes, time that a write waited for a stall) as `rocksdb.*` attributes. Enabling it affects all stores of the
    /// process and costs a few hundred nanoseconds per recorded call; other calls cost nothing.
    /// Default: `false`.
    pub fn perf_context(mut self, perf_context: bool) -> Self {
        self.perf_context = perf_context;
        self
    }

    /// Sets whether RocksDB collects statistics, which
    /// [`Storage::register_metrics`](super::Storage::register_metrics) exports. Costs a few percent
    /// of RocksDB's throughput. Default: `false`.
    pub fn statistics(mut self, statistics: bool) -> Self {
        self.statistics = statistics;
        self
    }
}
