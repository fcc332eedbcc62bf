//! SlateDB's own figures: values that SlateDB changes, and observable instruments that read them when
//! metrics are collected.
//!
//! The names are percolate's own, defined in `semconv/`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use slatedb::compactor::stats as compactor;
use slatedb::db_stats as db;
use slatedb::instrumented_object_store_stats as object_store;
use slatedb::wal_buffer_stats as wal;
use slatedb_common::metrics::{CounterFn, GaugeFn, HistogramFn, MetricsRecorder, UpDownCounterFn};

use super::store::SlateEngine;
use crate::otel::conventions::{self, MetricDef, attribute, metric};

/// One value of SlateDB: a metric of SlateDB, or the part of one that counts requests of a kind.
struct Figure {
    metric: &'static str,
    name: &'static str,
    kind: Option<&'static str>,
}

const fn figure(metric: &'static str, name: &'static str) -> Figure {
    Figure {
        metric,
        name,
        kind: None,
    }
}

const fn requests(kind: &'static str) -> Figure {
    Figure {
        metric: metric::SLATEDB_REQUESTS,
        name: object_store::REQUEST_COUNT,
        kind: Some(kind),
    }
}

const fn errors(kind: &'static str) -> Figure {
    Figure {
        metric: metric::SLATEDB_ERRORS,
        name: object_store::ERROR_COUNT,
        kind: Some(kind),
    }
}

/// The label of SlateDB with the kind of a request.
const KIND: &str = "op";

static FIGURES: [Figure; 12] = [
    requests("get"),
    requests("put"),
    requests("delete"),
    errors("get"),
    errors("put"),
    errors("delete"),
    figure(metric::SLATEDB_MEMTABLE, db::TOTAL_MEM_SIZE_BYTES),
    figure(metric::SLATEDB_L0, db::L0_SST_COUNT),
    figure(metric::SLATEDB_WAL_BYTES, wal::WAL_FLUSH_BYTES),
    figure(metric::SLATEDB_FLUSH_BYTES, db::L0_FLUSH_BYTES),
    figure(metric::SLATEDB_COMPACT_BYTES, compactor::BYTES_COMPACTED),
    figure(metric::SLATEDB_DELAYED, db::BACKPRESSURE_COUNT),
];

/// The values of an engine, which SlateDB changes.
#[derive(Default)]
pub(super) struct Figures {
    values: [Arc<Value>; FIGURES.len()],
}

impl Figures {
    /// Returns the value that belongs to a metric of SlateDB.
    fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<Arc<Value>> {
        let kind = labels.iter().find(|(label, _)| *label == KIND);
        let found = FIGURES.iter().zip(&self.values).find(|(figure, _)| {
            figure.name == name && (figure.kind.is_none() || figure.kind == kind.map(|kind| kind.1))
        });
        Some(Arc::clone(found?.1))
    }
}

#[derive(Default)]
struct Value(AtomicU64);

impl CounterFn for Value {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }
}

impl GaugeFn for Value {
    fn set(&self, value: i64) {
        let value = u64::try_from(value).unwrap_or_default();
        self.0.store(value, Ordering::Relaxed);
    }
}

/// A metric of SlateDB that is not exported.
struct Ignored;

impl CounterFn for Ignored {
    fn increment(&self, _value: u64) {}
}

impl GaugeFn for Ignored {
    fn set(&self, _value: i64) {}
}

impl UpDownCounterFn for Ignored {
    fn increment(&self, _value: i64) {}
}

impl HistogramFn for Ignored {
    fn record(&self, _value: f64) {}
}

impl MetricsRecorder for Figures {
    fn register_counter(
        &self,
        name: &str,
        _description: &str,
        labels: &[(&str, &str)],
    ) -> Arc<dyn CounterFn> {
        match self.find(name, labels) {
            Some(value) => value,
            None => Arc::new(Ignored),
        }
    }

    fn register_gauge(
        &self,
        name: &str,
        _description: &str,
        labels: &[(&str, &str)],
    ) -> Arc<dyn GaugeFn> {
        match self.find(name, labels) {
            Some(value) => value,
            None => Arc::new(Ignored),
        }
    }

    fn register_up_down_counter(
        &self,
        _name: &str,
        _description: &str,
        _labels: &[(&str, &str)],
    ) -> Arc<dyn UpDownCounterFn> {
        Arc::new(Ignored)
    }

    fn register_histogram(
        &self,
        _name: &str,
        _description: &str,
        _labels: &[(&str, &str)],
        _boundaries: &[f64],
    ) -> Arc<dyn HistogramFn> {
        Arc::new(Ignored)
    }
}

/// Registers the figures of a store with a meter, with the attributes `about`.
pub(super) fn register(engine: &Arc<SlateEngine>, meter: &Meter, about: &[KeyValue]) {
    let mut names: Vec<_> = FIGURES.iter().map(|figure| figure.metric).collect();
    names.dedup();
    for name in names {
        let known = conventions::METRICS.iter().find(|known| known.name == name);
        let Some(definition) = known else {
            continue;
        };
        let source = Source {
            engine: Arc::downgrade(engine),
            about: about.to_vec(),
            metric: name,
        };
        // The SDK keeps the callback; the handle is not needed.
        if definition.instrument == "counter" {
            register_counter(source, meter, definition);
        } else {
            register_value(source, meter, definition);
        }
    }
}

/// Where a callback finds the values of a metric. It does not keep the store open.
struct Source {
    engine: Weak<SlateEngine>,
    about: Vec<KeyValue>,
    metric: &'static str,
}

impl Source {
    fn observe<T>(&self, observer: &dyn AsyncInstrument<T>, convert: impl Fn(u64) -> T) {
        let Some(engine) = self.engine.upgrade() else {
            return;
        };
        for (figure, value) in FIGURES.iter().zip(&engine.figures.values) {
            if figure.metric != self.metric {
                continue;
            }
            let mut attributes = self.about.clone();
            if let Some(kind) = figure.kind {
                attributes.push(KeyValue::new(attribute::SLATEDB_REQUEST_KIND, kind));
            }
            observer.observe(convert(value.0.load(Ordering::Relaxed)), &attributes);
        }
    }
}

fn register_counter(source: Source, meter: &Meter, definition: &'static MetricDef) {
    _ = meter
        .u64_observable_counter(definition.name)
        .with_unit(definition.unit)
        .with_description(definition.brief)
        .with_callback(move |observer| source.observe(observer, |value| value))
        .build();
}

fn register_value(source: Source, meter: &Meter, definition: &'static MetricDef) {
    let signed = |value| i64::try_from(value).unwrap_or(i64::MAX);
    _ = meter
        .i64_observable_up_down_counter(definition.name)
        .with_unit(definition.unit)
        .with_description(definition.brief)
        .with_callback(move |observer| source.observe(observer, signed))
        .build();
}
