//! [`ConsoleWriter`]: the output that the console exporters of all signals share.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// The output of the console: stderr, or any writer.
#[derive(Clone)]
pub(in super::super) struct ConsoleWriter(Arc<Mutex<Box<dyn Write + Send>>>);

impl ConsoleWriter {
    pub(in super::super) fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(writer))))
    }

    /// Writes one block.
    ///
    /// # Errors
    ///
    /// An error message if it could not be written.
    pub(in super::super) fn write(&self, block: &str) -> Result<(), String> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer
            .write_all(block.as_bytes())
            .and_then(|()| writer.flush())
            .map_err(|error| format!("cannot write to the console: {}", error.kind()))
    }
}

impl std::fmt::Debug for ConsoleWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConsoleWriter")
    }
}
