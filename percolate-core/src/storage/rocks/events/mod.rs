//! RocksDB's own work as jobs: flushes, compactions and ingested files that no caller of percolate
//! waits for, but that take the disk from one that does, and the stalls in which writes wait for
//! them.
//!
//! `listener` receives RocksDB's events, `sink` queues them, `recorder` makes spans and metrics of
//! them on a thread of its own. `waits` has the spans of stalls, to which writes that waited link. The
//! invariant: no thread of RocksDB or of a caller waits for telemetry. Reads, and writes that did not
//! wait, do not come here.

mod event;
mod listener;
mod recorder;
mod sink;
mod stalls;
mod waits;

use std::path::Path;
use std::sync::Arc;

use self::sink::Sink;
pub(super) use self::waits::Waits;

/// The events of one open store. Dropped after the database.
pub(super) struct Events {
    sink: Arc<Sink>,
}

impl Events {
    /// Creates the events of a store that is about to be opened.
    pub(super) fn new(directory: &Path, namespace: &str) -> Self {
        Self {
            sink: Arc::new(Sink::new(directory.to_owned(), namespace.to_owned())),
        }
    }

    /// Adds a listener to the options of the database.
    pub(super) fn listen(&self, options: &mut rocksdb::Options) {
        listener::listen(options, Arc::clone(&self.sink));
    }

    /// Returns the latest stalls.
    pub(super) fn waits(&self) -> &Arc<Waits> {
        &self.sink.waits
    }

    /// Returns the number of events that were not recorded, because too many waited.
    pub(super) fn dropped(&self) -> u64 {
        self.sink.dropped()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.sink.close();
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
