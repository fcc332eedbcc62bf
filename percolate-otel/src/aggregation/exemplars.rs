//! The sampled calls that the numbers of a cell point to.

use std::sync::OnceLock;

use super::atomics::{AtomicU64, Ordering};

/// A sampled call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CellExemplar {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
    /// When it was measured, as a [stamp](crate::clock::Reading::stamp).
    pub(crate) stamp: u64,
    pub(crate) value: u64,
}

/// The last sampled call of each place. The places are allocated by the first sampled call.
#[derive(Debug, Default)]
pub(crate) struct Exemplars(OnceLock<Box<[ExemplarSlot]>>);

#[derive(Debug, Default)]
struct ExemplarSlot {
    trace_id: [AtomicU64; 2],
    /// 0 if there is no exemplar.
    span_id: AtomicU64,
    stamp: AtomicU64,
    value: AtomicU64,
}

impl Exemplars {
    /// Allocates the places, unless there are some.
    pub(crate) fn prepare(&self, places: usize) {
        self.0.get_or_init(|| {
            std::iter::repeat_with(ExemplarSlot::default)
                .take(places)
                .collect()
        });
    }

    /// Keeps a call in a place that is allocated.
    pub(crate) fn keep(&self, place: usize, exemplar: CellExemplar) {
        if let Some(slot) = self.0.get().and_then(|slots| slots.get(place)) {
            slot.set(exemplar);
        }
    }

    /// Returns one for each place, or none at all.
    pub(crate) fn copy(&self) -> Vec<Option<CellExemplar>> {
        self.0
            .get()
            .map(|slots| slots.iter().map(ExemplarSlot::get).collect())
            .unwrap_or_default()
    }

    pub(crate) fn clear(&self) {
        for slot in self.0.get().into_iter().flatten() {
            slot.span_id.store(0, Ordering::Relaxed);
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
        store(&self.stamp, exemplar.stamp);
        store(&self.value, exemplar.value);
    }

    fn get(&self) -> Option<CellExemplar> {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let span_id = load(&self.span_id);
        (span_id != 0).then(|| CellExemplar {
            trace_id: u128::from(load(&self.trace_id[0])) << 64
                | u128::from(load(&self.trace_id[1])),
            span_id,
            stamp: load(&self.stamp),
            value: load(&self.value),
        })
    }
}

/// Adds exemplars to others. Of two of a place the later one is kept.
pub(crate) fn merge(mine: &mut Vec<Option<CellExemplar>>, theirs: &[Option<CellExemplar>]) {
    if mine.is_empty() {
        *mine = theirs.to_vec();
        return;
    }
    let stamp = |exemplar: &Option<CellExemplar>| exemplar.map(|exemplar| exemplar.stamp);
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        if stamp(theirs) > stamp(mine) {
            *mine = *theirs;
        }
    }
}
