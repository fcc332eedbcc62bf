//! Stack space for large queries.
//!
//! The parser and DataFusion recurse over chains of operators, and without optimisation each level
//! takes several kilobytes: the thousand operators that a query may have do not fit into the 2 MiB
//! of a tokio thread. Such a query is parsed, planned and run on a larger stack; all others stay on
//! the stack of their thread.

use std::pin::pin;
use std::task::Poll;

/// The stack that one operator may take, without optimisation.
const BYTES_PER_OPERATOR: usize = 16 * 1024;
/// The stack that the deepest query takes whose operators are not chained.
const BYTES_OF_A_QUERY: usize = 256 * 1024;

/// The stack that a query needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stack {
    bytes: usize,
}

impl Stack {
    /// The stack for a query with this number of operators.
    pub(super) fn for_operators(operators: usize) -> Self {
        Self {
            bytes: BYTES_OF_A_QUERY + operators * BYTES_PER_OPERATOR,
        }
    }

    /// Calls `work` on this stack if less is left on the stack of the thread.
    pub(super) fn run<T>(self, work: impl FnOnce() -> T) -> T {
        stacker::maybe_grow(self.bytes, 2 * self.bytes, work)
    }

    /// Polls `future` as [`run`](Self::run) calls a function.
    pub(super) async fn poll<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|context| -> Poll<F::Output> {
            self.run(|| future.as_mut().poll(context))
        })
        .await
    }
}
