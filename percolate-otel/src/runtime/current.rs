//! Which runtime a call reports to: the one scoped to its thread, the installed one, or the ambient
//! one.
//!
//! The ambient runtime serves programs that have not built one. Their metrics go to the global
//! meter provider. Their spans go to `tracing` layers or, if none is interested in a call, to the
//! global tracer provider.
//!
//! An idle call reads one cache line and one thread-local counter. Only few calls take a lock to
//! look for providers: see [`gap_after`].

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::metrics::MeterProvider;

use super::instance::Runtime;
use crate::api_span::find_tracer;
use crate::forks;
use crate::metrics::{self, Instruments};
use crate::own_providers::foreign;
use crate::site::Parent;

/// What every call reads, in one cache line.
#[repr(align(64))]
struct Listening {
    installed: AtomicPtr<Runtime>,
    /// Scopes that are open on any thread.
    scopes: AtomicUsize,
    /// The runtime that measures with the global meter provider, if one was found. Never freed.
    metered: AtomicPtr<Metered>,
    /// The tracer of the global tracer provider, if one was found. Never freed.
    tracer: AtomicPtr<BoxedTracer>,
    /// How often [`providers_changed`] was called.
    generation: AtomicU32,
    /// How many forks were behind the process when `ended` was set.
    forks: AtomicU32,
    /// The runtime of the pipeline that was installed last, after its shutdown.
    ended: AtomicPtr<Runtime>,
}

/// A runtime that measures with a global meter provider.
struct Metered {
    runtime: Runtime,
    provider: Arc<dyn MeterProvider + Send + Sync>,
}

static LISTENING: Listening = Listening {
    installed: AtomicPtr::new(ptr::null_mut()),
    scopes: AtomicUsize::new(0),
    metered: AtomicPtr::new(ptr::null_mut()),
    tracer: AtomicPtr::new(ptr::null_mut()),
    generation: AtomicU32::new(0),
    forks: AtomicU32::new(0),
    ended: AtomicPtr::new(ptr::null_mut()),
};

thread_local! {
    static SCOPED: Cell<Option<&'static Runtime>> = const { Cell::new(None) };
    static LOOKS: Looks = const { Looks::first() };
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
        .map_err(|_| AlreadyInstalled)?;
    LISTENING.ended.store(ptr::null_mut(), Ordering::Release);
    Ok(())
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

/// Removes the installed runtime if it is this one, as [`uninstall`] does, at the shutdown of its
/// pipeline. It counts the calls that start later, until another one is installed.
pub fn end(runtime: &'static Runtime) {
    let pointer = ptr::from_ref(runtime).cast_mut();
    if LISTENING.installed.load(Ordering::Acquire) == pointer {
        LISTENING.forks.store(forks::count(), Ordering::Relaxed);
        LISTENING.ended.store(pointer, Ordering::Release);
        uninstall(runtime);
    }
}

/// Returns the runtime of the installed pipeline after its shutdown; `None` if no pipeline was
/// installed, while one is, and in the child of a fork.
#[inline]
pub fn ended() -> Option<&'static Runtime> {
    let ended = LISTENING.ended.load(Ordering::Acquire);
    #[expect(unsafe_code, reason = "an atomic reference has no safe form")]
    // SAFETY: the pointer is null or was stored by `end`, which casts it from a `&'static Runtime`.
    let ended = unsafe { ended.as_ref() };
    ended.filter(|_| LISTENING.forks.load(Ordering::Relaxed) == forks::count())
}

/// Counts a call that starts after the shutdown of the installed pipeline. To be called if there is
/// no [`current`] runtime.
#[inline]
pub(crate) fn count_later_call(parent: Parent) {
    if let Some(ended) = ended() {
        ended.count_later_call(parent);
    }
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

/// When a thread looks for global providers.
struct Looks {
    /// How many calls pass without a look, before the next one.
    left: Cell<u32>,
    /// The number of the next call that looks. Calls are counted from the last change.
    next: Cell<u32>,
    /// The generation that the thread saw last.
    generation: Cell<u32>,
}

impl Looks {
    /// The next call is the first one.
    const fn first() -> Self {
        Self {
            left: Cell::new(0),
            next: Cell::new(0),
            generation: Cell::new(0),
        }
    }

    /// Counts a call, unless it looks.
    #[inline]
    fn skip(&self, generation: u32) -> bool {
        let left = self.left.get();
        let skips = left > 0 && self.generation.get() == generation;
        if skips {
            self.left.set(left - 1);
        }
        skips
    }

    /// Starts to count the calls after one that looks, and returns its number.
    fn restart(&self, generation: u32) -> u32 {
        let call = if self.generation.replace(generation) == generation {
            self.next.get()
        } else {
            0
        };
        let gap = gap_after(call);
        self.left.set(gap - 1);
        // After the last number the period goes on as if it were the first full one.
        self.next.set(call.checked_add(gap).unwrap_or(METER_PERIOD));
        call
    }
}

/// The most calls of a thread between two looks for a global meter provider.
const METER_PERIOD: u32 = 64;
/// The same for a global tracer provider. This look is rarer because it allocates.
const TRACER_PERIOD: u32 = 4 * METER_PERIOD;
/// A thread looks often until this call.
const OFTEN: u32 = 16;
/// The most providers of a kind that a process reports to. A runtime is never freed, so this bounds
/// the memory of programs that replace their provider again and again.
const MAX_PROVIDERS: usize = 32;

/// Returns how many calls later a thread looks for a meter provider again. It looks often at first:
/// providers are usually set soon after the first calls, and no more calls are missed than were made
/// before.
const fn gap_after(call: u32) -> u32 {
    match call {
        0 => 1,
        1..METER_PERIOD => call,
        _ => METER_PERIOD,
    }
}

/// Makes the next annotated call of each thread look for the global providers.
///
/// Without it, a thread notices a meter provider that was set or replaced after at most 64 of its
/// calls, and a tracer provider that was set after at most 256. A tracer provider that was replaced
/// is noticed only with it. Programs that set their providers before the first annotated call, and
/// keep them, do not need it.
pub fn providers_changed() {
    LISTENING.generation.fetch_add(1, Ordering::Release);
}

/// Returns the runtime of programs that have not built one, once a global provider was found.
fn ambient() -> Option<&'static Runtime> {
    let generation = LISTENING.generation.load(Ordering::Acquire);
    if !LOOKS.with(|looks| looks.skip(generation)) {
        look(generation);
    }
    match metered() {
        Some(metered) => Some(&metered.runtime),
        None => tracer().map(|_| unmetered()),
    }
}

/// Looks for the global providers that are due.
#[cold]
fn look(generation: u32) {
    // Before looking, because a provider may make annotated calls.
    let call = LOOKS.with(|looks| looks.restart(generation));
    look_for_meters();
    if call < OFTEN || call.is_multiple_of(TRACER_PERIOD) {
        look_for_tracer(generation);
    }
}

fn metered() -> Option<&'static Metered> {
    #[expect(unsafe_code, reason = "an atomic reference has no safe form")]
    // SAFETY: the pointer is null or was stored by `look_for_meters`, which leaks what it points to.
    unsafe {
        LISTENING.metered.load(Ordering::Acquire).as_ref()
    }
}

fn tracer() -> Option<&'static BoxedTracer> {
    #[expect(unsafe_code, reason = "an atomic reference has no safe form")]
    // SAFETY: the pointer is null or was stored by `look_for_tracer`, which leaks what it points to.
    unsafe {
        LISTENING.tracer.load(Ordering::Acquire).as_ref()
    }
}

#[cold]
fn look_for_meters() {
    static FOUND: Mutex<usize> = Mutex::new(0);
    let provider = global::meter_provider();
    let is_known = metered().is_some_and(|known| Arc::ptr_eq(&known.provider, &provider));
    // The no-op provider, which is the default, has no fields.
    if is_known || size_of_val(&*provider) == 0 {
        return;
    }
    let Some(meter) = foreign(|| provider.meter_with_scope(metrics::scope())) else {
        return;
    };
    // Another thread that looks at the same time finds the same provider.
    let Ok(mut found) = FOUND.try_lock() else {
        return;
    };
    let is_known = metered().is_some_and(|known| Arc::ptr_eq(&known.provider, &provider));
    if is_known || *found == MAX_PROVIDERS {
        return;
    }
    *found += 1;
    let metered = Metered {
        runtime: Runtime::ambient(Some(Instruments::new(&meter, None))),
        provider,
    };
    let metered: &'static Metered = Box::leak(Box::new(metered));
    let metered = ptr::from_ref(metered).cast_mut();
    LISTENING.metered.store(metered, Ordering::Release);
}

#[cold]
fn look_for_tracer(generation: u32) {
    /// The tracers found so far, and the generation of the last one.
    static FOUND: Mutex<(usize, u32)> = Mutex::new((0, 0));
    let Ok(mut found) = FOUND.try_lock() else {
        return;
    };
    let is_known = tracer().is_some() && found.1 == generation;
    if is_known || found.0 == MAX_PROVIDERS {
        return;
    }
    if let Some(tracer) = find_tracer() {
        *found = (found.0 + 1, generation);
        let tracer: &'static BoxedTracer = Box::leak(Box::new(tracer));
        let tracer = ptr::from_ref(tracer).cast_mut();
        LISTENING.tracer.store(tracer, Ordering::Release);
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
        tracer().filter(|_| self.is_ambient)
    }
}
