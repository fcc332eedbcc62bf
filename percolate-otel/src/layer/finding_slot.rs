//! The findings of one call site: the case, the subject, a count and two examples, without any
//! words.

use std::sync::{Mutex, PoisonError};

use super::cases::Case;
use super::seen::Seen;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Span,
    /// An index into the fields of the call site.
    Field(u8),
    /// An index into [`CallSite::missing`](super::call_site::CallSite::missing).
    Missing(u8),
    /// A name that is known where the case is reported.
    Known(&'static str),
}

/// One finding of a call site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FindingSlot {
    pub(crate) case: Case,
    pub(crate) subject: Subject,
    pub(crate) count: u64,
    pub(crate) first: Seen,
    pub(crate) last: Seen,
}

/// The findings of one call site.
#[derive(Debug, Default)]
pub(crate) struct FindingSlots(Mutex<Vec<FindingSlot>>);

impl FindingSlots {
    /// Counts a finding. Returns the slot if it is the first of its case and subject.
    pub(crate) fn add(&self, case: Case, subject: Subject, seen: Seen) -> Option<FindingSlot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots
            .iter_mut()
            .find(|slot| slot.case == case && slot.subject == subject)
        {
            slot.count += 1;
            slot.last = seen;
            return None;
        }
        let slot = FindingSlot {
            case,
            subject,
            count: 1,
            first: seen,
            last: seen,
        };
        slots.push(slot);
        Some(slot)
    }

    /// Returns a copy of the findings.
    pub(crate) fn copy(&self) -> Vec<FindingSlot> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Removes all findings.
    pub(crate) fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
