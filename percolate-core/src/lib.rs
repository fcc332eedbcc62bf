//! One annotation gives storage code OpenTelemetry-compliant spans and exact metrics.
//!
//! See [`otel`] for the runtime and `storage` for the database underneath.

// The macros name this crate by its public path, here too.
#[allow(unused_extern_crates, reason = "used by expansions in this crate, of which some feature sets have none")]
extern crate self as percolate_core;

#[cfg(feature = "store")]
pub mod admin;
#[cfg(feature = "store")]
mod database;
#[cfg(feature = "store")]
pub mod embeddings;
#[cfg(feature = "store")]
mod index;
pub mod otel;
#[doc(hidden)]
pub mod private;
#[cfg(feature = "store")]
pub mod schema;
#[cfg(feature = "store")]
pub mod storage;

#[cfg(feature = "store")]
pub use database::{Database, DatabaseOptions, EmbeddingReport, Error, Hit, SearchFilter};
#[cfg(feature = "store")]
pub use index::vectors::VectorError;

#[cfg(feature = "testing")]
pub use otel::testing;
pub use percolate_macros::{background_job, background_jobs, db_op, db_ops};
#[doc(hidden)]
pub use private as __private;
