//! How a store is opened. Every option has a default that is safe for a first use, and a reason.

/// What spans carry as `server.address`. An embedded store has no host; its path tells stores apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ServerAddress {
    /// The database's path, as given to `open`.
    #[default]
    Path,
    /// No `server.address` at all: the strict reading of the conventions.
    Omit,
    /// This text.
    Custom(String),
}

/// Options of [`Storage::open`](super::Storage::open).
///
/// ```
/// use percolate_core::storage::StorageOptions;
///
/// let options = StorageOptions::new().column_family("articles").namespace("library").sync(true);
/// assert_eq!(options.column_families, ["articles"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each set by its name"
)]
pub struct StorageOptions {
    /// Makes the directory and an empty database when there is none. Default: yes.
    pub create_if_missing: bool,
    /// Opens without the right to write, beside another handle that has it. Default: no.
    pub read_only: bool,
    /// Waits for the disk on every write, so that it outlives a power cut. Default: no; a write then outlives the
    /// end of the process, and a power cut once [`flush_wal`](super::Storage::flush_wal) with `sync` has returned.
    pub sync: bool,
    /// The store's logical name, `db.namespace` on spans and metrics. Default: the last part of the path. It must
    /// be one of few: a tenant id does not belong here.
    pub namespace: Option<String>,
    /// What spans carry as `server.address`. Default: the path.
    pub server_address: ServerAddress,
    /// Column families to make when they are missing. Existing ones are opened in any case.
    pub column_families: Vec<String>,
    /// Bytes of block cache, shared by all column families. Default: 64 MiB.
    pub cache_size: usize,
    /// Lets spans of this process carry what RocksDB counted during the call (blocks read, cache hits, time for
    /// seeks and the log) as `rocksdb.*` attributes. Costs some hundred nanoseconds a recorded call, nothing for
    /// others. Default: no.
    pub perf_context: bool,
    /// Lets RocksDB count what [`Storage::register_metrics`](super::Storage::observe) then offers. Costs RocksDB a few percent.
    /// Default: no.
    pub statistics: bool,
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
            perf_context: false,
            statistics: false,
        }
    }
}

impl StorageOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`create_if_missing`](Self::create_if_missing).
    pub fn create_if_missing(mut self, create: bool) -> Self {
        self.create_if_missing = create;
        self
    }

    /// Sets [`read_only`](Self::read_only).
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets [`sync`](Self::sync).
    pub fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// Sets [`namespace`](Self::namespace).
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = Some(name.into());
        self
    }

    /// Sets [`server_address`](Self::server_address).
    pub fn server_address(mut self, address: ServerAddress) -> Self {
        self.server_address = address;
        self
    }

    /// Adds one to [`column_families`](Self::column_families).
    pub fn column_family(mut self, name: impl Into<String>) -> Self {
        self.column_families.push(name.into());
        self
    }

    /// Sets [`cache_size`](Self::cache_size).
    pub fn cache_size(mut self, bytes: usize) -> Self {
        self.cache_size = bytes;
        self
    }

    /// Sets [`perf_context`](Self::perf_context).
    pub fn perf_context(mut self, perf_context: bool) -> Self {
        self.perf_context = perf_context;
        self
    }

    /// Sets [`statistics`](Self::statistics).
    pub fn statistics(mut self, statistics: bool) -> Self {
        self.statistics = statistics;
        self
    }
}
