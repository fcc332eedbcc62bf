//! The options of opening a database. The defaults are safe for a first use.

use std::sync::Arc;

use crate::embeddings::{EmbeddingProvider, OfflineEmbeddings};
use crate::storage::StorageOptions;

/// Options of [`Database::open_with`](crate::Database::open_with).
#[derive(Debug, Clone)]
#[must_use]
#[non_exhaustive]
pub struct DatabaseOptions {
    pub(super) tenant: String,
    pub(super) storage: StorageOptions,
    pub(super) provider: Arc<dyn EmbeddingProvider>,
    #[cfg(feature = "sql")]
    pub(super) query_memory_limit: usize,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            tenant: "default".to_owned(),
            storage: StorageOptions::new(),
            provider: Arc::new(OfflineEmbeddings::new()),
            #[cfg(feature = "sql")]
            query_memory_limit: 256 << 20,
        }
    }
}

impl DatabaseOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the tenant whose entities the handle sees. Default: `default`. Tenants share the files
    /// and nothing else.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Sets the options of the store.
    pub fn storage(mut self, storage: StorageOptions) -> Self {
        self.storage = storage;
        self
    }

    /// Sets the provider that turns text into vectors. Default: [`OfflineEmbeddings`], which uses
    /// no network. After a change call
    /// [`Database::mark_for_embedding`](crate::Database::mark_for_embedding), because vectors of
    /// different providers cannot be compared.
    pub fn provider(mut self, provider: Arc<dyn EmbeddingProvider>) -> Self {
        self.provider = provider;
        self
    }

    /// Sets the bytes that all queries together may hold at a time: rows that are sorted, grouped
    /// or joined, results of functions, and results until they are returned. A query that needs more
    /// fails. Default: 256 MiB.
    #[cfg(feature = "sql")]
    pub fn query_memory_limit(mut self, bytes: usize) -> Self {
        self.query_memory_limit = bytes;
        self
    }
}
