//! The exit of a forked child whose parent has used RocksDB.
//!
//! At `exit` the C library runs RocksDB's destructors. They join threads that exist only in the
//! parent, and the child is killed by a signal. Python has finalized by then, so the child exits
//! just before the destructors.

/// Makes this process exit without running the destructors registered so far. Does nothing where
/// the C library has no `on_exit`, the function that passes the exit status to handlers.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "functions of the C library")]
pub(crate) fn skip_destructors() {
    use std::ffi::{c_int, c_void};

    unsafe extern "C" {
        fn on_exit(handler: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
        fn fflush(stream: *mut c_void) -> c_int;
        fn _exit(status: c_int) -> !;
    }

    extern "C" fn leave(status: c_int, _: *mut c_void) {
        // SAFETY: both may be called from an exit handler; null means every open stream.
        unsafe {
            fflush(std::ptr::null_mut());
            _exit(status);
        }
    }

    // SAFETY: the handler has the signature of `on_exit`, ignores the argument, and does not
    // unwind. If registering it fails, the process exits as it would without it.
    unsafe {
        on_exit(leave, std::ptr::null_mut());
    }
}

/// Makes this process exit without running the destructors registered so far. Does nothing where
/// the C library has no `on_exit`, the function that passes the exit status to handlers.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn skip_destructors() {}
