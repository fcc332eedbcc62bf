//! Embedding texts before they are written, for tables whose schema has `"embed": "on_write"`.
//!
//! A write is attempted first, under its locks, which finds the texts without a vector and writes
//! nothing if there are any. They are embedded without locks, because a provider may take long and may
//! use the database, and the write is attempted again. An attempt can find further texts only if
//! others changed the entities meanwhile, and all texts are those of the caller, so attempts end.

use std::cell::RefCell;
use std::collections::HashMap;

use tokio::runtime::{Builder, Handle};

use super::core::Core;
use super::error::Error;
use crate::otel::carry;

/// The vectors of the texts of one write.
#[derive(Debug, Default)]
pub(crate) struct Computed {
    vectors: HashMap<String, Vec<f32>>,
    missing: RefCell<Missing>,
}

/// The texts that an attempt found no vectors for.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// The table of the first one.
    table: String,
    texts: Vec<String>,
}

impl Computed {
    /// Returns the vector of a text. Without one, notes the text as missing.
    pub(super) fn vector(&self, table: &str, text: &str) -> Option<&[f32]> {
        let vector = self.vectors.get(text);
        if vector.is_none() {
            let mut missing = self.missing.borrow_mut();
            if missing.texts.is_empty() {
                table.clone_into(&mut missing.table);
            }
            missing.texts.push(text.to_owned());
        }
        vector.map(Vec::as_slice)
    }

    /// Returns whether the attempt found no vector for a text, so that it must not write.
    pub(super) fn is_incomplete(&self) -> bool {
        !self.missing.borrow().texts.is_empty()
    }

    /// Returns the missing texts, `None` if there were none: the attempt has written.
    pub(crate) fn take_missing(&mut self) -> Option<Missing> {
        let mut missing = std::mem::take(self.missing.get_mut());
        missing.texts.sort_unstable();
        missing.texts.dedup();
        (!missing.texts.is_empty()).then_some(missing)
    }

    /// Embeds the missing texts.
    ///
    /// # Errors
    ///
    /// [`Error::EmbeddingOnWrite`] if the provider fails for one of them.
    pub(crate) async fn embed(&mut self, core: &Core, missing: Missing) -> Result<(), Error> {
        let Missing { table, texts } = missing;
        match core.embedder().embed_all(&texts).await {
            Ok(vectors) => {
                self.vectors.extend(texts.into_iter().zip(vectors));
                Ok(())
            }
            Err(error) => Err(Error::EmbeddingOnWrite { table, error }),
        }
    }
}

impl Core {
    /// Attempts a write until all of its texts have vectors. Every attempt but the last writes
    /// nothing. The provider is called without locks.
    pub(super) fn with_vectors<T>(
        &self,
        mut attempt: impl FnMut(&Computed) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut computed = Computed::default();
        loop {
            let written = attempt(&computed)?;
            let Some(missing) = computed.take_missing() else {
                return Ok(written);
            };
            wait_for(computed.embed(self, missing))??;
        }
    }
}

/// Waits for a future. On a thread that runs a tokio runtime, where it is forbidden to block on another
/// one, the future runs on a thread of its own.
fn wait_for<T: Send>(future: impl Future<Output = T> + Send) -> Result<T, Error> {
    let run = move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| Error::ShuttingDown)?;
        Ok(runtime.block_on(future))
    };
    if Handle::try_current().is_err() {
        return run();
    }
    std::thread::scope(|scope| match scope.spawn(carry(run)).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
