//! The atomics of the cells. `tests/loom` has others in their place.

pub(super) use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};

/// Waits before a read is repeated, and lets other threads run if it has been repeated often.
pub(super) fn wait(often: bool) {
    if often {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}
