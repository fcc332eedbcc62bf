//! The vector index of one embedded field in memory. Searches read it, writers update it together
//! with the store, and a rebuild replaces it. The stored vectors are in [`stored`](super::stored).
//!
//! A rebuild runs while searches use the old index and writers change it. During a rebuild, writers
//! note the ids of the vectors that they change. The rebuild reads these vectors again before it
//! puts the new index in place. Only this last step blocks searches and writers.

use std::collections::{HashMap, HashSet};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};
use std::time::Duration;

use uuid::Uuid;

use crate::index::vectors::{VectorError, VectorIndex};

/// The number of noted changes that may be left for the last step, which blocks writers.
const FEW: usize = 64;

/// The number of times that a rebuild catches up without blocking writers. After that, the last
/// step does the rest.
const ROUNDS: usize = 8;

/// How long a thread waits at a time for another one that loads the same index.
const WAIT: Duration = Duration::from_millis(10);

/// An index and the generation of the stored vectors in it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) index: Box<dyn VectorIndex>,
    pub(super) generation: Uuid,
}

/// An embedded field of a table and the place of its index.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) slot: Arc<Slot>,
}

/// The place of one field's index.
#[derive(Debug, Default)]
pub(super) struct Slot {
    state: RwLock<SlotState>,
    /// Held while the index is loaded, so that two threads do not load the same index. A rebuild
    /// does not hold it, because its progress callback may search.
    loading: Mutex<()>,
    /// Held while the file of the index is written.
    saving: Mutex<()>,
}

#[derive(Debug, Default)]
struct SlotState {
    loaded: Option<Loaded>,
    /// For each running rebuild, the ids of the vectors changed since it started.
    notes: HashMap<u64, HashSet<Uuid>>,
    /// The number of the next rebuild.
    next: u64,
}

/// The source of a new index.
pub(super) trait Source {
    type Error: From<VectorError>;

    /// Creates an index of the stored vectors. It need not contain changes made during the call.
    fn load(&mut self) -> Result<Box<dyn VectorIndex>, Self::Error>;

    /// Returns the stored vectors of these entities, in the order of the ids.
    fn vectors(&mut self, ids: &[Uuid]) -> Result<Vec<Option<Vec<f32>>>, Self::Error>;

    /// Called repeatedly while another thread loads the index. Its error ends the waiting.
    fn wait(&self) -> Result<(), Self::Error>;

    /// Returns the generation of the stored vectors.
    fn generation(&mut self) -> Result<Uuid, Self::Error>;
}

impl Slot {
    /// Returns the index, if it is in memory. Writers are blocked until the guard is dropped.
    pub(super) fn read(&self) -> Reading<'_> {
        Reading(self.state.read().unwrap_or_else(|poisoned| {
            drop(poisoned);
            drop(self.write());
            self.state.read().unwrap_or_else(PoisonError::into_inner)
        }))
    }

    /// Locks the index while stored vectors change. The caller reports the changes to the guard.
    pub(super) fn change(&self) -> Changing<'_> {
        Changing(self.write())
    }

    /// Locks the file of the index for writing.
    pub(super) fn save(&self) -> MutexGuard<'_, ()> {
        self.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the index into memory, unless it has been loaded in the meantime.
    pub(super) fn load<S: Source>(&self, source: &mut S) -> Result<(), S::Error> {
        let _loading = loop {
            match self.loading.try_lock() {
                Ok(loading) => break loading,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    source.wait()?;
                    std::thread::sleep(WAIT);
                }
            }
        };
        if self.read().loaded().is_none() {
            self.make(source)?;
        }
        Ok(())
    }

    /// Creates an index and puts it in place. Until then the old index is searched and kept up to
    /// date; it stays in place if this fails.
    pub(super) fn make<S: Source>(&self, source: &mut S) -> Result<(), S::Error> {
        loop {
            let notes = Notes::begin(self);
            let mut index = source.load()?;
            if notes.catch_up(&mut *index, source)? && notes.put_in_place(index, source)? {
                return Ok(());
            }
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, SlotState> {
        self.state.write().unwrap_or_else(|poisoned| {
            // A panic may have left the index half changed. It is loaded again from the stored
            // vectors.
            let mut state = poisoned.into_inner();
            state.loaded = None;
            state.notes.clear();
            self.state.clear_poison();
            state
        })
    }
}

/// Read access to an index.
pub(super) struct Reading<'a>(RwLockReadGuard<'a, SlotState>);

impl Reading<'_> {
    pub(super) fn loaded(&self) -> Option<&Loaded> {
        self.0.loaded.as_ref()
    }
}

/// Write access to an index while the store changes.
pub(super) struct Changing<'a>(RwLockWriteGuard<'a, SlotState>);

impl Changing<'_> {
    /// Notes the ids of the vectors that are about to change in the store.
    pub(super) fn note(&mut self, ids: impl IntoIterator<Item = Uuid>) {
        let ids: Vec<Uuid> = if self.0.notes.is_empty() {
            Vec::new()
        } else {
            ids.into_iter().collect()
        };
        for notes in self.0.notes.values_mut() {
            notes.extend(&ids);
        }
    }

    /// Removes the index from memory and makes running rebuilds start again.
    pub(super) fn forget(&mut self) {
        self.0.loaded = None;
        self.0.notes.clear();
    }

    /// Changes the index to a new generation. If that fails, removes the index from memory; it is
    /// loaded again when it is next needed.
    pub(super) fn apply(
        &mut self,
        generation: Uuid,
        change: impl FnOnce(&mut dyn VectorIndex) -> Result<(), VectorError>,
    ) {
        if let Some(loaded) = &mut self.0.loaded {
            loaded.generation = generation;
            if change(&mut *loaded.index).is_err() {
                self.0.loaded = None;
            }
        }
    }
}

/// The notes of writers for one rebuild. Dropping them ends the noting.
struct Notes<'a> {
    slot: &'a Slot,
    number: u64,
}

impl<'a> Notes<'a> {
    fn begin(slot: &'a Slot) -> Self {
        let mut state = slot.write();
        let number = state.next;
        state.next += 1;
        state.notes.insert(number, HashSet::new());
        drop(state);
        Self { slot, number }
    }

    /// Reads noted vectors again until few are left. Returns `false` if the notes were lost.
    fn catch_up<S: Source>(
        &self,
        index: &mut dyn VectorIndex,
        source: &mut S,
    ) -> Result<bool, S::Error> {
        for _ in 0..ROUNDS {
            let changed = match self.slot.write().notes.get_mut(&self.number) {
                None => return Ok(false),
                Some(changed) if changed.len() <= FEW => return Ok(true),
                Some(changed) => std::mem::take(changed),
            };
            read_again(index, changed, source)?;
        }
        Ok(true)
    }

    /// Blocks writers, reads the remaining noted vectors again and puts the index in place. Returns
    /// `false` if the notes were lost.
    fn put_in_place<S: Source>(
        &self,
        mut index: Box<dyn VectorIndex>,
        source: &mut S,
    ) -> Result<bool, S::Error> {
        let mut state = self.slot.write();
        let Some(changed) = state.notes.remove(&self.number) else {
            return Ok(false);
        };
        read_again(&mut *index, changed, source)?;
        let generation = source.generation()?;
        state.loaded = Some(Loaded { index, generation });
        Ok(true)
    }
}

impl Drop for Notes<'_> {
    fn drop(&mut self) {
        self.slot.write().notes.remove(&self.number);
    }
}

fn read_again<S: Source>(
    index: &mut dyn VectorIndex,
    changed: HashSet<Uuid>,
    source: &mut S,
) -> Result<(), S::Error> {
    if changed.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = changed.into_iter().collect();
    for (id, vector) in ids.iter().zip(source.vectors(&ids)?) {
        match vector {
            Some(vector) => index.set(*id, &vector)?,
            None => index.remove(*id)?,
        }
    }
    Ok(())
}
