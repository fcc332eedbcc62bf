//! The thread of a query.
//!
//! Planning and computing a batch can take seconds, and the reads of RocksDB block. A query
//! therefore runs on one thread of tokio's blocking pool, in a runtime of its own, and its future
//! only waits for the result: a time-out takes effect at once, and other tasks of the caller's
//! executor are not delayed. The thread has the context of the query, so that its reads are children
//! of the query's span.
//!
//! One thread reads and computes. Two would need two places in the pool, and queries that each hold
//! one and wait for another could block each other.

use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use datafusion::common::ScalarValue;
use futures_util::future::{Either, select};

use super::budget::{Budget, Stop};
use super::error::QueryError;
use super::reader::{Requests, serve};
use super::result::QueryResult;
use super::run;
use super::statement::Statement;
use crate::database::core::Core;
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

/// Runs a query on a thread of its own. Dropping the future stops the thread after the batch that it
/// computes.
pub(super) async fn compute(
    core: &Core,
    statement: Statement,
    parameters: Vec<ScalarValue>,
) -> Result<QueryResult, Error> {
    let threads = core.engine().threads();
    let core = core.clone();
    on_thread(&threads, move |stop| {
        blocking(&core, statement, parameters, stop)
    })
    .await
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

fn blocking(
    core: &Core,
    statement: Statement,
    parameters: Vec<ScalarValue>,
    stop: &Stop,
) -> Result<QueryResult, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|_| Error::ShuttingDown)?;
    let engine = core.engine();
    let _entered = Budget::enter(&engine.memory_pool(), stop.clone());
    let (snapshot, tables) = core.snapshot();
    let (requests, receiver) = Requests::new(engine.memory_limit());
    let stack = statement.stack;
    runtime.block_on(async {
        let reading = pin!(serve(core, &snapshot, receiver, stop));
        let computing = pin!(stack.poll(run(engine, tables, requests, statement, parameters)));
        let both = async {
            match select(computing, reading).await {
                Either::Left((result, _)) => result,
                // The last request handle was dropped before the end.
                Either::Right(((), computing)) => computing.await,
            }
        };
        match select(pin!(stop.stopped()), pin!(both)).await {
            Either::Left(_) => Err(Error::ShuttingDown),
            Either::Right((result, _)) => result,
        }
    })
}
