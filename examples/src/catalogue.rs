//! The instrumented program: a catalogue of packages in a [`Database`]. It contains annotations and
//! no other telemetry code. The database's own functions are annotated already; their spans appear
//! below.

use std::error::Error;
use std::path::Path;

use percolate_core::{Database, background_job, db_op};
use serde_json::{Value, json};

use crate::manifests::Package;

pub(crate) type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const PACKAGES: &str = "packages";

pub(crate) struct Catalogue {
    database: Database,
}

impl Catalogue {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let database = Database::open(path)?;
        let text = json!({ "type": "string" });
        let texts = json!({ "type": "array", "items": text });
        let schema = json!({
            "properties": {
                "id": text, "name": text, "version": text, "license": text, "description": text,
                "keywords": texts, "categories": texts,
            },
            "key_field": "id",
            "indexed_fields": ["name", "license"],
        });
        database.register_schema(PACKAGES, &schema)?;
        Ok(Self { database })
    }

    /// Adds RocksDB's figures to the metrics of the installed telemetry.
    pub(crate) fn register_metrics(&self) {
        let meters = percolate_core::otel::opentelemetry::global::meter_provider();
        self.database.storage().register_metrics(&*meters);
    }

    /// Stores a package that a client has sent. The schema refuses one whose texts are not texts.
    #[db_op("upload", "packages")]
    pub(crate) fn upload(&self, package: &Value) -> Result<()> {
        self.database.insert(PACKAGES, package)?;
        Ok(())
    }

    #[background_job("catalogue.import", "registry", batch_size = packages.len())]
    pub(crate) fn import(&self, packages: &[Package]) -> Result<()> {
        for package in packages {
            self.database
                .insert(PACKAGES, &serde_json::to_value(package)?)?;
        }
        Ok(())
    }

    pub(crate) fn package(&self, id: &str) -> Result<Option<Package>> {
        let found = self.database.lookup(PACKAGES, id)?;
        Ok(found
            .map(|entity| serde_json::from_value(entity.data))
            .transpose()?)
    }

    #[db_op(search, "packages")]
    pub(crate) fn starting_with(&self, prefix: &str) -> Result<Vec<Package>> {
        let found = self.database.find(
            PACKAGES,
            "name",
            prefix..format!("{prefix}\u{10ffff}").as_str(),
        )?;
        Ok(found
            .into_iter()
            .map(|entity| serde_json::from_value(entity.data))
            .collect::<Result<_, _>>()?)
    }

    /// Counts the names that have several versions. `Database::query` is annotated already.
    pub(crate) async fn in_several_versions(&self) -> Result<usize> {
        let sql = "SELECT name FROM packages GROUP BY name HAVING count(*) > 1";
        Ok(self.database.query(sql).await?.num_rows())
    }

    #[db_op(delete, "packages", affected_rows = ids.len())]
    pub(crate) fn remove(&self, ids: &[String]) -> Result<()> {
        for id in ids {
            if let Some(entity) = self.database.lookup(PACKAGES, id)? {
                self.database.purge(PACKAGES, entity.id)?;
            }
        }
        Ok(())
    }

    /// Runs percolate's own background job `index.key.rebuild all`.
    pub(crate) fn rebuild_keys(&self) -> Result<usize> {
        Ok(self.database.indexes().rebuild_key_index()?.entities)
    }
}
