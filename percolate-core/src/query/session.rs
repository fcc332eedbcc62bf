//! The DataFusion session of one query: the [`Engine`] with the tables of the tenant and no others.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider as _, CatalogProviderList as _, MemoryCatalogProvider,
    MemoryCatalogProviderList, SchemaProvider, TableProvider,
};
use datafusion::error::Result;
use datafusion::execution::SessionState;

use super::engine::{CATALOG, Engine, SCHEMA};
use super::reader::{Requests, Tables};
use super::table::EntityTable;

/// Creates the session of a query over `tables`, which are read through `requests`.
pub(super) fn session(engine: &Engine, tables: Tables, requests: Requests) -> Result<SessionState> {
    let mut session = engine.base()?.clone();
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, Arc::new(TenantTables { tables, requests }))?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    session.register_catalog_list(Arc::new(catalogs));
    session.mark_start_execution();
    Ok(session)
}

/// The tables of a tenant. The columns of a table are created when a query names it.
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
