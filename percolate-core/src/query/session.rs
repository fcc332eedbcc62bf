//! DataFusion, set up for one query: the tables of the tenant and nothing else, within bounds of memory.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider as _, CatalogProviderList as _, MemoryCatalogProvider,
    MemoryCatalogProviderList, SchemaProvider, TableProvider,
};
use datafusion::error::Result;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

use super::reader::{Requests, Tables};
use super::table::EntityTable;

const CATALOG: &str = "percolate";
const SCHEMA: &str = "public";

/// What all queries of a database share.
pub(crate) struct Engine {
    memory_limit: usize,
    base: OnceLock<SessionState>,
}

impl Engine {
    pub(crate) fn new(memory_limit: usize) -> Self {
        Self {
            memory_limit,
            base: OnceLock::new(),
        }
    }

    pub(super) fn memory_limit(&self) -> usize {
        self.memory_limit
    }

    /// DataFusion over these tables.
    pub(super) fn session(&self, tables: Tables, requests: Requests) -> Result<SessionState> {
        let mut session = self.base()?.clone();
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, Arc::new(TenantTables { tables, requests }))?;
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        session.register_catalog_list(Arc::new(catalogs));
        session.mark_start_execution();
        Ok(session)
    }

    /// Made by the first query: it lists every function there is.
    fn base(&self) -> Result<&SessionState> {
        if let Some(base) = self.base.get() {
            return Ok(base);
        }
        let config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true)
            // One thread reads; more partitions would hand rows around for nothing.
            .with_target_partitions(1);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(self.memory_limit)))
            // What does not fit into memory fails, and leaves no files anywhere.
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
            )
            .build_arc()?;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .build();
        Ok(self.base.get_or_init(|| state))
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("memory_limit", &self.memory_limit)
            .finish_non_exhaustive()
    }
}

/// The tables of a tenant. The columns of one are made when a query names it.
#[derive(Debug)]
struct TenantTables {
    tables: Tables,
    requests: Requests,
}

#[async_trait]
impl SchemaProvider for TenantTables {
    fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let table =
            |schema| Arc::new(EntityTable::new(Arc::clone(schema), self.requests.clone())) as _;
        Ok(self.tables.get(name).map(table))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }
}
