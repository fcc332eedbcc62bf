//! The bridge between callers, which block, and SlateDB, which is asynchronous.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::runtime::Runtime;

/// A runtime for SlateDB's tasks, on threads of its own. Callers wait for futures on their own
/// thread, whether they are inside or outside of a runtime: they need no thread of this one, so that
/// they cannot block it, however many they are.
pub(super) struct Blocking {
    /// `None` only while this is dropped.
    runtime: Option<Runtime>,
}

impl Blocking {
    pub(super) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("percolate-slatedb")
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// Runs a future on the calling thread until it is ready.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        // For the timers and tasks of the future.
        let _context = self.runtime.as_ref().map(Runtime::enter);
        // Inside a task of the caller's runtime, tokio would count the caller's budget, and a future
        // that has used it up would never be ready.
        let mut future = pin!(tokio::task::coop::unconstrained(future));
        let parked = Arc::new(Parked {
            thread: thread::current(),
            is_woken: AtomicBool::new(false),
        });
        let waker = Waker::from(Arc::clone(&parked));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            while !parked.is_woken.swap(false, Ordering::Acquire) {
                thread::park();
            }
        }
    }
}

impl Drop for Blocking {
    /// Does not wait for the threads: waiting is forbidden inside a task of another runtime.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A thread that waits for its future.
struct Parked {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn slept() -> u32 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        7
    }

    #[test]
    fn a_future_is_awaited_outside_and_inside_of_runtimes() {
        let blocking = Blocking::new().unwrap();
        assert_eq!(blocking.block_on(slept()), 7);
        let callers = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        callers.block_on(async {
            assert_eq!(blocking.block_on(slept()), 7);
            // The context of the caller's runtime is back, also for the end of the other one.
            tokio::task::yield_now().await;
            drop(blocking);
        });
    }

    /// The budget of a task is 128 operations.
    #[test]
    fn a_caller_whose_budget_is_used_up_waits_no_longer_than_others() {
        let blocking = Blocking::new().unwrap();
        let callers = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        callers.block_on(async {
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
            for n in 0..1_000 {
                sender.send(n).unwrap();
            }
            let sum = blocking.block_on(async {
                let mut sum = 0;
                for _ in 0..1_000 {
                    sum += receiver.recv().await.unwrap();
                }
                sum
            });
            assert_eq!(sum, 499_500);
        });
    }

    #[test]
    fn many_callers_do_not_block_the_threads() {
        let blocking = Blocking::new().unwrap();
        thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    let spawned = blocking.block_on(async { tokio::spawn(slept()).await.unwrap() });
                    assert_eq!(spawned, 7);
                });
            }
        });
    }
}
