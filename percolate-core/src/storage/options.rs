//! [`StorageOptions`]: how a store is opened. Every option has a default that is safe for a first use.

#[cfg(feature = "object-store")]
use std::fmt;
#[cfg(feature = "object-store")]
use std::path::Path;
#[cfg(feature = "object-store")]
use std::time::Duration;

#[cfg(feature = "object-store")]
use super::error::OpenError;

/// The `server.address` of spans. An embedded store has no host; its path identifies it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ServerAddress {
    /// The path of the database, as passed to `open`; the host of the bucket for a database on S3.
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
    #[cfg(feature = "object-store")]
    pub(super) flush_interval: Duration,
    #[cfg(feature = "object-store")]
    pub(super) store_retries: u32,
    #[cfg(feature = "object-store")]
    pub(super) object_store_options: Secrets,
    #[cfg(feature = "object-store")]
    pub(super) close_deadline: Duration,
    #[cfg(feature = "object-store")]
    pub(super) note_lifetime: Duration,
}

/// Options of an object store by name. Their values may be credentials, so they are not printed.
#[cfg(feature = "object-store")]
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Secrets(Vec<(String, String)>);

#[cfg(feature = "object-store")]
impl Secrets {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Refuses options that the place does not have.
    pub(super) fn check(
        &self,
        path: &Path,
        place: &'static str,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<(), OpenError> {
        let names = self.iter().map(|(name, _)| name.to_owned());
        let names: Vec<_> = names.filter(|name| !is_known(name)).collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(OpenError::UnknownOptions {
            path: path.to_owned(),
            names,
            place,
        })
    }
}

#[cfg(feature = "object-store")]
impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
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
            #[cfg(feature = "object-store")]
            flush_interval: Duration::from_millis(100),
            #[cfg(feature = "object-store")]
            store_retries: 30,
            #[cfg(feature = "object-store")]
            object_store_options: Secrets::default(),
            #[cfg(feature = "object-store")]
            close_deadline: Duration::from_secs(30),
            #[cfg(feature = "object-store")]
            note_lifetime: Duration::from_hours(24),
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
    /// seeks and log writes, time that a write waited for a stall) as `rocksdb.*` attributes. A write that
    /// waited has links to the spans `rocksdb.stall` of the stalls, in percolate's pipeline. Enabling it
    /// affects all stores of the process and costs a few hundred nanoseconds per recorded call; other calls
    /// cost nothing. Default: `false`.
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

/// Options of object stores.
#[cfg(feature = "object-store")]
impl StorageOptions {
    /// Sets how long a write waits in memory, at most, until it is written to the object store together
    /// with others. With [`sync`](Self::sync) the call waits for that. Without it, a write is lost if the
    /// process ends before. Each write to the store is a request, which costs money. Default: 100
    /// milliseconds.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Sets how often a request to the object store that failed is repeated, with growing pauses of
    /// up to a second, before the call fails. If the store fails for longer, a database that is open for
    /// writing is closed, also if it is not used: its calls then return errors, and it has to be opened
    /// again. Default: 30, which takes half a minute if the store answers with errors. A store
    /// that does not answer at all can take minutes: the client of S3 waits 5 seconds for a connection
    /// and 30 seconds for an answer, which the options `connect_timeout` and `timeout` of
    /// [`object_store_option`](Self::object_store_option) change, for example to `2 seconds`.
    pub fn object_store_retries(mut self, retries: u32) -> Self {
        self.store_retries = retries;
        self
    }

    /// Sets an option of the object store, with the name that the crate `object_store` has for it:
    /// for S3 for example `aws_region`, `aws_endpoint`, `aws_access_key_id`, `aws_secret_access_key`
    /// or `aws_allow_http`. Options that are not set come from the environment variables of the same
    /// names in capitals. Values do not appear in errors, spans or logs. A directory, `file://` and
    /// `memory://` have no options: opening them with one is [`OpenError::UnknownOptions`].
    pub fn object_store_option(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        self.object_store_options
            .0
            .push((name.into(), value.into()));
        self
    }

    /// Sets how long the end of the last handle waits for an object store that does not answer.
    #[cfg(test)]
    pub(crate) fn close_deadline(mut self, deadline: Duration) -> Self {
        self.close_deadline = deadline;
        self
    }

    /// Sets how long the note of a reader that is not renewed keeps the files of its state. A second at
    /// least.
    #[cfg(test)]
    pub(crate) fn note_lifetime(mut self, lifetime: Duration) -> Self {
        self.note_lifetime = lifetime;
        self
    }

    /// Returns how long opening waits for the first answer of the object store.
    pub(super) fn store_deadline(&self) -> Duration {
        Duration::from_secs(u64::from(self.store_retries) + 5)
    }
}
