//! The options of an import.

use std::ops::ControlFlow;

use crate::progress::{OnProgress, Progress};
use crate::schema::system::is_vector_field;

/// What an import does with rows that are refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnError {
    /// Checks all rows before the first one is written. If one is refused, none is written.
    #[default]
    Abort,
    /// Writes the other rows. The report counts and lists the refused ones.
    Skip,
}

/// What an import does with rows whose entities exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Existing {
    /// Refuses them.
    #[default]
    Error,
    /// Replaces the data of the entities. Of several rows with the same key or id, the last one
    /// remains.
    Replace,
    /// Leaves the entities as they are. Of several rows with the same key or id, the first one
    /// remains.
    Skip,
}

/// Options of [`Database::import_jsonl`](crate::Database::import_jsonl).
#[derive(Debug, Clone)]
#[must_use]
#[non_exhaustive]
pub struct ImportOptions {
    pub(super) on_error: OnError,
    pub(super) existing: Existing,
    pub(super) batch_size: usize,
    pub(super) max_line_length: usize,
    pub(super) ignore_vectors: bool,
    pub(super) progress: OnProgress,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            on_error: OnError::default(),
            existing: Existing::default(),
            batch_size: 1000,
            max_line_length: 16 << 20,
            ignore_vectors: false,
            progress: OnProgress::default(),
        }
    }
}

impl ImportOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what happens with rows that are refused. Default: [`OnError::Abort`].
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Sets what happens with rows whose entities exist. Default: [`Existing::Error`].
    pub fn existing(mut self, existing: Existing) -> Self {
        self.existing = existing;
        self
    }

    /// Sets the number of rows that are written together, at least 1. Default: 1000. A batch also
    /// ends when its lines have 8 MiB.
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows.max(1);
        self
    }

    /// Sets the bytes of the longest line that is accepted. Longer ones are refused and not kept in
    /// memory. Default: 16 MiB.
    pub fn max_line_length(mut self, bytes: usize) -> Self {
        self.max_line_length = bytes;
        self
    }

    /// Sets whether the vectors of rows, `_vectors`, are ignored, whatever they are: the texts are then
    /// embedded again, as the schema says. Default: `false`. It is for a database with another embedding
    /// provider, whose vectors cannot be compared with those of the rows.
    pub fn ignore_vectors(mut self, ignore: bool) -> Self {
        self.ignore_vectors = ignore;
        self
    }

    /// Returns whether a field of rows is ignored.
    pub(crate) fn ignores(&self, field: &str) -> bool {
        self.ignore_vectors && is_vector_field(field)
    }

    /// Calls `report` after each batch with the number of rows read so far. The import ends there if
    /// it returns [`ControlFlow::Break`]: the report is
    /// [`cancelled`](super::report::ImportReport::cancelled), and batches that were written stay.
    /// With [`OnError::Abort`], the rows are counted twice: when they are checked, and again when
    /// they are written.
    pub fn on_progress(
        mut self,
        report: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        self.progress = OnProgress::new(report);
        self
    }
}
