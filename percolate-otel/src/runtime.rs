//! What is listening: the [`Runtime`] that calls report to, and the gate that decides which calls are recorded.
//!
//! One runtime is installed for the process, or scoped to a thread (tests); without either the ambient one serves
//! foreign set-ups: metrics go to the global meter provider, spans to whatever `tracing` layers there are, and that
//! set-up samples. A runtime lives for the rest of the process once it was built, so that calls hold plain references.

use std::cell::Cell;
use std::num::NonZeroU128;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, global};

use super::metrics::{Instruments, Registry};
use super::record::Recorder;
pub use super::record::{Record, RecordSink};
pub use super::sampler::Sampler;
#[cfg(feature = "pipeline")]
pub use super::sdk::sdk_sink;
use super::site::{Parent, Site};
use super::unsampled::Reports;

/// What a [`Runtime`] is made of.
#[derive(Debug)]
pub struct RuntimeConfig {
    /// Where metrics go; none are recorded without it.
    pub meter_provider: Option<MeterProviderHandle>,
    /// Bounds of the duration histograms, in seconds; percolate's storage preset when empty.
    pub duration_bounds: Vec<f64>,
    /// Head sampling of recorded calls.
    pub sampler: Sampler,
    /// Where the records of finished calls go; without a sink, calls are seen by `tracing` layers alone.
    pub sink: Option<Box<dyn RecordSink>>,
    /// Whether `db.response.returned_rows` is recorded, which the conventions want to be a choice.
    pub returned_rows: bool,
    /// From which duration on an unsampled call is reported as slow; never when `None`.
    pub slow: Option<Duration>,
    /// Whether unsampled calls that fail are reported.
    pub report_failed: bool,
    /// Whether a reported call that was the root of its trace is also exported as a span.
    pub export_reported_roots: bool,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            meter_provider: None,
            duration_bounds: Vec::new(),
            sampler: Sampler::default(),
            sink: None,
            returned_rows: true,
            slow: None,
            report_failed: true,
            export_reported_roots: false,
        }
    }
}

/// A meter provider, shared.
#[derive(Clone)]
pub struct MeterProviderHandle(Arc<dyn MeterProvider + Send + Sync>);

impl MeterProviderHandle {
    /// Wraps a provider.
    pub fn new(provider: impl MeterProvider + Send + Sync + 'static) -> Self {
        Self(Arc::new(provider))
    }
}

impl std::fmt::Debug for MeterProviderHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MeterProviderHandle")
    }
}

/// What annotated calls report to.
#[derive(Debug)]
pub struct Runtime {
    pub(crate) registry: Registry,
    pub(crate) recorder: Option<Recorder>,
    sampler: Option<Sampler>,
    pub(crate) returned_rows: bool,
    pub(crate) reports: Reports,
}

impl Runtime {
    /// Builds a runtime. It, its metric series and what they refer to are kept until the process ends.
    ///
    /// # Errors
    /// When the background thread that converts records cannot be started.
    pub fn build(config: RuntimeConfig) -> std::io::Result<&'static Self> {
        let recorder = config.sink.map(Recorder::start).transpose()?;
        let instruments = config.meter_provider.map(|provider| {
            let lost = recorder.as_ref().map(Recorder::losses);
            Instruments::new(provider.0.as_ref(), &config.duration_bounds, lost)
        });
        let sampler = recorder.is_some().then_some(config.sampler);
        Ok(Box::leak(Box::new(Self {
            registry: Registry::new(instruments),
            recorder,
            sampler,
            returned_rows: config.returned_rows,
            reports: Reports::new(
                config.slow,
                config.report_failed,
                config.export_reported_roots,
            ),
        })))
    }

    /// Hands all finished spans of this runtime to its span processors.
    ///
    /// Returns `false` when that took longer than `timeout`. Flush the processors themselves afterwards.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.recorder
            .as_ref()
            .is_none_or(|recorder| recorder.flush(timeout))
    }

    /// Flushes, and ends the background thread that hands spans over. Spans of later calls are lost and counted;
    /// metrics go on.
    ///
    /// Returns `false` when that took longer than `timeout`.
    pub fn stop(&self, timeout: Duration) -> bool {
        self.recorder
            .as_ref()
            .is_none_or(|recorder| recorder.stop(timeout))
    }

    /// Spans that were lost because records were made faster than they could be handed over.
    pub fn dropped_spans(&self) -> u64 {
        self.recorder.as_ref().map_or(0, Recorder::dropped)
    }

    /// The way of a call that starts now.
    pub(crate) fn decide(&'static self, site: &'static Site) -> Decision {
        Context::map_current(|cx| {
            if cx.is_telemetry_suppressed() {
                return Decision::Suppressed;
            }
            let span = cx.span();
            let parent = span.span_context();
            let inherits = site.def.parent == Parent::Child;
            let Some(sampler) = &self.sampler else {
                // A foreign set-up samples by itself; only a parent's refusal is final here.
                return if inherits && parent.is_valid() && !parent.is_sampled() {
                    Decision::Unsampled
                } else {
                    Decision::Watched
                };
            };
            if inherits && parent.is_valid() {
                let sampled = if sampler.is_parent_based() {
                    parent.is_sampled()
                } else {
                    sampler.samples_root(parent.trace_id(), site, Some(cx))
                };
                return if sampled {
                    Decision::Sampled(Identity::child(parent))
                } else {
                    Decision::Unsampled
                };
            }
            if inherits && UNSAMPLED_ROOT.get().is_some() {
                return Decision::Unsampled;
            }
            let trace_id = new_trace_id();
            if sampler.samples_root(TraceId::from(trace_id.get()), site, None) {
                let link =
                    (site.def.parent == Parent::Link && parent.is_valid()).then(|| parent.clone());
                Decision::Sampled(Identity::root(trace_id).linked(link))
            } else {
                Decision::UnsampledRoot(trace_id)
            }
        })
    }
}

/// The gate's answer.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Telemetry is suppressed: nothing at all.
    Suppressed,
    /// Not recorded, as its parent is not.
    Unsampled,
    /// Not recorded; the calls inside follow. The trace id is kept for outgoing headers.
    UnsampledRoot(NonZeroU128),
    /// Recorded.
    Sampled(Identity),
    /// For `tracing` layers to decide.
    Watched,
}

/// The flag of W3C Trace Context Level 2 that says of a trace id that it is random, as those made here are.
pub(crate) const RANDOM_TRACE_ID: TraceFlags = TraceFlags::new(0x02);

/// The identity of a recorded call.
#[derive(Debug)]
pub(crate) struct Identity {
    trace_id: u128,
    span_id: u64,
    parent_span_id: u64,
    flags: TraceFlags,
    parent_is_remote: bool,
    /// What few identities have.
    more: Option<Box<MoreIdentity>>,
}

#[derive(Debug)]
struct MoreIdentity {
    trace_state: TraceState,
    link: Option<SpanContext>,
}

impl Identity {
    fn child(parent: &SpanContext) -> Self {
        let trace_state = parent.trace_state();
        let has_state = *trace_state != TraceState::NONE;
        Self {
            trace_id: u128::from_be_bytes(parent.trace_id().to_bytes()),
            span_id: new_id(),
            parent_span_id: u64::from_be_bytes(parent.span_id().to_bytes()),
            flags: parent.trace_flags() | TraceFlags::SAMPLED,
            parent_is_remote: parent.is_remote(),
            more: has_state.then(|| {
                Box::new(MoreIdentity {
                    trace_state: trace_state.clone(),
                    link: None,
                })
            }),
        }
    }

    pub(crate) fn root(trace_id: NonZeroU128) -> Self {
        Self {
            trace_id: trace_id.get(),
            span_id: new_id(),
            parent_span_id: 0,
            flags: TraceFlags::SAMPLED | RANDOM_TRACE_ID,
            parent_is_remote: false,
            more: None,
        }
    }

    fn linked(mut self, link: Option<SpanContext>) -> Self {
        if link.is_some() {
            self.more = Some(Box::new(MoreIdentity {
                trace_state: TraceState::NONE,
                link,
            }));
        }
        self
    }

    pub(crate) fn span_context(&self) -> SpanContext {
        SpanContext::new(
            TraceId::from(self.trace_id),
            SpanId::from(self.span_id),
            self.flags,
            false,
            self.more
                .as_ref()
                .map_or(TraceState::NONE, |more| more.trace_state.clone()),
        )
    }

    pub(crate) fn parent_span_id(&self) -> SpanId {
        SpanId::from(self.parent_span_id)
    }

    pub(crate) fn parent_is_remote(&self) -> bool {
        self.parent_is_remote
    }

    pub(crate) fn link(&self) -> Option<&SpanContext> {
        self.more.as_ref().and_then(|more| more.link.as_ref())
    }
}

// ---- which runtime is current ----

/// What every call looks at, together: the more of it lies apart, the more has to come from memory.
#[repr(align(64))]
struct Listening {
    installed: AtomicPtr<Runtime>,
    /// Scopes that are open on any thread.
    scopes: AtomicUsize,
    /// The runtime of foreign set-ups, once a global meter provider was set.
    ambient: OnceLock<Box<Runtime>>,
}

static LISTENING: Listening = Listening {
    installed: AtomicPtr::new(std::ptr::null_mut()),
    scopes: AtomicUsize::new(0),
    ambient: OnceLock::new(),
};

thread_local! {
    static SCOPED: Cell<Option<&'static Runtime>> = const { Cell::new(None) };
    static UNSAMPLED_ROOT: Cell<Option<NonZeroU128>> = const { Cell::new(None) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
    static AMBIENT_CALLS: Cell<u32> = const { Cell::new(0) };
}

/// A runtime is installed already.
#[derive(Debug, thiserror::Error)]
#[error("cannot install percolate's runtime: one is installed already; shut it down first")]
#[non_exhaustive]
pub struct AlreadyInstalled;

/// Makes `runtime` the process's own.
///
/// # Errors
/// [`AlreadyInstalled`] when there is one.
pub fn install(runtime: &'static Runtime) -> Result<(), AlreadyInstalled> {
    LISTENING
        .installed
        .compare_exchange(
            std::ptr::null_mut(),
            std::ptr::from_ref(runtime).cast_mut(),
            Ordering::AcqRel,
            Ordering::Acquire,
        )
        .map(drop)
        .map_err(|_| AlreadyInstalled)
}

/// Removes the process's runtime, if it is this one. Calls that are under way still report to it.
pub fn uninstall(runtime: &'static Runtime) {
    _ = LISTENING.installed.compare_exchange(
        std::ptr::from_ref(runtime).cast_mut(),
        std::ptr::null_mut(),
        Ordering::AcqRel,
        Ordering::Acquire,
    );
}

/// Makes `runtime` this thread's own until the guard is dropped. For tests: nothing global is touched.
#[must_use = "the scope ends when the guard is dropped"]
pub fn scope(runtime: Option<&'static Runtime>) -> ScopeGuard {
    LISTENING.scopes.fetch_add(1, Ordering::Relaxed);
    ScopeGuard {
        before: SCOPED.replace(runtime),
        not_send: std::marker::PhantomData,
    }
}

/// The runtime scoped to this thread, for carrying it into another one.
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
    not_send: std::marker::PhantomData<*const ()>,
}

impl Drop for ScopeGuard {
    fn drop(&mut self) {
        SCOPED.set(self.before);
        LISTENING.scopes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The runtime that calls on this thread report to; `None` when nothing listens but perhaps `tracing` layers.
#[inline]
pub(crate) fn current() -> Option<&'static Runtime> {
    if let Some(runtime) = scoped() {
        return Some(runtime);
    }
    let installed = LISTENING.installed.load(Ordering::Acquire);
    if !installed.is_null() {
        // SAFETY: only `install` stores a pointer, made from a `&'static Runtime`.
        #[expect(
            unsafe_code,
            reason = "an atomic reference without a lock on the way of every call"
        )]
        return Some(unsafe { &*installed });
    }
    ambient()
}

/// How many calls of a thread pass between two looks for a meter provider that was set globally meanwhile.
const AMBIENT_PERIOD: u32 = 64;

/// Whether the current context says that nothing inside it is to be recorded.
pub(crate) fn is_refused() -> bool {
    UNSAMPLED_ROOT.get().is_some()
        || Context::map_current(|cx| {
            let span = cx.span();
            let parent = span.span_context();
            cx.is_telemetry_suppressed() || (parent.is_valid() && !parent.is_sampled())
        })
}

/// The runtime of foreign set-ups, once a global meter provider was set.
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
    // The provider that does nothing has no state; one that collects has some.
    if size_of_val(&*provider) == 0 {
        return None;
    }
    Some(LISTENING.ambient.get_or_init(|| {
        Box::new(Runtime {
            registry: Registry::new(Some(Instruments::new(provider.as_ref(), &[], None))),
            recorder: None,
            sampler: None,
            returned_rows: true,
            reports: Reports::new(None, false, false),
        })
    }))
}

/// What serves a call that only `tracing` layers want.
pub(crate) fn layers_only() -> &'static Runtime {
    static LAYERS_ONLY: OnceLock<Runtime> = OnceLock::new();
    LAYERS_ONLY.get_or_init(|| Runtime {
        registry: Registry::new(None),
        recorder: None,
        sampler: None,
        returned_rows: true,
        reports: Reports::new(None, false, false),
    })
}

// ---- the unsampled root ----

/// The trace id of the unsampled root this thread is inside of, for outgoing headers and for carrying the state.
pub fn unsampled_root() -> Option<NonZeroU128> {
    UNSAMPLED_ROOT.get()
}

/// Sets (or clears) the state of being inside an unsampled root until the guard is dropped.
#[must_use = "the state is restored when the guard is dropped"]
pub fn enter_unsampled_root(trace_id: Option<NonZeroU128>) -> UnsampledGuard {
    UnsampledGuard {
        before: UNSAMPLED_ROOT.replace(trace_id),
        not_send: std::marker::PhantomData,
    }
}

/// Restores the state before [`enter_unsampled_root`] when dropped.
#[derive(Debug)]
pub struct UnsampledGuard {
    before: Option<NonZeroU128>,
    not_send: std::marker::PhantomData<*const ()>,
}

impl Drop for UnsampledGuard {
    fn drop(&mut self) {
        UNSAMPLED_ROOT.set(self.before);
    }
}

// ---- ids ----

/// The next 64 random bits of this thread (splitmix64 over a seed from the process's random hash keys).
fn random() -> u64 {
    let mut state = RANDOM.get();
    if state == 0 {
        use std::hash::{BuildHasher as _, RandomState};
        state = RandomState::new().hash_one(std::thread::current().id());
    }
    state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    RANDOM.set(state);
    let mut mixed = state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A random trace id.
pub fn new_trace_id() -> NonZeroU128 {
    loop {
        if let Some(id) = NonZeroU128::new((u128::from(random()) << 64) | u128::from(random())) {
            return id;
        }
    }
}

/// A random span id.
fn new_id() -> u64 {
    loop {
        let id = random();
        if id != 0 {
            return id;
        }
    }
}

/// A random span id.
pub fn new_span_id() -> SpanId {
    SpanId::from(new_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_repeat_on_a_thread_or_between_threads() {
        let mut ids: Vec<_> = (0..1000).map(|_| new_id()).collect();
        let other = std::thread::spawn(|| (0..1000).map(|_| new_id()).collect::<Vec<_>>());
        ids.extend(other.join().expect("it does not panic"));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 2000);
    }
}
