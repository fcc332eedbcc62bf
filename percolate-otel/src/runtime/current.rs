//! Which runtime a call reports to: the one scoped to its thread, the installed one, or the ambient one.
//!
//! The ambient runtime serves foreign set-ups: metrics go to the global meter provider, spans to `tracing` layers. An
//! idle call reads one cache line and one thread-local counter; it takes no lock and allocates nothing.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use opentelemetry::global;

use super::instance::Runtime;
use crate::metrics::Instruments;

/// What every call reads, in one cache line.
#[repr(align(64))]
struct Listening {
    installed: AtomicPtr<Runtime>,
    /// Scopes that are open on any thread.
    scopes: AtomicUsize,
    /// The runtime of foreign set-ups, once a global meter provider was set.
    ambient: OnceLock<Box<Runtime>>,
}

static LISTENING: Listening = Listening {
    installed: AtomicPtr::new(ptr::null_mut()),
    scopes: AtomicUsize::new(0),
    ambient: OnceLock::new(),
};

thread_local! {
    static SCOPED: Cell<Option<&'static Runtime>> = const { Cell::new(None) };
    static AMBIENT_CALLS: Cell<u32> = const { Cell::new(0) };
}

/// The error of [`install`] when a runtime is installed already.
#[derive(Debug, thiserror::Error)]
#[error("cannot install percolate's runtime: one is installed already; shut it down first")]
#[non_exhaustive]
pub struct AlreadyInstalled;

/// Installs `runtime` for the whole process.
///
/// # Errors
/// Returns [`AlreadyInstalled`] if there is an installed runtime.
pub fn install(runtime: &'static Runtime) -> Result<(), AlreadyInstalled> {
    LISTENING
        .installed
        .compare_exchange(
            ptr::null_mut(),
            ptr::from_ref(runtime).cast_mut(),
            Ordering::AcqRel,
            Ordering::Acquire,
        )
        .map(drop)
        .map_err(|_| AlreadyInstalled)
}

/// Removes the installed runtime if it is this one. Calls in progress still report to it.
pub fn uninstall(runtime: &'static Runtime) {
    _ = LISTENING.installed.compare_exchange(
        ptr::from_ref(runtime).cast_mut(),
        ptr::null_mut(),
        Ordering::AcqRel,
        Ordering::Acquire,
    );
}

/// Scopes `runtime` to this thread until the guard is dropped. Used by tests: no global state changes.
#[must_use = "the scope ends when the guard is dropped"]
pub fn scope(runtime: Option<&'static Runtime>) -> ScopeGuard {
    LISTENING.scopes.fetch_add(1, Ordering::Relaxed);
    ScopeGuard {
        before: SCOPED.replace(runtime),
        not_send: PhantomData,
    }
}

/// Returns the runtime scoped to this thread, to be carried to another thread.
pub fn scoped() -> Option<&'static Runtime> {
    if LISTENING.scopes.load(Ordering::Relaxed) == 0 {
        None
    } else {
        SCOPED.get()
    }
}

/// Ends a [`scope`] when dropped.
#[derive(Debug)]
pub struct ScopeGuard {
    before: Option<&'static Runtime>,
    not_send: PhantomData<*const ()>,
}

impl Drop for ScopeGuard {
    fn drop(&mut self) {
        SCOPED.set(self.before);
        LISTENING.scopes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the runtime that calls on this thread report to; `None` if there is none. `tracing` layers may still be
/// interested then.
#[inline]
pub(crate) fn current() -> Option<&'static Runtime> {
    if let Some(runtime) = scoped() {
        return Some(runtime);
    }
    let installed = LISTENING.installed.load(Ordering::Acquire);
    // Read through an atomic pointer: every call passes here, and a lock would cost more than the rest.
    #[expect(unsafe_code, reason = "an atomic reference has no safe form")]
    // SAFETY: the pointer is null or was stored by `install`, which casts it from a `&'static Runtime`.
    let installed = unsafe { installed.as_ref() };
    installed.or_else(ambient)
}

/// A thread looks for a global meter provider on its first call, and then on every call of this number.
const AMBIENT_PERIOD: u32 = 64;

/// Returns the runtime of foreign set-ups, once a global meter provider was set.
fn ambient() -> Option<&'static Runtime> {
    if let Some(runtime) = LISTENING.ambient.get() {
        return Some(runtime);
    }
    let calls = AMBIENT_CALLS.get();
    AMBIENT_CALLS.set((calls + 1) % AMBIENT_PERIOD);
    if calls != 0 {
        return None;
    }
    let provider = global::meter_provider();
    // The no-op provider, which is the default, has no fields.
    if size_of_val(&*provider) == 0 {
        return None;
    }
    Some(LISTENING.ambient.get_or_init(|| {
        Box::new(Runtime::without_records(Some(Instruments::new(
            provider.as_ref(),
            None,
        ))))
    }))
}

/// Returns the runtime of a call that only `tracing` layers are interested in.
pub(crate) fn layers_only() -> &'static Runtime {
    static LAYERS_ONLY: OnceLock<Runtime> = OnceLock::new();
    LAYERS_ONLY.get_or_init(|| Runtime::without_records(None))
}
