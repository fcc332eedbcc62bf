//! The vector index of one embedded field in memory: searches read it, writers keep it in step with the store, and a
//! new one takes its place. What the store holds is the business of [`vectors`](super).
//!
//! A new index is made beside the old one and beside writers. As long as it is being made, writers note whose vectors
//! they change; whoever makes it reads those again before putting it in place. Nobody waits but for that last step.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use uuid::Uuid;

use crate::index::vectors::{VectorError, VectorIndex};

/// How many noted changes may be left for the last step, while writers wait.
const FEW: usize = 64;

/// How often the maker catches up beside writers. One that never comes near does the rest while they wait.
const ROUNDS: usize = 8;

/// An index and the generation of the stored vectors that it holds.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) index: Box<dyn VectorIndex>,
    pub(super) generation: Uuid,
}

/// The place of one field's index.
#[derive(Debug, Default)]
pub(super) struct Slot {
    state: RwLock<State>,
    /// Held by whoever brings the index into memory: a second one would bring the same. Not by whoever makes it anew,
    /// whose progress is told to somebody who may want to search.
    loading: Mutex<()>,
    /// Held by whoever writes the file of the index.
    saving: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    loaded: Option<Loaded>,
    /// For each index that is being made, whose vectors have changed since it was begun.
    notes: HashMap<u64, HashSet<Uuid>>,
    /// What the next of them is known by.
    next: u64,
}

/// Where a new index comes from.
pub(super) trait Source {
    type Error: From<VectorError>;

    /// An index of what is stored. Changes meanwhile need not be in it.
    fn load(&mut self) -> Result<Box<dyn VectorIndex>, Self::Error>;

    /// The stored vectors of these entities, in their order.
    fn vectors(&mut self, ids: &[Uuid]) -> Result<Vec<Option<Vec<f32>>>, Self::Error>;

    /// The generation of the stored vectors.
    fn generation(&mut self) -> Result<Uuid, Self::Error>;
}

impl Slot {
    /// The index, if one is in memory. Writers wait until the guard is dropped.
    pub(super) fn read(&self) -> Reading<'_> {
        Reading(self.state.read().unwrap_or_else(|poisoned| {
            drop(poisoned);
            drop(self.write());
            self.state.read().unwrap_or_else(PoisonError::into_inner)
        }))
    }

    /// Keeps the index as it is while stored vectors change; what changes is told to the guard.
    pub(super) fn change(&self) -> Changing<'_> {
        Changing(self.write())
    }

    /// Allows one to write the file of the index.
    pub(super) fn save(&self) -> MutexGuard<'_, ()> {
        self.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings an index into memory, unless one is there by now.
    pub(super) fn load<S: Source>(&self, source: &mut S) -> Result<(), S::Error> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if self.read().loaded().is_none() {
            self.make(source)?;
        }
        Ok(())
    }

    /// Makes an index and puts it in place. The old one is searched and kept in step until then, and stays if this
    /// fails.
    pub(super) fn make<S: Source>(&self, source: &mut S) -> Result<(), S::Error> {
        loop {
            let notes = Notes::begin(self);
            let mut index = source.load()?;
            if notes.catch_up(&mut *index, source)? && notes.put_in_place(index, source)? {
                return Ok(());
            }
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(|poisoned| {
            // A panic may have left an index half changed: the stored vectors make it anew.
            let mut state = poisoned.into_inner();
            state.loaded = None;
            state.notes.clear();
            self.state.clear_poison();
            state
        })
    }
}

/// Sees an index as it is.
pub(super) struct Reading<'a>(RwLockReadGuard<'a, State>);

impl Reading<'_> {
    pub(super) fn loaded(&self) -> Option<&Loaded> {
        self.0.loaded.as_ref()
    }
}

/// Changes an index along with the store.
pub(super) struct Changing<'a>(RwLockWriteGuard<'a, State>);

impl Changing<'_> {
    /// Says whose vectors are about to change in the store.
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

    /// Forgets the index, and has those that are being made begun again.
    pub(super) fn forget(&mut self) {
        self.0.loaded = None;
        self.0.notes.clear();
    }

    /// Brings the index to a new generation. One that fails is forgotten, and made anew when next needed.
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

/// Has writers note what they change, until it is dropped.
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

    /// Reads again what was noted until little is left. `false` when the notes are lost.
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

    /// Reads again the rest, while writers wait, and puts the index in place. `false` when the notes are lost.
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
