//! The memory that the functions of a query may use, and the end of a dropped query.
//!
//! A query computes on one thread, from planning to its last batch, so its [`Budget`] is a value of
//! that thread. The results of functions count until the operator that called them passes on its
//! batch: from then on, the operator that receives the batch is responsible for it. While a query
//! is planned they all count, because a result may become a constant of the plan.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use tokio::sync::watch;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Budget>>> = const { RefCell::new(None) };
}

/// The budget of one query.
pub(super) struct Budget {
    /// The constants of the plan.
    constants: MemoryReservation,
    /// The results of functions that no operator has passed on.
    results: MemoryReservation,
    stop: Stop,
}

/// Tells the thread of a query that its future was dropped.
#[derive(Clone)]
pub(super) struct Stop(Arc<watch::Sender<()>>);

/// The side of the future: dropping it stops the query.
pub(super) struct Running {
    _receiver: watch::Receiver<()>,
}

/// A function would produce more than the memory limit allows.
#[derive(Debug)]
pub(super) struct FunctionTooLarge {
    pub(super) function: String,
}

/// The thread has a budget until this is dropped.
pub(super) struct Entered(());

impl Stop {
    pub(super) fn new() -> (Self, Running) {
        let (sender, receiver) = watch::channel(());
        let running = Running {
            _receiver: receiver,
        };
        (Self(Arc::new(sender)), running)
    }

    /// Returns whether both belong to the same query.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits until the future of the query is dropped.
    pub(super) async fn stopped(&self) {
        self.0.closed().await;
    }
}

impl Budget {
    /// Creates the budget of the query that this thread computes.
    pub(super) fn enter(pool: &Arc<dyn MemoryPool>, stop: Stop) -> Entered {
        let budget = Self {
            constants: MemoryConsumer::new("constants").register(pool),
            results: MemoryConsumer::new("functions").register(pool),
            stop,
        };
        CURRENT.set(Some(Rc::new(budget)));
        Entered(())
    }

    /// Returns the budget of the query that this thread computes.
    pub(super) fn current() -> Option<Rc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Reserves memory for the result of a function.
    pub(super) fn reserve(&self, bytes: usize, function: &str) -> Result<()> {
        self.check()?;
        self.results
            .try_grow(bytes)
            .map_err(|_| too_large(function))
    }

    /// Returns whether memory of this size could be reserved now.
    pub(super) fn has(&self, bytes: usize) -> bool {
        let fits = self.results.try_grow(bytes).is_ok();
        if fits {
            self.results.shrink(bytes);
        }
        fits
    }

    /// Replaces a reservation by one of another size, which is the true size of a result.
    pub(super) fn correct(&self, reserved: usize, bytes: usize, function: &str) -> Result<()> {
        if bytes > reserved {
            self.reserve(bytes - reserved, function)
        } else {
            self.results.shrink(reserved - bytes);
            Ok(())
        }
    }

    /// Counts the constants of a plan, which stay in memory until the query ends, and no longer the
    /// results of planning.
    pub(super) fn hold_constants(&self, bytes: usize) -> Result<()> {
        self.results.free();
        self.constants.try_grow(bytes)
    }

    /// An operator has passed on a batch.
    pub(super) fn passed_on(&self) -> Result<()> {
        self.results.free();
        self.check()
    }

    /// Fails if the future of the query was dropped.
    fn check(&self) -> Result<()> {
        if self.stop.is_stopped() {
            Err(DataFusionError::Execution(
                "the query was dropped".to_owned(),
            ))
        } else {
            Ok(())
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Fails only while the thread ends, which drops the budget too.
        _ = CURRENT.try_with(RefCell::take);
    }
}

fn too_large(function: &str) -> DataFusionError {
    DataFusionError::External(Box::new(FunctionTooLarge {
        function: function.to_owned(),
    }))
}

impl fmt::Display for FunctionTooLarge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the result of `{}` is too large", self.function)
    }
}

impl std::error::Error for FunctionTooLarge {}
