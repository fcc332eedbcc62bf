//! Exceptions in Python code that a call runs, and cannot raise itself.

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

/// Reports an exception of `function` as Python reports those in destructors, with
/// `sys.unraisablehook`. Ctrl-C raises in whichever Python code the main thread runs at that moment. It is
/// not lost here: the thread is interrupted again, after this code.
pub(crate) fn report(py: Python<'_>, error: PyErr, function: Option<&Bound<'_, PyAny>>) {
    let is_interrupt = error.is_instance_of::<PyKeyboardInterrupt>(py);
    if !(is_interrupt && interrupt_again(py).unwrap_or(false)) {
        error.write_unraisable(py, function);
    }
}

/// Interrupts this thread as Ctrl-C does. Returns `false` if it is not the main thread, or if Python does
/// not handle the signal.
fn interrupt_again(py: Python<'_>) -> PyResult<bool> {
    let (signal, threading) = (py.import("signal")?, py.import("threading")?);
    let thread = threading.call_method0("current_thread")?;
    let handler = signal.call_method1("getsignal", (signal.getattr("SIGINT")?,))?;
    if !thread.is(&threading.call_method0("main_thread")?) || !handler.is_callable() {
        return Ok(false);
    }
    py.import("_thread")?.call_method0("interrupt_main")?;
    Ok(true)
}
