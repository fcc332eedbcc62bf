//! What the process holds at one moment: memory by owner, descriptors and threads.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics, SumDataPoint};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use percolate_core::otel::testing::MetricCallback;

/// Keeps the sums of RocksDB's properties of the last export, in bytes, by metric.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures(Arc<Mutex<BTreeMap<String, i64>>>);

impl Figures {
    /// Returns an exporter that keeps the figures here.
    pub(super) fn exporter(&self) -> impl PushMetricExporter + use<> {
        let kept = Arc::clone(&self.0);
        MetricCallback::new(move |metrics| {
            let metrics = metrics.scope_metrics().flat_map(ScopeMetrics::metrics);
            let figures = metrics.filter_map(|metric| match metric.data() {
                AggregatedMetrics::I64(MetricData::Sum(sum)) => {
                    let sum = sum.data_points().map(SumDataPoint::value).sum();
                    Some((metric.name().to_owned(), sum))
                }
                _ => None,
            });
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = figures.collect();
        })
    }

    /// Returns a property in MiB, 0 if the last export did not have it.
    fn mib(&self, metric: &str) -> f64 {
        let figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = figures.get(metric).copied().unwrap_or_default();
        mib(usize::try_from(bytes).unwrap_or_default())
    }
}

/// Memory is in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    pub(super) seconds: f64,
    /// Resident memory that is not a copy of a file: without the pages of the program.
    pub(super) resident: f64,
    /// What the allocator has given out: the parts of RocksDB below, and the rest of the process.
    pub(super) allocated: f64,
    /// What was freed, and what the allocator did not return to the system.
    pub(super) kept: f64,
    pub(super) memory_tables: f64,
    pub(super) block_cache: f64,
    pub(super) table_readers: f64,
    pub(super) descriptors: f64,
    pub(super) threads: f64,
}

impl Parts {
    pub(super) fn now(since_begin: Duration, figures: &Figures) -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let field = |name: &str| -> f64 {
            let mut lines = status.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)).unwrap();
            value.split_whitespace().next().unwrap().parse().unwrap()
        };
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
        let heap = heap();
        Self {
            seconds: since_begin.as_secs_f64(),
            resident: field("RssAnon:") / 1024.0,
            allocated: mib(heap.uordblks + heap.hblkhd),
            kept: mib(heap.fordblks),
            memory_tables: figures.mib("rocksdb.memtable.size"),
            block_cache: figures.mib("rocksdb.block_cache.size"),
            table_readers: figures.mib("rocksdb.table_readers.size"),
            descriptors: f64::from(u32::try_from(descriptors).unwrap()),
            threads: field("Threads:"),
        }
    }

    /// What is allocated outside RocksDB's memory tables, block cache and open tables.
    pub(super) fn rest(&self) -> f64 {
        self.allocated - self.memory_tables - self.block_cache - self.table_readers
    }

    /// All values with their names.
    pub(super) fn values(&self) -> [(&'static str, f64); 9] {
        [
            ("resident MiB", self.resident),
            ("allocated MiB", self.allocated),
            ("memory tables MiB", self.memory_tables),
            ("block cache MiB", self.block_cache),
            ("table readers MiB", self.table_readers),
            ("rest MiB", self.rest()),
            ("kept MiB", self.kept),
            ("descriptors", self.descriptors),
            ("threads", self.threads),
        ]
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:4.0} s", self.seconds)?;
        for (name, value) in self.values() {
            write!(formatter, ", {name} {value:.1}")?;
        }
        Ok(())
    }
}

/// Returns what glibc's allocator has given out and kept, in all arenas.
#[expect(unsafe_code, reason = "the libc crate has no safe wrapper")]
fn heap() -> libc::mallinfo2 {
    // SAFETY: the function has no precondition. It locks each arena while it reads it.
    unsafe { libc::mallinfo2() }
}

/// Returns free memory to the system.
#[expect(unsafe_code, reason = "the libc crate has no safe wrapper")]
pub(super) fn trim() {
    // SAFETY: the function has no precondition. It locks each arena while it trims it.
    unsafe { libc::malloc_trim(0) };
}

#[expect(clippy::cast_precision_loss, reason = "a size for a person")]
fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
