//! Databases that are open when Python exits. What was written to an object store in the last moments
//! is only in memory, so it is made durable; in a directory the operating system has it.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use percolate_core::Database;
use pyo3::prelude::*;

use super::handle::Closable;
use crate::waiting::released;

/// How long the exit waits for object stores.
const LIMIT: Duration = Duration::from_secs(5);

/// The databases on object stores that this process opened for writing.
static WRITTEN: Mutex<Vec<Weak<Closable>>> = Mutex::new(Vec::new());

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let function = wrap_pyfunction!(flush_at_exit, module)?;
    let atexit = module.py().import("atexit")?;
    atexit.call_method1("register", (function,))?;
    Ok(())
}

/// Makes the writes of a database durable when Python exits, if it is still open then.
pub(super) fn remember(closable: &Arc<Closable>, database: &Database) {
    let storage = database.storage();
    if storage.is_read_only() || storage.system() == "rocksdb" {
        return;
    }
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    written.retain(|known| known.strong_count() > 0);
    written.push(Arc::downgrade(closable));
}

/// Called by Python's `atexit`.
#[pyfunction]
fn flush_at_exit(py: Python<'_>) -> PyResult<()> {
    let written = std::mem::take(&mut *WRITTEN.lock().unwrap_or_else(PoisonError::into_inner));
    let open: Vec<_> = written.iter().filter_map(Weak::upgrade).collect();
    // A closed database was flushed, and one that was opened before a fork is the parent's.
    let databases: Vec<_> = open
        .iter()
        .filter_map(|closable| closable.database().ok())
        .collect();
    if databases.is_empty() {
        return Ok(());
    }
    let failures = released(py, || flush_within(databases, LIMIT))?;
    for failure in failures {
        let logger = py
            .import("logging")?
            .call_method1("getLogger", ("percolate_rocks",))?;
        logger.call_method1("warning", (failure,))?;
    }
    Ok(())
}

/// Flushes databases, and returns what failed.
fn flush_within(databases: Vec<Database>, limit: Duration) -> Vec<String> {
    let (done, flushed) = mpsc::channel();
    let flush = move || {
        let failed = databases.iter().filter_map(|database| {
            let storage = database.storage();
            let path = storage.path().display();
            let error = storage.flush_wal(true).err()?;
            let reason = std::error::Error::source(&error).map_or_else(
                || error.to_string(),
                |source| format!("{error}: {source}"),
            );
            Some(format!(
                "the last writes to {path} may be lost: {reason}; close databases before the end of the program"
            ))
        });
        _ = done.send(failed.collect::<Vec<_>>());
    };
    let started = std::thread::Builder::new()
        .name("percolate-exit".into())
        .spawn(flush);
    match started.map(|_| flushed.recv_timeout(limit)) {
        Ok(Ok(failures)) => failures,
        Ok(Err(_)) => vec![format!(
            "the last writes to an object store may be lost: it did not answer within {limit:?}; close databases \
             before the end of the program"
        )],
        Err(error) => vec![format!(
            "the last writes to an object store may be lost: no thread can be started ({error})"
        )],
    }
}
