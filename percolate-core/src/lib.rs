//! One annotation gives storage code OpenTelemetry-compliant spans and exact metrics.
//!
//! See [`otel`] for the runtime and `storage` for the database underneath.

// The macros name this crate by its public path, here too.
#[allow(
    unused_extern_crates,
    reason = "used by expansions in this crate, of which some feature sets have none"
)]
extern crate self as percolate_core;

#[cfg(feature = "store")]
pub mod admin;
#[cfg(feature = "store")]
mod database;
#[cfg(feature = "store")]
pub mod embeddings;
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
pub use database::{Database, DatabaseOptions, EmbeddingReport, Error, Hit, SearchFilter};
#[cfg(feature = "store")]
pub use index::vectors::VectorError;
#[cfg(feature = "store")]
pub use schema::entity::Entity;

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
