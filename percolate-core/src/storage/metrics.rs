//! The engines' own figures as observable instruments, which are read when metrics are collected: those
//! of one store, or of all open stores of the process.
//!
//! OpenTelemetry cannot remove an instrument. Instruments of all stores are therefore registered once
//! and read a list of the open stores. The invariants: reading a figure never closes a store, and closing
//! a store waits for the reading of one of its figures at most.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};

use super::engine::Engine;
use crate::otel::conventions::{METRICS, MetricDef, attribute};
use crate::otel::{LastFigure, keep_last_figures};

/// The engines whose figures [`register_metrics`] registers.
const SYSTEMS: &[&str] = &[
    super::rocks::SYSTEM,
    #[cfg(feature = "object-store")]
    super::slate::SYSTEM,
];

/// The most namespaces whose counters are kept when their stores are closed. Beyond it, counters of
/// another namespace begin at zero again.
const MOST_CLOSED: usize = 1000;

/// Registers the figures of all stores of this process with a meter provider: of those that are open when
/// the provider collects, whenever they were opened. To be called once for each provider.
///
/// The figures are those of [`Storage::register_metrics`](super::Storage::register_metrics), which
/// registers one store and whose instruments stay with the provider. A program that opens and closes
/// stores registers all of them once, which needs the same memory however many it opens.
///
/// Stores with the same namespace are added up. Several handles of one path have the sizes of the handle
/// that writes, or else of the latest one, and the counters of all. A store that is closed and opened
/// again continues its counters.
///
/// The child of a fork has the figures of the stores that it opens itself.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use percolate_core::storage::{self, Storage, StorageOptions};
///
/// storage::register_metrics(&*opentelemetry::global::meter_provider());
/// # let dir = tempfile::tempdir()?;
/// // Its figures are exported until it is closed.
/// let store = Storage::open(dir.path(), StorageOptions::new())?;
/// # Ok(())
/// # }
/// ```
pub fn register_metrics(provider: &(dyn MeterProvider + Send + Sync)) {
    let meter = meter(provider);
    for system in SYSTEMS {
        for definition in definitions(system) {
            register(&meter, definition, move |record| {
                observe_all(system, definition, record);
            });
        }
    }
}

fn meter(provider: &(dyn MeterProvider + Send + Sync)) -> Meter {
    provider.meter_with_scope(crate::otel::__private::scope())
}

/// Returns the definitions of the figures of an engine, whose names begin with that of the engine.
fn definitions(system: &str) -> impl Iterator<Item = &'static MetricDef> {
    METRICS
        .iter()
        .filter(move |metric| metric.name.split('.').next() == Some(system))
}

fn is_counter(definition: &MetricDef) -> bool {
    definition.instrument == "counter"
}

/// Receives the values of a figure, with their attributes.
type Record<'a> = dyn FnMut(u64, &[KeyValue]) + 'a;

/// Registers an instrument whose values `observe` reads.
fn register(
    meter: &Meter,
    definition: &'static MetricDef,
    observe: impl Fn(&mut Record<'_>) + Send + Sync + 'static,
) {
    // The SDK keeps the callbacks; the instruments are not needed.
    match (is_counter(definition), definition.unit) {
        (true, "s") => {
            _ = meter
                .f64_observable_counter(definition.name)
                .with_unit(definition.unit)
                .with_description(definition.brief)
                .with_callback(move |observer| {
                    observe(&mut |micros, attributes| {
                        observer.observe(seconds(micros), attributes);
                    });
                })
                .build();
        }
        (true, _) => {
            _ = meter
                .u64_observable_counter(definition.name)
                .with_unit(definition.unit)
                .with_description(definition.brief)
                .with_callback(move |observer| {
                    observe(&mut |count, attributes| observer.observe(count, attributes));
                })
                .build();
        }
        (false, _) => {
            _ = meter
                .i64_observable_up_down_counter(definition.name)
                .with_unit(definition.unit)
                .with_description(definition.brief)
                .with_callback(move |observer| {
                    observe(&mut |value, attributes| {
                        observer.observe(i64::try_from(value).unwrap_or(i64::MAX), attributes);
                    });
                })
                .build();
        }
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

/// Returns a value in the unit of its metric.
#[expect(clippy::cast_precision_loss, reason = "it is shown to people")]
fn in_unit(metric: &MetricDef, value: u64) -> f64 {
    if is_counter(metric) && metric.unit == "s" {
        seconds(value)
    } else {
        value as f64
    }
}

fn attributes(system: &'static str, namespace: &str, part: Option<KeyValue>) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new(attribute::DB_SYSTEM_NAME, system),
        KeyValue::new(attribute::DB_NAMESPACE, namespace.to_owned()),
    ];
    attributes.extend(part);
    attributes
}

/// An open store in the list of its process. Dropping it ends the figures of the store; the store keeps
/// its engine open for longer.
pub(super) struct Listed(Arc<Entry>);

struct Entry {
    system: &'static str,
    namespace: String,
    path: PathBuf,
    read_only: bool,
    /// The process that opened the store.
    process: u32,
    state: Mutex<State>,
}

enum State {
    Open(Arc<dyn Engine>),
    /// The last values of its counters.
    Closed(Vec<Counted>),
}

/// The value of a counter.
#[derive(Debug, Clone)]
struct Counted {
    metric: &'static str,
    part: Option<KeyValue>,
    value: u64,
}

impl Listed {
    /// Adds an open store to the list of this process.
    pub(super) fn new(
        engine: &Arc<dyn Engine>,
        namespace: &str,
        path: &Path,
        read_only: bool,
    ) -> Self {
        let entry = Arc::new(Entry {
            system: engine.system(),
            namespace: namespace.to_owned(),
            path: path.to_owned(),
            read_only,
            process: std::process::id(),
            state: Mutex::new(State::Open(Arc::clone(engine))),
        });
        if let Some(mut stores) = stores() {
            stores.open.push(Arc::clone(&entry));
        }
        Self(entry)
    }

    /// Registers the figures of this store with a meter provider.
    pub(super) fn register(&self, provider: &(dyn MeterProvider + Send + Sync)) {
        let meter = meter(provider);
        for definition in definitions(self.0.system) {
            // It keeps the names of the store, and the engine until the store is closed.
            let entry = Arc::clone(&self.0);
            register(&meter, definition, move |record| {
                if !entry.is_open() {
                    return;
                }
                entry.read(definition, &mut |value, part| {
                    record(value, &attributes(entry.system, &entry.namespace, part));
                });
            });
        }
    }
}

impl Entry {
    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    /// Returns whether the store is open, in this process.
    fn is_open(&self) -> bool {
        self.is_of_this_process() && matches!(&*self.lock(), State::Open(_))
    }

    /// Reads a figure: its value, or the last value of a counter of a store that is closed.
    fn read(&self, definition: &MetricDef, report: &mut dyn FnMut(u64, Option<KeyValue>)) {
        match &*self.lock() {
            State::Open(engine) => engine.read_metric(definition.name, report),
            State::Closed(counters) => {
                for counted in counters {
                    if counted.metric == definition.name {
                        report(counted.value, counted.part.clone());
                    }
                }
            }
        }
    }

    /// Reads all figures, for the page of a report that is written when the store is closed.
    fn last_figures(&self) -> Vec<LastFigure> {
        let mut figures = Vec::new();
        for metric in definitions(self.system) {
            self.read(metric, &mut |value, part| {
                let before = if is_counter(metric) {
                    stores().map_or(0, |stores| {
                        stores.counted_before(self, metric, part.as_ref())
                    })
                } else {
                    0
                };
                let value = value.saturating_add(before);
                figures.push(LastFigure {
                    metric,
                    attributes: attributes(self.system, &self.namespace, part),
                    value: in_unit(metric, value),
                });
            });
        }
        figures
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let entry = &self.0;
        // In the child of a fork, a thread of the parent may have held the locks.
        if !entry.is_of_this_process() {
            return;
        }
        keep_last_figures(|| entry.last_figures());
        let mut counters = Vec::new();
        let mut state = entry.lock();
        if let State::Open(engine) = &*state {
            for definition in definitions(entry.system).filter(|metric| is_counter(metric)) {
                engine.read_metric(definition.name, &mut |value, part| {
                    counters.push(Counted {
                        metric: definition.name,
                        part,
                        value,
                    });
                });
            }
        }
        *state = State::Closed(counters.clone());
        drop(state);
        if let Some(mut stores) = stores() {
            stores.close(entry, counters);
        }
    }
}

/// The open stores of one process, and the counters of those that were closed.
struct Stores {
    /// In the order in which they were opened.
    open: Vec<Arc<Entry>>,
    /// The sums of the counters by system and namespace.
    closed: BTreeMap<(&'static str, String), Vec<Counted>>,
}

impl Stores {
    /// Returns what the closed stores of this namespace have counted.
    fn counted_before(&self, entry: &Entry, metric: &MetricDef, part: Option<&KeyValue>) -> u64 {
        let group = (entry.system, entry.namespace.clone());
        let counters = self.closed.get(&group);
        let counted = counters.into_iter().flatten();
        counted
            .filter(|counted| counted.metric == metric.name && counted.part.as_ref() == part)
            .map(|counted| counted.value)
            .sum()
    }

    /// Removes a store, and keeps its counters.
    fn close(&mut self, entry: &Arc<Entry>, counters: Vec<Counted>) {
        self.open.retain(|open| !Arc::ptr_eq(open, entry));
        let group = (entry.system, entry.namespace.clone());
        if self.closed.len() >= MOST_CLOSED && !self.closed.contains_key(&group) {
            self.closed.pop_first();
        }
        let sums = self.closed.entry(group).or_default();
        for counted in counters {
            let known = sums
                .iter_mut()
                .find(|sum| sum.metric == counted.metric && sum.part == counted.part);
            match known {
                Some(sum) => sum.value += counted.value,
                None => sums.push(counted),
            }
        }
    }
}

/// The list of one process. The child of a fork has a copy of its parent's, whose lock a thread of the
/// parent may have held, so it uses another one.
struct OfProcess {
    /// The id of the process, 0 if there is none.
    process: AtomicU32,
    stores: Mutex<Stores>,
}

/// As many as there are processes between the first one and the last of its descendants that use stores.
static PROCESSES: [OfProcess; 16] = [const {
    OfProcess {
        process: AtomicU32::new(0),
        stores: Mutex::new(Stores {
            open: Vec::new(),
            closed: BTreeMap::new(),
        }),
    }
}; 16];

/// Returns the stores of this process. `None` if its ancestors have used all places.
fn stores() -> Option<MutexGuard<'static, Stores>> {
    let here = std::process::id();
    let order = Ordering::Relaxed;
    let is_ours = |place: &&OfProcess| {
        let taken = place.process.compare_exchange(0, here, order, order);
        taken.is_ok() || taken == Err(here)
    };
    let place = PROCESSES.iter().find(is_ours)?;
    Some(place.stores.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Reads a figure of all open stores.
fn observe_all(system: &'static str, definition: &MetricDef, record: &mut Record<'_>) {
    let (open, closed) = {
        let Some(stores) = stores() else { return };
        let open = stores.open.iter().filter(|entry| entry.system == system);
        let open: Vec<_> = open.cloned().collect();
        let closed = if is_counter(definition) {
            open.iter()
                .filter_map(|entry| {
                    let group = (system, entry.namespace.clone());
                    stores.closed.get_key_value(&group)
                })
                .map(|((_, namespace), counters)| (namespace.clone(), counters.clone()))
                .collect()
        } else {
            HashMap::new()
        };
        (open, closed)
    };
    // A store that is closed meanwhile still has the last values of its counters.
    let mut sums = HashMap::<(&str, Option<KeyValue>), u64>::new();
    for (namespace, counters) in &closed {
        for counted in counters {
            if counted.metric == definition.name {
                sums.insert((namespace, counted.part.clone()), counted.value);
            }
        }
    }
    let read = if is_counter(definition) {
        open.iter().collect()
    } else {
        one_of_each_path(&open)
    };
    for entry in read {
        entry.read(definition, &mut |value, part| {
            let sum = sums.entry((&entry.namespace, part)).or_default();
            *sum = sum.saturating_add(value);
        });
    }
    for ((namespace, part), sum) in sums {
        record(sum, &attributes(system, namespace, part));
    }
}

/// Returns one handle of each path: the one that writes, or else the latest.
fn one_of_each_path(open: &[Arc<Entry>]) -> Vec<&Arc<Entry>> {
    let mut handles = HashMap::<(&str, &Path), &Arc<Entry>>::new();
    for entry in open {
        let handle = handles
            .entry((&entry.namespace, &entry.path))
            .or_insert(entry);
        if handle.read_only || !entry.read_only {
            *handle = entry;
        }
    }
    handles.into_values().collect()
}

#[cfg(all(test, feature = "testing"))]
mod tests;
