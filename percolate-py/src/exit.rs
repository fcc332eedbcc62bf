//! How a forked child ends whose parent had used RocksDB.
//!
//! RocksDB's destructors, run by the C library at `exit`, join threads that only the parent has, and end the child by
//! a signal. What Python has to do at its end is done by then, so the child leaves just before them.

/// Lets this process leave without running destructors registered up to now. Does nothing where the C library has no
/// `on_exit`, which tells handlers the exit status.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library's own functions")]
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

    // SAFETY: the handler takes what `on_exit` gives, ignores the argument, and does not unwind. A failure to
    // register it leaves the process as it would be without.
    unsafe {
        on_exit(leave, std::ptr::null_mut());
    }
}

/// Lets this process leave without running destructors registered up to now. Does nothing where the C library has no
/// `on_exit`, which tells handlers the exit status.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn skip_destructors() {}
