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

use std::ops::ControlFlow;
use std::pin::pin;

use datafusion::common::ScalarValue;
use futures_util::future::{Either, select};

use super::budget::{Budget, Stop};
use super::reader::{Requests, Tables, serve};
use super::result::QueryResult;
use super::run::run;
use super::statement::Statement;
use super::threads::on_thread;
use crate::database::core::Core;
use crate::database::error::Error;
use crate::storage::Snapshot;

/// A snapshot of the store with the schemas that belong to it, on the thread of a query.
pub(super) struct View<'a> {
    pub(super) core: &'a Core,
    pub(super) snapshot: Snapshot<'a>,
    pub(super) tables: Tables,
    stop: &'a Stop,
}

/// Runs a query on a thread of its own. Dropping the future stops the thread after the batch that it
/// computes.
pub(super) async fn compute(
    core: &Core,
    statement: Statement,
    parameters: Vec<ScalarValue>,
) -> Result<QueryResult, Error> {
    on_snapshot(core, move |view| view.run(statement, parameters)).await
}

/// Calls `work` with a snapshot, on a thread of its own. Dropping the future stops it when it next
/// checks [`View::flow`].
pub(super) async fn on_snapshot<T: Send + 'static>(
    core: &Core,
    work: impl FnOnce(&View<'_>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let threads = core.engine().threads();
    let core = core.clone();
    on_thread(&threads, move |stop| {
        let (snapshot, tables) = core.snapshot();
        work(&View {
            core: &core,
            snapshot,
            tables,
            stop,
        })
    })
    .await
}

impl View<'_> {
    /// Returns whether work that proceeds in steps may take the next one.
    pub(super) fn flow(&self) -> ControlFlow<()> {
        if self.stop.is_stopped() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Runs a query on the snapshot.
    pub(super) fn run(
        &self,
        statement: Statement,
        parameters: Vec<ScalarValue>,
    ) -> Result<QueryResult, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|_| Error::ShuttingDown)?;
        let engine = self.core.engine();
        let _entered = Budget::enter(&engine.memory_pool(), self.stop.clone());
        let (requests, receiver) = Requests::new(engine.memory_limit());
        let stack = statement.stack;
        let tables = self.tables.clone();
        runtime.block_on(async {
            let reading = pin!(serve(self.core, &self.snapshot, receiver, self.stop));
            let computing = pin!(stack.poll(run(engine, tables, requests, statement, parameters)));
            let both = async {
                match select(computing, reading).await {
                    Either::Left((result, _)) => result,
                    // The last request handle was dropped before the end.
                    Either::Right(((), computing)) => computing.await,
                }
            };
            match select(pin!(self.stop.stopped()), pin!(both)).await {
                Either::Left(_) => Err(Error::Cancelled),
                Either::Right((result, _)) => result,
            }
        })
    }
}
