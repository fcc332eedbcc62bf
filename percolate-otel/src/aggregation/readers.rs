//! [`Readers`]: who collects the histograms, and which interval a collection has.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::counts::CellCounts;

/// What the values of a collection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    /// All values since the start.
    Cumulative,
    /// The values since the last collection of the same reader.
    Delta,
}

/// The readers of a runtime.
#[derive(Debug)]
pub(crate) struct Readers {
    /// The temporality of each reader, and when it collected last.
    all: Vec<(Temporality, Mutex<Option<SystemTime>>)>,
    start: SystemTime,
}

/// A collection in progress. The next one of the same reader waits.
#[derive(Debug)]
pub(crate) struct Interval<'a> {
    pub(crate) reader: usize,
    pub(crate) temporality: Temporality,
    pub(crate) start: SystemTime,
    last: MutexGuard<'a, Option<SystemTime>>,
}

/// What was taken from the cells of a pool and is still needed, by reader: for delta temporality
/// what it has not collected, for cumulative temporality all.
pub(crate) type Waiting = Vec<Option<CellCounts>>;

impl Readers {
    pub(crate) fn new(temporalities: Vec<Temporality>) -> Self {
        Self {
            all: temporalities
                .into_iter()
                .map(|temporality| (temporality, Mutex::default()))
                .collect(),
            start: SystemTime::now(),
        }
    }

    /// Whether a reader has delta temporality. Collections then take the numbers of cells.
    pub(crate) fn has_delta(&self) -> bool {
        self.all
            .iter()
            .any(|(temporality, _)| *temporality == Temporality::Delta)
    }

    /// Begins a collection; `None` if there is no such reader.
    pub(crate) fn begin(&self, reader: usize) -> Option<Interval<'_>> {
        let (temporality, last) = self.all.get(reader)?;
        let last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let start = match temporality {
            Temporality::Cumulative => self.start,
            Temporality::Delta => last.unwrap_or(self.start),
        };
        Some(Interval {
            reader,
            temporality: *temporality,
            start,
            last,
        })
    }

    /// Adds what was taken from the cells, and returns what one reader collects.
    pub(crate) fn collect(
        &self,
        interval: &Interval<'_>,
        waiting: &mut Waiting,
        taken: CellCounts,
    ) -> CellCounts {
        if self.all.len() == 1 && interval.temporality == Temporality::Delta {
            return taken;
        }
        waiting.resize(self.all.len(), None);
        for counts in &mut *waiting {
            match counts {
                Some(counts) => counts.add(&taken),
                None => *counts = Some(taken.clone()),
            }
        }
        let mine = waiting.get_mut(interval.reader);
        let mine = mine.and_then(|counts| match interval.temporality {
            Temporality::Cumulative => counts.clone(),
            Temporality::Delta => counts.take(),
        });
        mine.unwrap_or(taken)
    }
}

impl Interval<'_> {
    /// Ends the collection. Returns its time, which is later than its start.
    pub(crate) fn end(mut self) -> SystemTime {
        let time = SystemTime::now().max(self.start + Duration::from_nanos(1));
        *self.last = Some(time);
        time
    }
}
