//! Forks of this process. A child has neither the threads of a pipeline nor random numbers of its
//! own: everything that its parent had is copied.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// How often this process was forked from its parent after [`watch`].
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Returns how many forks are between this process and the first one. It costs one load.
#[inline]
pub(crate) fn count() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Begins to count. On systems without forks it does nothing.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        #[cfg(all(unix, feature = "pipeline"))]
        {
            extern "C" fn in_child() {
                FORKS.fetch_add(1, Ordering::Relaxed);
            }
            #[expect(unsafe_code, reason = "the system has no safe form")]
            // SAFETY: the function is called in the child of a fork, where only operations that are
            // safe in a signal handler are allowed. It changes one atomic number. It is never
            // unloaded, because the standard library does not unload programs.
            unsafe {
                libc::pthread_atfork(None, None, Some(in_child));
            }
        }
    });
}
