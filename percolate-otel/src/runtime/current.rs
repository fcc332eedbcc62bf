//! Which runtime a call reports to: the one scoped to its thread, the installed one, or the ambient
//! one.
//!
//! The ambient runtime serves programs that have not built one. Their metrics go to the global
//! meter provider. Their spans go to `tracing` layers or, if none is interested in a call, to the
//! global tracer provider.
//!
//! An idle call reads one cache line and one thread-local counter. Only the first call of a thread,
//! and then one of [`METER_PERIOD`], takes a lock to look for providers.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use opentelemetry::global::{self, BoxedTracer};

use super::instance::Runtime;
use crate::api_span::find_tracer;
use crate::metrics::Instruments;

/// What every call reads, in one cache line.
#[repr(align(64))]
struct Listening {
    installed: AtomicPtr<Runtime>,
    /// Scopes that are open on any thread.
    scopes: AtomicUsize,
    /// The runtime that measures with the global meter provider, once one was found.
    metered: OnceLock<Box<Runtime>>,
    /// The tracer of the global tracer provider, once one was found.
    tracer: OnceLock<BoxedTracer>,
}

static LISTENING: Listening = Listening {
    installed: AtomicPtr::new(ptr::null_mut()),
    scopes: AtomicUsize::new(0),
    metered: OnceLock::new(),
    tracer: OnceLock::new(),
};

thread_local! {
    static SCOPED: Cell<Option<&'static Runtime>> = const { Cell::new(None) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
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

/// Scopes `runtime` to this thread until the guard is dropped. Used by tests: no global state
/// changes.
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

/// Returns the runtime that calls on this thread report to; `None` if there is none. `tracing`
/// layers may still be interested then.
#[inline]
pub(crate) fn current() -> Option<&'static Runtime> {
    if let Some(runtime) = scoped() {
        return Some(runtime);
    }
    let installed = LISTENING.installed.load(Ordering::Acquire);
    // Read through an atomic pointer: every call passes here, and a lock would cost more than the
    // rest.
    #[expect(unsafe_code, reason = "an atomic reference has no safe form")]
    // SAFETY: the pointer is null or was stored by `install`, which casts it from a `&'static
    // Runtime`.
    let installed = unsafe { installed.as_ref() };
    installed.or_else(ambient)
}

/// A thread looks for a global meter provider on its first call, and then once in this many calls.
const METER_PERIOD: u32 = 64;
/// The same for a global tracer provider. This look is rarer because it allocates.
const TRACER_PERIOD: u32 = 4 * METER_PERIOD;

/// Returns the runtime of programs that have not built one, once a global provider was found.
fn ambient() -> Option<&'static Runtime> {
    let (mut metered, mut tracer) = (LISTENING.metered.get(), LISTENING.tracer.get());
    if metered.is_none() || tracer.is_none() {
        let calls = CALLS.get();
        CALLS.set((calls + 1) % TRACER_PERIOD);
        if calls.is_multiple_of(METER_PERIOD) {
            look_for_providers(calls == 0);
            (metered, tracer) = (LISTENING.metered.get(), LISTENING.tracer.get());
        }
    }
    match metered {
        Some(runtime) => Some(runtime),
        None => tracer.map(|_| unmetered()),
    }
}

#[cold]
fn look_for_providers(for_tracers: bool) {
    if LISTENING.metered.get().is_none() {
        let provider = global::meter_provider();
        // The no-op provider, which is the default, has no fields.
        if size_of_val(&*provider) != 0 {
            LISTENING.metered.get_or_init(|| {
                let instruments = Instruments::new(provider.as_ref(), None);
                Box::new(Runtime::ambient(Some(instruments)))
            });
        }
    }
    if for_tracers
        && LISTENING.tracer.get().is_none()
        && let Some(found) = find_tracer()
    {
        LISTENING.tracer.get_or_init(|| found);
    }
}

/// Returns the ambient runtime without metrics.
pub(crate) fn unmetered() -> &'static Runtime {
    static UNMETERED: OnceLock<Runtime> = OnceLock::new();
    UNMETERED.get_or_init(|| Runtime::ambient(None))
}

impl Runtime {
    /// Returns the tracer for calls that no `tracing` layer is interested in, if there is one.
    pub(crate) fn global_tracer(&self) -> Option<&'static BoxedTracer> {
        LISTENING.tracer.get().filter(|_| self.is_ambient)
    }
}
