//! Looking after a database while it is in use: rebuilding its indexes and verifying them.

mod embeddings;
mod indexing;

pub use self::indexing::{IndexManager, IndexReport, Progress};
