//! The console exporter: each trace as a tree, metrics as a table, for people and not for parsers.
//! Invariant: its memory is bounded, and it writes whole blocks, so that traces do not interleave.

mod format;
mod metrics;
mod spans;
mod tree;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) use metrics::ConsoleMetrics;
pub(super) use spans::ConsoleSpans;

/// The output of the console: stderr, or any writer.
#[derive(Clone)]
pub(super) struct ConsoleWriter(Arc<Mutex<Box<dyn Write + Send>>>);

impl ConsoleWriter {
    pub(super) fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(writer))))
    }

    /// Writes one block. Returns `false` if it could not be written.
    pub(super) fn write(&self, block: &str) -> bool {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer
            .write_all(block.as_bytes())
            .and_then(|()| writer.flush())
            .is_ok()
    }
}

impl std::fmt::Debug for ConsoleWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConsoleWriter")
    }
}
