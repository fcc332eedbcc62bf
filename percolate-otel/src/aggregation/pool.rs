//! The cells of one histogram of one series, and which thread writes which.

use std::cell::{Cell as CellOf, RefCell};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cell::{Cell, Layout};
use super::counts::CellCounts;
use super::exemplars::CellExemplar;
use super::readers::{Interval, Readers, Waiting};

/// The most cells of one pool. More threads at the same time share a cell under a lock, so the
/// memory of a series is bounded.
pub(crate) const MAX_CELLS: usize = 64;

/// The cells of one histogram of one series. It is never freed, as the series that it belongs to.
#[derive(Debug)]
pub(crate) struct CellPool {
    layout: Layout,
    /// Whether collections take the numbers of cells.
    is_taken: bool,
    cells: Mutex<Cells>,
    /// Written under the lock, by threads that have no cell of their own.
    shared: Mutex<Option<Box<Cell>>>,
    /// Locked while a collection takes numbers.
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Cells {
    all: Vec<&'static Cell>,
    /// Those whose thread has ended.
    free: Vec<&'static Cell>,
}

/// The cells of one thread, by the address of their pool.
#[derive(Default)]
struct Owned(HashMap<usize, (&'static CellPool, &'static Cell)>);

impl Drop for Owned {
    fn drop(&mut self) {
        // Calls in later destructors of this thread must not use the cells any more.
        _ = CACHE.try_with(|cache| cache.iter().for_each(|place| place.set(None)));
        for (pool, cell) in self.0.values() {
            lock(&pool.cells).free.push(cell);
        }
    }
}

/// The places of a thread for the cells that it used last.
pub(crate) const CACHE_SLOTS: usize = 128;

type Cached = Option<(&'static CellPool, &'static Cell)>;

thread_local! {
    static OWNED: RefCell<Owned> = RefCell::default();
    static CACHE: [CellOf<Cached>; CACHE_SLOTS] =
        const { [const { CellOf::new(None) }; CACHE_SLOTS] };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records a value, with the sampled call that it was measured in.
#[inline]
fn record_in(cell: &Cell, (bucket, value): (usize, u64), exemplar: Option<&CellExemplar>) {
    match exemplar {
        Some(exemplar) => cell.record_sampled(bucket, CellExemplar { value, ..*exemplar }),
        None => cell.record(bucket, value),
    }
}

impl CellPool {
    /// Creates a pool, which is kept until the process ends.
    pub(crate) fn leak(layout: Layout, is_taken: bool) -> &'static Self {
        Box::leak(Box::new(Self {
            layout,
            is_taken,
            cells: Mutex::default(),
            shared: Mutex::default(),
            waiting: Mutex::default(),
        }))
    }

    /// Records a value in the cell of this thread. `slot` is the place of the pool in the cache of
    /// each thread.
    #[inline]
    pub(crate) fn record(
        &'static self,
        slot: usize,
        (bucket, value): (usize, u64),
        exemplar: Option<&CellExemplar>,
    ) {
        match self.mine(slot) {
            Some(cell) => record_in(cell, (bucket, value), exemplar),
            None => self.record_shared((bucket, value), exemplar),
        }
    }

    /// Returns the cell of this thread. `None` if the thread is ending, or if there are too many
    /// threads. `slot` is the place of the pool in the cache of each thread.
    #[inline]
    pub(crate) fn mine(&'static self, slot: usize) -> Option<&'static Cell> {
        let cached = CACHE.try_with(|cache| cache[slot % CACHE_SLOTS].get());
        match cached {
            Ok(Some((pool, cell))) if std::ptr::eq(pool, self) => Some(cell),
            _ => self.find(slot),
        }
    }

    #[cold]
    fn find(&'static self, slot: usize) -> Option<&'static Cell> {
        let cell = self.find_or_assign()?;
        _ = CACHE.try_with(|cache| cache[slot % CACHE_SLOTS].set(Some((self, cell))));
        Some(cell)
    }

    fn find_or_assign(&'static self) -> Option<&'static Cell> {
        let address = std::ptr::from_ref(self).addr();
        OWNED
            .try_with(|owned| {
                let mut owned = owned.try_borrow_mut().ok()?;
                if let Some((_, cell)) = owned.0.get(&address) {
                    return Some(*cell);
                }
                let cell = self.assign()?;
                owned.0.insert(address, (self, cell));
                Some(cell)
            })
            .ok()
            .flatten()
    }

    fn assign(&self) -> Option<&'static Cell> {
        let mut cells = lock(&self.cells);
        if let Some(cell) = cells.free.pop() {
            return Some(cell);
        }
        if cells.all.len() >= MAX_CELLS {
            return None;
        }
        let cell: &'static Cell = Box::leak(Box::new(self.new_cell()));
        cells.all.push(cell);
        Some(cell)
    }

    /// Records a value for a thread without a cell of its own.
    #[cold]
    pub(crate) fn record_shared(&self, measured: (usize, u64), exemplar: Option<&CellExemplar>) {
        let mut shared = lock(&self.shared);
        let cell = shared.get_or_insert_with(|| Box::new(self.new_cell()));
        record_in(cell, measured, exemplar);
    }

    fn new_cell(&self) -> Cell {
        Cell::new(self.layout, self.is_taken)
    }

    /// Returns what a reader collects of all cells together.
    pub(crate) fn collect(&self, readers: &Readers, interval: &Interval<'_>) -> CellCounts {
        if !self.is_taken {
            return self.of_cells();
        }
        let mut waiting = lock(&self.waiting);
        let taken = self.of_cells();
        readers.collect(interval, &mut waiting, taken)
    }

    /// Collects all cells.
    pub(crate) fn of_cells(&self) -> CellCounts {
        let cells = lock(&self.cells).all.clone();
        let mut counts = self.layout.empty();
        for cell in cells {
            counts.add(&cell.collect());
        }
        if let Some(cell) = &*lock(&self.shared) {
            counts.add(&cell.collect());
        }
        counts
    }

    /// Returns the number of cells that threads have or had.
    #[cfg(test)]
    pub(crate) fn cells(&self) -> usize {
        lock(&self.cells).all.len()
    }
}
