//! Embeddings: the trait of providers ([`EmbeddingProvider`]), a provider without a model
//! ([`OfflineEmbeddings`]), a client for HTTP endpoints (feature `http-embeddings`), and batches
//! ([`BatchEmbedder`]).
//!
//! Vectors are stored and searched in `database` and `index`. Texts never appear in telemetry or
//! errors.

mod batch;
#[cfg(feature = "http-embeddings")]
mod http;
mod offline;
mod provider;

pub use self::batch::{BatchEmbedder, EmbeddedBatch, RefusedText};
#[cfg(feature = "http-embeddings")]
pub use self::http::{HttpEmbeddings, HttpEmbeddingsOptions};
pub use self::offline::OfflineEmbeddings;
pub use self::provider::{EmbeddingError, EmbeddingFuture, EmbeddingProvider};
