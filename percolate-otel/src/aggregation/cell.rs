//! A histogram that one thread writes and any thread reads, without a lock.
//!
//! The writer makes the version odd, changes the numbers, and makes the version even. A reader that
//! sees an odd version, or another one after it has read, reads again. So a reader sees all of a
//! measurement or nothing of it, and a writer never waits.
//!
//! `tests/loom` includes this file with atomics that try every order.

use std::sync::OnceLock;

use super::atomics::{AtomicU64, Ordering, fence, wait};

/// How often a reader tries before it lets other threads run.
const SPINS: u32 = 64;

/// The numbers of a histogram.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Odd while the writer changes the numbers.
    version: AtomicU64,
    sum: AtomicU64,
    minimum: AtomicU64,
    maximum: AtomicU64,
    buckets: Box<[AtomicU64]>,
    /// The last sampled call of each bucket. Allocated by the first sampled call.
    exemplars: OnceLock<Box<[ExemplarSlot]>>,
}

/// The numbers of a cell at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CellCounts {
    pub(crate) sum: u64,
    /// Larger than the maximum if nothing was recorded.
    pub(crate) minimum: u64,
    pub(crate) maximum: u64,
    pub(crate) buckets: Vec<u64>,
    /// One for each bucket, or none at all.
    pub(crate) exemplars: Vec<Option<CellExemplar>>,
}

/// A sampled call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CellExemplar {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
    /// Nanoseconds since the Unix epoch.
    pub(crate) time: u64,
    pub(crate) value: u64,
}

#[derive(Debug, Default)]
struct ExemplarSlot {
    trace_id: [AtomicU64; 2],
    /// 0 if there is no exemplar.
    span_id: AtomicU64,
    time: AtomicU64,
    value: AtomicU64,
}

impl Cell {
    pub(crate) fn new(buckets: usize) -> Self {
        Self {
            version: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            minimum: AtomicU64::new(u64::MAX),
            maximum: AtomicU64::new(0),
            buckets: std::iter::repeat_with(AtomicU64::default)
                .take(buckets)
                .collect(),
            exemplars: OnceLock::new(),
        }
    }

    /// Records a value. Two threads must not record in a cell at the same time; counts would be
    /// lost.
    #[inline]
    pub(crate) fn record(&self, bucket: usize, value: u64) {
        self.write(|| self.add(bucket, value));
    }

    /// Records a value of a sampled call, as [`record`](Self::record) does.
    pub(crate) fn record_sampled(&self, bucket: usize, exemplar: CellExemplar) {
        let slots = self.exemplars.get_or_init(|| {
            std::iter::repeat_with(ExemplarSlot::default)
                .take(self.buckets.len())
                .collect()
        });
        self.write(|| {
            self.add(bucket, exemplar.value);
            if let Some(slot) = slots.get(bucket) {
                slot.set(exemplar);
            }
        });
    }

    #[inline]
    fn write(&self, change: impl FnOnce()) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        // No change becomes visible before the odd version.
        fence(Ordering::Release);
        change();
        // All changes become visible before the even version.
        self.version.store(version + 2, Ordering::Release);
    }

    #[inline]
    fn add(&self, bucket: usize, value: u64) {
        let add = |number: &AtomicU64, value: u64| {
            let sum = number.load(Ordering::Relaxed).wrapping_add(value);
            number.store(sum, Ordering::Relaxed);
        };
        if let Some(bucket) = self.buckets.get(bucket) {
            add(bucket, 1);
        }
        add(&self.sum, value);
        if value < self.minimum.load(Ordering::Relaxed) {
            self.minimum.store(value, Ordering::Relaxed);
        }
        if value > self.maximum.load(Ordering::Relaxed) {
            self.maximum.store(value, Ordering::Relaxed);
        }
    }

    /// Returns the numbers at one moment.
    pub(crate) fn read(&self) -> CellCounts {
        for attempt in 1_u32.. {
            let before = self.version.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let counts = self.copy();
                // No number is read after the second version.
                fence(Ordering::Acquire);
                if self.version.load(Ordering::Relaxed) == before {
                    return counts;
                }
            }
            wait(attempt.is_multiple_of(SPINS));
        }
        self.copy()
    }

    fn copy(&self) -> CellCounts {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let exemplars = self.exemplars.get();
        CellCounts {
            sum: load(&self.sum),
            minimum: load(&self.minimum),
            maximum: load(&self.maximum),
            buckets: self.buckets.iter().map(load).collect(),
            exemplars: exemplars
                .map(|slots| slots.iter().map(ExemplarSlot::get).collect())
                .unwrap_or_default(),
        }
    }
}

impl ExemplarSlot {
    fn set(&self, exemplar: CellExemplar) {
        let store = |number: &AtomicU64, value| number.store(value, Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, reason = "the halves of the id")]
        let halves = [(exemplar.trace_id >> 64) as u64, exemplar.trace_id as u64];
        store(&self.trace_id[0], halves[0]);
        store(&self.trace_id[1], halves[1]);
        store(&self.span_id, exemplar.span_id);
        store(&self.time, exemplar.time);
        store(&self.value, exemplar.value);
    }

    fn get(&self) -> Option<CellExemplar> {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let span_id = load(&self.span_id);
        (span_id != 0).then(|| CellExemplar {
            trace_id: u128::from(load(&self.trace_id[0])) << 64
                | u128::from(load(&self.trace_id[1])),
            span_id,
            time: load(&self.time),
            value: load(&self.value),
        })
    }
}

impl CellCounts {
    pub(crate) fn empty(buckets: usize) -> Self {
        Self {
            sum: 0,
            minimum: u64::MAX,
            maximum: 0,
            buckets: vec![0; buckets],
            exemplars: Vec::new(),
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds the numbers of another cell. Of two exemplars of a bucket the later one is kept.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += more;
        }
        if self.exemplars.is_empty() {
            self.exemplars.clone_from(&other.exemplars);
        } else {
            for (mine, theirs) in self.exemplars.iter_mut().zip(&other.exemplars) {
                let time = |exemplar: &Option<CellExemplar>| exemplar.map(|exemplar| exemplar.time);
                if time(theirs) > time(mine) {
                    *mine = *theirs;
                }
            }
        }
    }
}
