//! How a database is opened. Every option has a default that is safe for a first use.

use std::sync::Arc;

use crate::embeddings::{EmbeddingProvider, OfflineEmbeddings};
use crate::storage::StorageOptions;

/// Options of [`Database::open_with`](crate::Database::open_with).
#[derive(Debug, Clone)]
#[must_use]
#[non_exhaustive]
pub struct DatabaseOptions {
    /// Whose entities the handle sees. Default: `default`. Tenants share files and nothing else.
    pub tenant: String,
    /// How the store is opened.
    pub storage: StorageOptions,
    /// Who turns text into vectors. Default: [`OfflineEmbeddings`], which needs nobody else. After a change call
    /// [`Database::mark_for_embedding`](crate::Database::mark_for_embedding): vectors of different providers cannot be compared.
    pub provider: Arc<dyn EmbeddingProvider>,
    /// Bytes that all queries together may hold at a time: what they sort, group and join, and their results until
    /// they are returned. A query that needs more fails. Default: 256 MiB.
    #[cfg(feature = "sql")]
    pub query_memory_limit: usize,
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
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`tenant`](Self::tenant).
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Sets [`storage`](Self::storage).
    pub fn storage(mut self, storage: StorageOptions) -> Self {
        self.storage = storage;
        self
    }
}

impl DatabaseOptions {
    /// Sets [`provider`](Self::provider).
    pub fn provider(mut self, provider: Arc<dyn EmbeddingProvider>) -> Self {
        self.provider = provider;
        self
    }

    /// Sets [`query_memory_limit`](Self::query_memory_limit).
    #[cfg(feature = "sql")]
    pub fn query_memory_limit(mut self, bytes: usize) -> Self {
        self.query_memory_limit = bytes;
        self
    }
}
