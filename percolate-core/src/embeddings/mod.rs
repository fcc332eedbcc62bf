//! Turning text into vectors: who does it ([`EmbeddingProvider`]), the one that needs nobody else
//! ([`OfflineEmbeddings`]), and doing it for many texts at once ([`BatchEmbedder`]).
//!
//! Vectors are stored and searched elsewhere (`database`, `index`). Texts never appear in telemetry or in errors.

mod batch;
mod offline;
mod provider;

pub use self::batch::{BatchEmbedder, EmbeddedBatch};
pub use self::offline::OfflineEmbeddings;
pub use self::provider::{EmbeddingError, EmbeddingFuture, EmbeddingProvider};
