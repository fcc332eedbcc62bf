//! Turning text into vectors: who does it ([`EmbeddingProvider`]), the one that needs nobody else
//! ([`OfflineEmbeddings`]), those that ask an endpoint over HTTP (feature `http-embeddings`), and doing it for many texts at once ([`BatchEmbedder`]).
//!
//! Vectors are stored and searched elsewhere (`database`, `index`). Texts never appear in telemetry or in errors.

mod batch;
#[cfg(feature = "http-embeddings")]
mod http;
mod offline;
mod provider;

pub use self::batch::{BatchEmbedder, EmbeddedBatch};
#[cfg(feature = "http-embeddings")]
pub use self::http::{HttpEmbeddings, HttpEmbeddingsOptions};
pub use self::offline::OfflineEmbeddings;
pub use self::provider::{EmbeddingError, EmbeddingFuture, EmbeddingProvider};
