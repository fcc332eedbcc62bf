//! [`OtlpThread`]: the runtime that drives the connections of the OTLP exporters on one thread,
//! `percolate-otlp`, so that the program's own runtime is neither blocked nor required.

use std::thread;
use std::time::Duration;

use tokio::runtime::{EnterGuard, Handle};
use tokio::sync::oneshot;

use super::error::TelemetryError;
use crate::quiet::quiet;

/// How long the thread `percolate-dns` waits for the next lookup: as long as the pipeline lives.
const KEEP_ALIVE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The thread `percolate-otlp`. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct OtlpThread {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl OtlpThread {
    pub(super) fn start() -> Result<Self, TelemetryError> {
        let failed = |source| TelemetryError::Thread {
            name: "percolate-otlp",
            source,
        };
        // One thread that looks up host names, started now: a lookup panics if it cannot start one.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("percolate-dns")
            .max_blocking_threads(1)
            .thread_keep_alive(KEEP_ALIVE)
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("percolate-otlp".to_owned())
            .spawn(move || {
                let _quiet = quiet();
                // The channel closes when the `OtlpThread` is dropped: the signal to stop.
                _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        handle.spawn_blocking(|| {});
        Ok(Self {
            handle,
            _stop: stop,
        })
    }

    /// Enters the context of the runtime.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}
