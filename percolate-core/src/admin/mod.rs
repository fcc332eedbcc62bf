//! Looking after a database while it is in use: rebuilding its indexes and verifying them.

mod embeddings;
pub(crate) mod indexing;

pub use self::indexing::IndexManager;
pub use crate::index::report::{IndexReport, Progress};
