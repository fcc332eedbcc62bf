//! An embedded database on RocksDB whose operations emit OpenTelemetry spans and metrics, and the
//! macros that instrument other storage code in the same way.
//!
//! - [`db_op`], [`db_ops`], [`background_job`] and [`background_jobs`] annotate functions. [`otel`]
//!   is the instrumentation behind them, re-exported from the crate `percolate_otel`.
//! - `Database` (feature `store`) stores JSON entities in tables, with indexes and vector search.
//!   `Database::query` (feature `sql`) runs SQL.
//! - `storage` (feature `store`) is the key-value store underneath.
//! - `testing` (feature `testing`) captures spans and metrics in tests.

// The macros refer to this crate by its public path, also inside this crate.
#[allow(
    unused_extern_crates,
    reason = "used by macro expansions, which some feature sets do not have"
)]
extern crate self as percolate_core;

#[cfg(feature = "store")]
pub mod admin;
#[cfg(feature = "store")]
mod database;
#[cfg(feature = "store")]
pub mod embeddings;
#[cfg(all(feature = "store", feature = "testing"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "store")]
mod index;
#[cfg(feature = "sql")]
pub mod query;
#[cfg(feature = "store")]
pub mod schema;
#[cfg(feature = "store")]
pub mod storage;
#[cfg(feature = "store")]
mod worker;

#[cfg(feature = "store")]
pub use database::{
    Batch, CLOSE_DEADLINE, Database, DatabaseOptions, EmbeddingReport, EmbeddingStatus, EntityRef,
    Error, Existing, ExportOptions, Hit, ImportOptions, ImportReport, ImportRow, Mismatch, OnError,
    RefusedField, RowError, SchemaChange, SearchFilter, Vectors, Writes,
};
#[cfg(feature = "store")]
pub use index::vectors::VectorError;
#[cfg(feature = "store")]
pub use schema::entity::{Entity, Timestamp};
/// The crate of the ids of entities, in the version that the methods of [`Database`] use.
///
/// # Examples
/// ```
/// use percolate_core::Database;
/// use percolate_core::uuid::Uuid;
/// # use serde_json::json;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let db = Database::open(dir.path())?;
/// # db.register_schema("articles", &json!({}))?;
/// let missing: Uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse()?;
/// assert!(db.get("articles", missing)?.is_none());
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "store")]
pub use uuid;

pub use percolate_otel as otel;
#[cfg(feature = "testing")]
pub use percolate_otel::{assert_span, testing};
pub use percolate_otel::{opentelemetry, opentelemetry_sdk, record, tracing};

/// # Examples
///
/// ```
/// use percolate_core::background_job;
///
/// #[background_job(index.build, target = "hnsw", batch_size = |built| *built)]
/// fn build(vectors: &[[f32; 2]]) -> Result<usize, std::io::Error> {
///     Ok(vectors.len())
/// }
/// # assert_eq!(build(&[[0.0, 1.0]]).unwrap(), 1);
/// ```
pub use percolate_macros::core_background_job as background_job;
#[doc(inline)]
pub use percolate_macros::core_background_jobs as background_jobs;
/// # Examples
///
/// ```
/// use percolate_core::db_op;
///
/// #[db_op(multi_get, cf, rows = |found| found.iter().flatten().count(), fields(app.keys = keys.len()))]
/// fn multi_get(cf: &str, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, std::io::Error> {
///     Ok(keys.iter().map(|key| (*key == "a").then(Vec::new)).collect())
/// }
/// # assert_eq!(multi_get("articles", &["a", "b"]).unwrap().len(), 2);
/// ```
pub use percolate_macros::core_db_op as db_op;
/// # Examples
///
/// ```
/// use percolate_core::{db_op, db_ops};
///
/// struct Store { name: String }
///
/// #[db_ops(namespace = self.name, system = "redb")]
/// impl Store {
///     #[db_op(get, cf)]
///     fn get(&self, cf: &str) -> Option<Vec<u8>> {
///         None
///     }
/// }
/// # assert!(Store { name: "demo".into() }.get("articles").is_none());
/// ```
pub use percolate_macros::core_db_ops as db_ops;
#[doc(hidden)]
pub use percolate_otel::__private;
