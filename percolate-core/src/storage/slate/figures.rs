//! [`Figures`]: the values of SlateDB's own figures, which SlateDB changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::KeyValue;
use slatedb::compactor::stats as compactor;
use slatedb::db_stats as db;
use slatedb::instrumented_object_store_stats as object_store;
use slatedb::wal_buffer_stats as wal;
use slatedb_common::metrics::{CounterFn, GaugeFn, HistogramFn, MetricsRecorder, UpDownCounterFn};

use crate::otel::conventions::{attribute, metric};

/// One value of SlateDB: a metric of SlateDB, or the part of one that counts requests of a kind.
struct Figure {
    metric: &'static str,
    name: &'static str,
    /// The kind of the requests that it counts.
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
    /// Reports the values of a metric, with the kinds of requests that they count.
    pub(super) fn read(&self, metric: &str, report: &mut dyn FnMut(u64, Option<KeyValue>)) {
        for (figure, value) in FIGURES.iter().zip(&self.values) {
            if figure.metric == metric {
                let kind = figure.kind;
                let kind = kind.map(|kind| KeyValue::new(attribute::SLATEDB_REQUEST_KIND, kind));
                report(value.0.load(Ordering::Relaxed), kind);
            }
        }
    }

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
