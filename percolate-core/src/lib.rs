#![cfg_attr(docsrs, feature(doc_cfg))]
// Of two definitions of a label the first one counts, so these replace the links at the end of the page.
//! [`background_job`]: macro@background_job
//! [`background_jobs`]: macro@background_jobs
//! [`db_op`]: macro@db_op
//! [`db_ops`]: macro@db_ops
//! [`otel`]: otel
#![cfg_attr(
    feature = "store",
    doc = "[`Database`]: Database\n",
    doc = "[`storage`]: storage\n"
)]
//!
#![cfg_attr(feature = "store", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "store"),
    doc = "percolate without its database: everything is in [`otel`]."
)]

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
#[cfg(feature = "store")]
mod progress;
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
    Error, Existing, ExportOptions, Follower, Hit, ImportOptions, ImportReport, ImportRow,
    Mismatch, OnError, RefusedField, RowError, SchemaChange, SearchFilter, Vectors, Writes,
};
#[cfg(feature = "store")]
pub use index::vectors::VectorError;
#[cfg(feature = "store")]
pub use progress::Progress;
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
