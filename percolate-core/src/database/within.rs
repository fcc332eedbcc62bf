//! A call with a deadline, on a thread of its own.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use crate::otel::carry;

/// Calls `work` on another thread, in the current context, and waits for its result. Returns `None`
/// after `deadline`; the call continues. If no thread can be started, calls it on this thread.
pub(super) fn within<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, result) = mpsc::sync_channel(1);
    let work = Arc::new(Mutex::new(Some(carry(work))));
    let take = {
        let work = Arc::clone(&work);
        move || work.lock().unwrap_or_else(PoisonError::into_inner).take()
    };
    let on_thread = take.clone();
    let started = thread::Builder::new()
        .name("percolate-close".to_owned())
        .spawn(move || {
            let result = on_thread().map(|work| work());
            // The receiver may have been dropped after the deadline.
            _ = sender.send(result);
        });
    match started {
        Ok(_) => result.recv_timeout(deadline).ok().flatten(),
        Err(_) => take().map(|work| work()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_call_is_waited_for_until_its_deadline() {
        assert_eq!(within(Duration::from_mins(1), || 7), Some(7));
        let started = Instant::now();
        let (sender, forever) = mpsc::channel::<()>();
        let late = within(Duration::from_millis(50), move || forever.recv().is_ok());
        assert_eq!(late, None);
        assert!(started.elapsed() < Duration::from_secs(10));
        drop(sender);
    }
}
