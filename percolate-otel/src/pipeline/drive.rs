//! [`Driver`]: runs the future of an exporter on a plain thread until it is ready or its time limit
//! has passed. Exporters over tonic or hyper need a runtime that drives their connections (see
//! `otlp_thread`); only its context is entered here, so that the program's tokio runtime is neither
//! blocked nor required. Invariant: [`Driver::run`] returns by its deadline, even if the future
//! never does.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::quiet::unrecorded;

/// How often a waiting thread checks whether the pipeline is shutting down.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The longest time limit. A longer one is the same as this one.
pub(super) const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Returns the time limit of an export. As the specification requires, zero is no limit; it is one
/// hour here, so that a collector that does not respond cannot block an exporter indefinitely.
pub(super) fn time_limit(timeout: Duration) -> Duration {
    if timeout.is_zero() {
        LONGEST
    } else {
        timeout.min(LONGEST)
    }
}

/// Returns the end of a timeout, which may be longer than the clock can represent.
pub(super) fn deadline_in(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now + YEAR)
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Runs the futures of exporters. The runtime lives as long as an exporter may need it.
#[derive(Debug, Clone, Default)]
pub(super) struct Driver {
    #[cfg(feature = "otlp")]
    pub(super) runtime: Option<Arc<super::otlp_thread::OtlpThread>>,
    pub(super) closing: Closing,
}

/// The deadline of the shutdown; unset until it begins.
#[derive(Debug, Clone, Default)]
pub(super) struct Closing(Arc<Mutex<Option<Instant>>>);

impl Closing {
    pub(super) fn close_by(&self, deadline: Instant) {
        let mut closing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *closing = Some(closing.map_or(deadline, |earlier| earlier.min(deadline)));
    }

    fn earlier_of(&self, deadline: Instant) -> Instant {
        let closing = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        closing.map_or(deadline, |closing| closing.min(deadline))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Driver {
    /// Returns the output of the future of an exporter of the pipeline; `None` if `timeout` or the
    /// deadline of the shutdown comes first.
    #[cfg(feature = "otlp")]
    pub(super) fn run<T>(&self, timeout: Duration, future: impl Future<Output = T>) -> Option<T> {
        let _quiet = crate::quiet::quiet();
        self.run_for_program(timeout, future)
    }

    /// As `run`, for an exporter of the program, whose events reach the program's subscriber.
    pub(super) fn run_for_program<T>(
        &self,
        timeout: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        #[cfg(feature = "otlp")]
        let _entered = self.runtime.as_ref().map(|runtime| runtime.enter());
        let _unrecorded = unrecorded();
        let deadline = deadline_in(timeout);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Some(output);
            }
            let left = self
                .closing
                .earlier_of(deadline)
                .saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            thread::park_timeout(left.min(CHECK_INTERVAL));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_never_ends_is_left_at_its_timeout() {
        let driver = Driver::default();
        let started = Instant::now();
        assert_eq!(
            driver.run_for_program(Duration::from_millis(20), std::future::pending::<()>()),
            None
        );
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn closing_cuts_a_running_future_short() {
        let driver = Driver::default();
        let closing = driver.closing.clone();
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            closing.close_by(Instant::now());
        });
        assert_eq!(
            driver.run_for_program(Duration::from_secs(600), std::future::pending::<()>()),
            None
        );
        other.join().expect("closes");
    }

    #[test]
    fn a_ready_future_is_done_even_without_time() {
        assert_eq!(
            Driver::default().run_for_program(Duration::ZERO, async { 7 }),
            Some(7)
        );
    }
}
