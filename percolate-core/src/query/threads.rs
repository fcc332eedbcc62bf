//! The threads of the queries of a database, which [`compute`](super::compute) uses.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::budget::Stop;
use super::error::QueryError;
use crate::database::error::Error;
use crate::otel::carry;

/// The threads of the queries of a database.
#[derive(Default)]
pub(crate) struct Threads {
    running: Mutex<Vec<Stop>>,
    ended: Condvar,
}

impl Threads {
    fn begin(self: &Arc<Self>, stop: Stop) -> Thread {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.push(stop.clone());
        drop(running);
        Thread {
            threads: Arc::clone(self),
            stop,
        }
    }

    /// Waits until no thread is left whose query was dropped. Such a thread holds the database until
    /// it has computed its batch.
    pub(crate) fn wait_for_dropped_queries(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let is_awaited = |running: &mut Vec<Stop>| running.iter().any(Stop::is_stopped);
        // A lock that is poisoned has nothing to wait for.
        drop(self.ended.wait_while(running, is_awaited));
    }
}

/// A thread of a query, until this is dropped.
struct Thread {
    threads: Arc<Threads>,
    stop: Stop,
}

impl Drop for Thread {
    fn drop(&mut self) {
        let running = self.threads.running.lock();
        let mut running = running.unwrap_or_else(PoisonError::into_inner);
        running.retain(|stop| !stop.is(&self.stop));
        drop(running);
        self.threads.ended.notify_all();
    }
}

/// Calls `work` on a thread of tokio's blocking pool, in the current context. A panic is an error.
pub(super) async fn on_thread<T: Send + 'static>(
    threads: &Arc<Threads>,
    work: impl FnOnce(&Stop) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (stop, running) = Stop::new();
    let thread = threads.begin(stop.clone());
    let thread = tokio::task::spawn_blocking(carry(move || {
        // Ends after `work` has dropped its handle of the database.
        let _thread = thread;
        if stop.is_stopped() {
            drop(work);
            Err(Error::ShuttingDown)
        } else {
            work(&stop)
        }
    }));
    let result = thread.await;
    drop(running);
    match result {
        Ok(result) => result,
        Err(error) if error.is_panic() => Err(QueryError::Panicked.into()),
        Err(_) => Err(Error::ShuttingDown),
    }
}
