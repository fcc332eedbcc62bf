//! Maintenance of a database in use: rebuilding and verifying its indexes.
//!
//! Compaction, checkpoints and flushing are in [`storage`](crate::storage).

mod embeddings;
pub(crate) mod indexing;

pub use self::indexing::IndexManager;
pub use crate::index::report::{IndexReport, Unreadable};
pub use crate::progress::Progress;
