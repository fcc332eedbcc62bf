//! A version number that lets any thread read what one thread writes, without a lock.
//!
//! The writer makes the version odd, changes the numbers, and makes the version even. A reader that
//! sees an odd version, or another one after it has read, reads again. So a reader sees all of a
//! change or nothing of it, and a writer never waits.

use super::atomics::{AtomicU64, Ordering, fence, wait};

/// How often a reader tries before it lets other threads run.
const SPINS: u32 = 64;

/// Odd while the writer changes the numbers.
#[derive(Debug)]
pub(crate) struct Version(AtomicU64);

impl Version {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Changes the numbers. Two threads must not do so at the same time.
    #[inline]
    pub(crate) fn write(&self, change: impl FnOnce()) {
        let version = self.0.load(Ordering::Relaxed);
        self.0.store(version + 1, Ordering::Relaxed);
        // No change becomes visible before the odd version.
        fence(Ordering::Release);
        change();
        // All changes become visible before the even version.
        self.0.store(version + 2, Ordering::Release);
    }

    /// Returns what `copy` returns if no change overlaps with it. It may be called several times,
    /// and may see parts of a change if its result is dropped.
    pub(crate) fn read<T>(&self, copy: impl Fn() -> T) -> T {
        for attempt in 1_u32.. {
            let before = self.0.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let copied = copy();
                // No number is read after the second version.
                fence(Ordering::Acquire);
                if self.0.load(Ordering::Relaxed) == before {
                    return copied;
                }
            }
            wait(attempt.is_multiple_of(SPINS));
        }
        copy()
    }

    /// Waits until there is no change that began before this call.
    pub(crate) fn wait_for_writer(&self) {
        for attempt in 1_u32.. {
            if self.0.load(Ordering::Acquire).is_multiple_of(2) {
                return;
            }
            wait(attempt.is_multiple_of(SPINS));
        }
    }
}
