//! The metric series of each call site.
//!
//! A [`Series`] is one site with one collection (or job target), namespace, system and address. It
//! holds the bound instruments of the successful outcome, and the interned names that records refer to.
//! If attributes of the context are listed for metrics, a series also has their values.
//! Series are found through a small per-thread cache, live as long as the process and are bounded:
//! past [`MAX_SERIES`], the calls of a site share its overflow series, whose measurements carry
//! `otel.metric.overflow`, and whose first call is reported. The address of a server is not on
//! metrics, so it does not exhaust them.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use opentelemetry::metrics::BoundHistogram;
use opentelemetry::{Context, Key, KeyValue};

use crate::aggregation::{Bounds, CellExemplar, HistogramData, Histograms, SeriesCells};
use crate::attributes::{AttributeValue, ON_METRICS};
use crate::call_values::{self, CallEnd, NameValues, at_start};
use crate::conventions::{JobStatus, attribute};
use crate::current_context::with_current;
use crate::details::Names;
use crate::metrics::Instruments;
use crate::name_bytes::{self, is_same};
use crate::outcome::Outcome;
use crate::probe::{Probe, probe_of};
use crate::shared_attributes::SharedAttributes;
use crate::site::{Site, SiteKind, span_name};

/// Metric series one runtime keeps; the SDK's own limit for one metric. As many series may differ in
/// their address only.
pub(crate) const MAX_SERIES: usize = 2000;
/// The longest name that a series keeps, in bytes. Calls with a longer collection, namespace, operation,
/// system or job target are measured in the overflow series; their spans have the whole name.
pub(crate) const MAX_NAME: usize = 1024;
/// The systems of one site whose overflow is measured separately.
const MAX_OVERFLOW_SYSTEMS: usize = 8;

/// One site with one set of names.
#[derive(Debug)]
pub(crate) struct Series {
    /// The key of its table.
    table: u64,
    pub(crate) site: &'static Site,
    /// An overflow series has at most the system. One copy for the records and the attributes of all
    /// metrics.
    names: Names<'static>,
    /// The name of spans that have no query summary.
    span_name: Cow<'static, str>,
    pub(crate) is_overflow: bool,
    is_measured: bool,
    is_measured_job: bool,
    attributes: Vec<KeyValue>,
    /// Those of `attributes` that are from the context.
    shared: Vec<KeyValue>,
    /// Empty if the runtime aggregates by itself, and after [`SeriesTable::release`].
    bound: RwLock<Bound>,
    /// The cells, if the runtime aggregates by itself. Nothing is bound then.
    own: Option<OwnSeries>,
    /// The place in the cache of each thread.
    slot: usize,
}

/// The instruments of a series. They are never waited for: a call that finds them locked measures
/// with unbound ones.
#[derive(Debug, Default)]
struct Bound {
    /// Bound by the first success, because a bound instrument is exported even without
    /// measurements.
    duration: Option<BoundHistogram<f64>>,
    /// Bound by the first call with a number of rows.
    rows: Option<BoundHistogram<u64>>,
}

/// A series of a runtime that aggregates by itself.
#[derive(Debug)]
struct OwnSeries {
    histograms: &'static Histograms,
    durations: &'static Bounds,
    /// Operations have rows, jobs do not.
    rows: Option<&'static Bounds>,
    cells: SeriesCells,
    /// The attributes of the durations of successful calls.
    successful: Vec<KeyValue>,
}

impl Series {
    fn new(
        table: &SeriesTable,
        site: &'static Site,
        (names, shared): (Names<'_>, &[KeyValue]),
        (hash, is_overflow): (u64, bool),
    ) -> Self {
        let names = kept(names);
        let mut attributes = Vec::with_capacity(6);
        let values = at_start(site, static_values(names));
        call_values::collect(site, ON_METRICS, &values, &[], &mut attributes);
        attributes.extend_from_slice(shared);
        if is_overflow {
            attributes.push(KeyValue::new(attribute::OTEL_METRIC_OVERFLOW, true));
        }
        let is_measured = site.def.metrics && table.is_measured;
        let mut series = Self {
            table: table.key,
            site,
            names,
            span_name: span_name(site, names, None),
            is_overflow,
            is_measured,
            is_measured_job: is_measured && site.def.site_kind == SiteKind::Job,
            attributes,
            shared: shared.to_vec(),
            bound: RwLock::default(),
            own: None,
            slot: slot_of(hash),
        };
        if let Some(histograms) = table.histograms.filter(|_| is_measured) {
            let success = Outcome::default();
            let end = CallEnd::new(&success, JobStatus::Success, 0);
            let kind = site.def.site_kind;
            series.own = Some(OwnSeries {
                histograms,
                durations: histograms.durations(kind),
                rows: (kind == SiteKind::Db).then(|| histograms.rows()),
                cells: histograms.cells(kind),
                successful: series.attributes_at(end),
            });
        }
        series
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `find`")]
    fn is(&self, table: u64, site: &'static Site, names: &Names<'_>) -> bool {
        self.measures(table, site, names)
            && is_same(self.names.server_address, names.server_address)
    }

    /// Whether it is the series of these names, and of these attributes of the context.
    fn is_with(
        &self,
        table: u64,
        site: &'static Site,
        names: &Names<'_>,
        shared: &[KeyValue],
    ) -> bool {
        self.is(table, site, names) && self.shared == shared
    }

    /// Whether the metrics of these names are those of this series. The address is on spans only.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `find`")]
    fn measures(&self, table: u64, site: &'static Site, names: &Names<'_>) -> bool {
        self.table == table
            && std::ptr::eq(self.site, site)
            && is_same(self.names.operation, names.operation)
            && is_same(self.names.target, names.target)
            && is_same(self.names.namespace, names.namespace)
            && is_same(self.names.system, names.system)
    }

    /// Whether calls with these names have names that the series does not have.
    pub(crate) fn lacks(&self, names: &Names<'_>) -> bool {
        self.is_overflow || (self.names.server_address.is_none() && names.server_address.is_some())
    }

    /// Whether running calls of this series are counted.
    pub(crate) fn is_measured_job(&self) -> bool {
        self.is_measured_job
    }

    /// Returns the probe for recorded leaf calls of the series.
    pub(crate) fn probe(&self) -> Option<&'static dyn Probe> {
        self.site.system(&self.names).and_then(probe_of)
    }

    /// The names of its calls; at most the system in an overflow series.
    pub(crate) fn names(&self) -> Names<'static> {
        self.names
    }

    /// The name of the span of a call with these names and this query summary.
    pub(crate) fn span_name(
        &'static self,
        names: Names<'_>,
        summary: Option<&str>,
    ) -> Cow<'static, str> {
        if summary.is_none() && !self.is_overflow {
            Cow::Borrowed(&self.span_name)
        } else {
            span_name(self.site, names, summary)
        }
    }

    /// The operation or the type of the job.
    pub(crate) fn operation(&self) -> &str {
        self.names.operation.unwrap_or(self.site.def.name)
    }

    /// The names as attribute values, which spans need not copy.
    pub(crate) fn name_values(&self) -> NameValues<'static> {
        static_values(self.names)
    }

    /// Measures with a bound instrument. Returns `false` if it is not bound yet, or locked.
    fn record<T>(
        &self,
        instrument: impl FnOnce(&Bound) -> &Option<BoundHistogram<T>>,
        value: T,
    ) -> bool {
        let Ok(bound) = self.bound.try_read() else {
            return false;
        };
        let instrument = instrument(&bound).as_ref();
        instrument
            .map(|instrument| instrument.record(value))
            .is_some()
    }

    /// The metric attributes of a call that ended like this.
    fn attributes_at(&self, end: CallEnd<'_>) -> Vec<KeyValue> {
        let mut attributes = self.attributes.clone();
        let values = call_values::at_end(end);
        call_values::collect(self.site, ON_METRICS, &values, &[], &mut attributes);
        attributes
    }
}

/// Returns a copy of the names that is kept until the process ends, as the series is.
fn kept(names: Names<'_>) -> Names<'static> {
    let kept = |name: &str| &*Box::leak(Box::<str>::from(name));
    Names {
        operation: names.operation.map(kept),
        system: names.system.map(kept),
        target: names.target.map(kept),
        namespace: names.namespace.map(kept),
        server_address: names.server_address.map(kept),
    }
}

fn static_values(names: Names<'static>) -> NameValues<'static> {
    NameValues {
        operation: names.operation.map(AttributeValue::Static),
        system: names.system.map(AttributeValue::Static),
        target: names.target.map(AttributeValue::Static),
        namespace: names.namespace.map(AttributeValue::Static),
        server_address: names.server_address.map(AttributeValue::Static),
    }
}

/// The series of one runtime.
#[derive(Debug)]
pub(crate) struct SeriesTable {
    /// The key that the quick look into a thread's cache compares. If the context has a part in the
    /// series, no series has this key, so that the look finds none.
    quick: u64,
    /// The key of its series.
    key: u64,
    /// The attributes of the context that measurements have too.
    listed: Vec<Key>,
    /// Whether there were instruments at first.
    is_measured: bool,
    /// `None` without a meter provider, and after [`release`](Self::release).
    instruments: RwLock<Option<Instruments>>,
    /// Aggregates durations and rows instead of the instruments.
    histograms: Option<&'static Histograms>,
    series: Mutex<HashMap<u64, Vec<&'static Series>>>,
    count: AtomicU64,
    /// Series that differ in what is on metrics.
    measured: AtomicU64,
}

const CACHE_SLOTS: usize = 64;
/// An odd number with which hashes are multiplied.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

thread_local! {
    static CACHE: [Cell<Option<&'static Series>>; CACHE_SLOTS] =
        const { [const { Cell::new(None) }; CACHE_SLOTS] };
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low bits choose the slot"
)]
fn slot_of(hash: u64) -> usize {
    hash as usize % CACHE_SLOTS
}

impl SeriesTable {
    /// With `histograms`, durations and rows are aggregated there and not by the instruments.
    /// `listed` are the attributes of the context that measurements have too.
    pub(crate) fn new(
        instruments: Option<Instruments>,
        histograms: Option<Histograms>,
        listed: Vec<Key>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let key = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            quick: if listed.is_empty() { key } else { 0 },
            key,
            listed,
            is_measured: instruments.is_some(),
            instruments: RwLock::new(instruments),
            histograms: histograms.map(|histograms| &*Box::leak(Box::new(histograms))),
            series: Mutex::default(),
            count: AtomicU64::new(0),
            measured: AtomicU64::new(0),
        }
    }

    /// Drops all instruments, which hold the tables of the meter provider. Later calls are not
    /// measured by them.
    #[cfg(feature = "pipeline")]
    pub(crate) fn release(&self) {
        let instruments = self.instruments.write();
        let instruments = instruments.unwrap_or_else(PoisonError::into_inner).take();
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        // A call that binds holds the lock of its series and then reads the instruments, so nothing
        // is bound after this.
        for series in series.values().flatten() {
            let bound = series.bound.write();
            *bound.unwrap_or_else(PoisonError::into_inner) = Bound::default();
        }
        drop(series);
        drop(instruments);
    }

    /// Calls `measure` with the instruments, unless there are none, or they are being released.
    fn with_instruments(&self, measure: impl FnOnce(&Instruments)) {
        if !self.is_measured {
            return;
        }
        if let Ok(instruments) = self.instruments.try_read()
            && let Some(instruments) = &*instruments
        {
            measure(instruments);
        }
    }

    /// Returns the series of these names at this site.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the way of every call that is measured"
    )]
    pub(crate) fn find(&self, site: &'static Site, names: &Names<'_>) -> &'static Series {
        let hash = hash(site, names);
        // The array has no destructor, so it is there as long as the thread.
        match CACHE.with(|cache| cache[slot_of(hash)].get()) {
            Some(series) if series.is(self.quick, site, names) => series,
            _ => self.find_and_cache(hash, site, names),
        }
    }

    #[cold]
    fn find_and_cache(&self, hash: u64, site: &'static Site, names: &Names<'_>) -> &'static Series {
        let (hash, shared) = self.shared(hash, site);
        if !shared.is_empty() {
            let cached = CACHE.with(|cache| cache[slot_of(hash)].get());
            let is_same = |series: &&Series| series.is_with(self.key, site, names, &shared);
            if let Some(series) = cached.filter(is_same) {
                return series;
            }
        }
        let series = self.find_or_add(hash, site, (names, &shared));
        if !series.is_overflow {
            CACHE.with(|cache| cache[slot_of(hash)].set(Some(series)));
        }
        series
    }

    /// Returns the attributes of the current context that measurements of `site` have too, and the hash
    /// of a series with them.
    fn shared(&self, hash: u64, site: &'static Site) -> (u64, Vec<KeyValue>) {
        if self.listed.is_empty() {
            return (hash, Vec::new());
        }
        let of = |cx: &Context| {
            let shared = SharedAttributes::of(cx)?;
            Some(shared.listed(&self.listed, site.def.custom))
        };
        let shared = with_current(of).unwrap_or_default();
        let with = |hash: u64, shared: &KeyValue| {
            (hash ^ name_bytes::hash(Some(&shared.value.as_str()))).wrapping_mul(SPREAD)
        };
        (shared.iter().fold(hash, with), shared)
    }

    fn find_or_add(
        &self,
        hash: u64,
        site: &'static Site,
        (names, shared): (&Names<'_>, &[KeyValue]),
    ) -> &'static Series {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = series.entry(hash).or_default();
        let is = |known: &&&Series, names| known.is_with(self.key, site, names, shared);
        if let Some(known) = bucket.iter().find(|known| is(known, names)) {
            return known;
        }
        // The address is not on metrics. Many addresses are one metric series.
        let measured = Names {
            server_address: None,
            ..*names
        };
        let is_known = bucket
            .iter()
            .any(|known| known.measures(self.key, site, &measured) && known.shared == shared);
        let has_room = |count: &AtomicU64| count.load(Ordering::Relaxed) < MAX_SERIES as u64;
        let fits = |name: Option<&str>| name.is_none_or(|name| name.len() <= MAX_NAME);
        let fit = fits(names.operation)
            && fits(names.target)
            && fits(names.namespace)
            && fits(names.system)
            && shared
                .iter()
                .all(|attribute| fits(Some(&attribute.value.as_str())));
        if fit && (is_known || has_room(&self.measured)) {
            let names = if has_room(&self.count) && fits(names.server_address) {
                names
            } else {
                &measured
            };
            if let Some(known) = bucket.iter().find(|known| is(known, names)) {
                return known;
            }
            self.count.fetch_add(1, Ordering::Relaxed);
            self.measured
                .fetch_add(u64::from(!is_known), Ordering::Relaxed);
            let added: &'static Series = Box::leak(Box::new(Series::new(
                self,
                site,
                (*names, shared),
                (hash, false),
            )));
            bucket.push(added);
            return added;
        }
        if bucket.is_empty() {
            series.remove(&hash);
        }
        // One overflow series for each site and system, and for each site one of further systems.
        let none = Names::default();
        let bucket = series
            .entry(self::hash(site, &none) ^ u64::MAX)
            .or_default();
        let of = |system: Option<&str>| {
            let is = |known: &&&Series| {
                std::ptr::eq(known.site, site) && is_same(known.names.system, system)
            };
            bucket.iter().find(is).copied()
        };
        let mut system = names.system.filter(|system| fits(Some(system)));
        if of(system).is_none() && bucket.len() >= MAX_OVERFLOW_SYSTEMS {
            system = None;
        }
        if let Some(known) = of(system) {
            return known;
        }
        let names = Names { system, ..none };
        let added: &'static Series = Box::leak(Box::new(Series::new(
            self,
            site,
            (names, &[]),
            (hash, true),
        )));
        let is_first = bucket.is_empty();
        bucket.push(added);
        // A `tracing` layer may make calls.
        drop(series);
        if is_first && added.is_measured {
            report_overflow(site, fit);
        }
        added
    }

    /// Changes the number of running jobs.
    pub(crate) fn job_active(&self, series: &'static Series, change: i64) {
        self.with_instruments(|instruments| {
            let job_type = KeyValue::new(attribute::JOB_TYPE, series.operation());
            instruments.job_active.add(change, &[job_type]);
        });
    }

    /// Changes the number of jobs in a queue.
    pub(crate) fn queue_length(&self, queue: &Arc<str>, change: i64) {
        self.with_instruments(|instruments| {
            instruments.queue_length.add(
                change,
                &[KeyValue::new(attribute::JOB_QUEUE_NAME, Arc::clone(queue))],
            );
        });
    }

    /// Records how long a job waited in a queue.
    pub(crate) fn queue_wait(&self, queue: &Arc<str>, waited: Duration) {
        let queue = || KeyValue::new(attribute::JOB_QUEUE_NAME, Arc::clone(queue));
        match &self.histograms {
            Some(histograms) if self.is_measured => histograms.record_wait(queue(), waited),
            _ => self.with_instruments(|instruments| {
                let waits = &instruments.queue_wait;
                waits.record(waited.as_secs_f64(), &[queue()]);
            }),
        }
    }

    /// Counts an unsampled call that was slow or failed.
    pub(crate) fn count_unsampled(&self, series: &Series, reason: &'static str) {
        self.with_instruments(|instruments| {
            let mut attributes = series.attributes.clone();
            attributes.push(KeyValue::new(attribute::PERCOLATE_REASON, reason));
            instruments.unsampled.add(1, &attributes);
        });
    }

    /// Measures one finished call. `exemplar` is the call if it is sampled, without a value.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the way of every call that is measured"
    )]
    pub(crate) fn measure(
        &self,
        series: &'static Series,
        outcome: &Outcome,
        (status, nanos): (JobStatus, u64),
        exemplar: Option<&CellExemplar>,
    ) {
        let Some(own) = &series.own else {
            if series.is_measured {
                self.measure_with_instruments(series, CallEnd::new(outcome, status, nanos));
            }
            return;
        };
        if let (Some(count), Some(rows)) = (outcome.returned_rows, own.rows) {
            let count = u64::try_from(count).unwrap_or(0);
            // Durations and rows have different halves of the cache.
            let slot = series.slot + CACHE_SLOTS;
            own.cells
                .rows
                .record(slot, (rows.bucket(count), count), exemplar);
        }
        if status == JobStatus::Success {
            let measured = (own.durations.bucket(nanos), nanos);
            own.cells.duration.record(series.slot, measured, exemplar);
        } else {
            measure_outcome(series, own, CallEnd::new(outcome, status, nanos), exemplar);
        }
    }

    /// Whether measurements keep sampled calls as exemplars.
    pub(crate) fn has_exemplars(&self) -> bool {
        self.histograms
            .is_some_and(|histograms| histograms.has_exemplars)
    }

    #[inline(never)]
    fn measure_with_instruments(&self, series: &Series, end: CallEnd<'_>) {
        let kind = series.site.def.site_kind;
        if let (Some(count), SiteKind::Db) = (end.returned_rows, kind) {
            let count = u64::try_from(count).unwrap_or(0);
            if !series.record(|bound| &bound.rows, count) {
                self.with_bound(series, |instruments, bound| {
                    let rows = &instruments.db_rows;
                    match bound.map(|bound| &mut bound.rows) {
                        Some(bound) => bound
                            .get_or_insert_with(|| rows.bind(&series.attributes))
                            .record(count),
                        None => rows.record(count, &series.attributes),
                    }
                });
            }
        }
        let seconds = end.duration().as_secs_f64();
        if !end.is_success() {
            self.with_instruments(|instruments| {
                let duration = instruments.duration(kind);
                duration.record(seconds, &series.attributes_at(end));
            });
        } else if !series.record(|bound| &bound.duration, seconds) {
            self.with_bound(series, |instruments, bound| {
                let (duration, attributes) =
                    (instruments.duration(kind), series.attributes_at(end));
                match bound.map(|bound| &mut bound.duration) {
                    Some(bound) => bound
                        .get_or_insert_with(|| duration.bind(&attributes))
                        .record(seconds),
                    None => duration.record(seconds, &attributes),
                }
            });
        }
    }

    /// Calls `measure` as [`with_instruments`](Self::with_instruments) does, with the bound
    /// instruments of the series unless they are locked.
    fn with_bound(&self, series: &Series, measure: impl FnOnce(&Instruments, Option<&mut Bound>)) {
        let mut bound = series.bound.try_write().ok();
        self.with_instruments(|instruments| measure(instruments, bound.as_deref_mut()));
    }

    /// Collects the histograms that the runtime aggregates by itself, for one of its readers.
    pub(crate) fn collect(&self, reader: usize) -> Vec<HistogramData> {
        let Some(histograms) = self.histograms else {
            return Vec::new();
        };
        let series: Vec<&'static Series> = {
            let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
            series.values().flatten().copied().collect()
        };
        let series = series.into_iter().filter_map(|series| {
            let own = series.own.as_ref()?;
            let kind = series.site.def.site_kind;
            Some((
                kind,
                &own.successful[..],
                &series.attributes[..],
                &own.cells,
            ))
        });
        histograms.collect(reader, series)
    }
}

/// Reports the first call of a site that is measured in an overflow series. `fits` is whether its
/// names are short enough for a series of its own.
#[cold]
fn report_overflow(site: &Site, fits: bool) {
    let name = site.def.name;
    let calls = if fits {
        format!("there are {MAX_SERIES} metric series, the limit: further calls of `{name}`")
    } else {
        format!("calls of `{name}` with names of more than {MAX_NAME} bytes")
    };
    tracing::warn!(
        target: "percolate::telemetry",
        "{calls} are measured together, in a series with `otel.metric.overflow`"
    );
}

/// Measures a call that did not succeed.
#[cold]
fn measure_outcome(
    series: &'static Series,
    own: &'static OwnSeries,
    end: CallEnd<'_>,
    exemplar: Option<&CellExemplar>,
) {
    let kind = series.site.def.site_kind;
    let attributes = series.attributes_at(end);
    let measured = (end.nanos, exemplar);
    own.histograms
        .record_outcome(&own.cells, kind, attributes, measured);
}

/// A hash of the site's address and of the target, operation and system. Equality compares everything.
#[inline]
fn hash(site: &'static Site, names: &Names<'_>) -> u64 {
    let site = std::ptr::from_ref(site).addr() as u64 >> 4;
    let target = name_bytes::hash(names.target);
    let operation = name_bytes::hash(names.operation);
    let system = name_bytes::hash(names.system);
    let names = target.rotate_left(20) ^ operation.rotate_left(41) ^ system.rotate_left(7);
    let mixed = (site ^ names).wrapping_mul(SPREAD);
    mixed ^ (mixed >> 32)
}
