//! [`UnsampledCalls`]: the latest reported calls that were not sampled, for a page that lists them.
//! Invariant: the lists are bounded, and a call that finds them in use is counted instead of waiting.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::SystemTime;

/// The most slow calls, and the most failed ones.
const LISTED: usize = 100;

/// The reported calls: the slowest, and the latest failed ones.
#[derive(Debug, Default)]
pub struct UnsampledCalls {
    calls: Mutex<CallLists>,
    left_out: AtomicU64,
}

#[derive(Debug, Default)]
struct CallLists {
    /// The slowest first.
    slow: Vec<UnsampledReport>,
    failed: VecDeque<UnsampledReport>,
}

/// One reported call: names and times, and no data.
#[derive(Debug, Clone)]
pub struct UnsampledReport {
    /// Whether it failed. Otherwise it was slow.
    pub is_failed: bool,
    /// The operation or the type of the job.
    pub operation: String,
    /// The collection or the target of the job.
    pub target: String,
    /// The type of its error.
    pub error_type: Option<String>,
    /// Its duration in nanoseconds.
    pub nanos: u64,
    /// When it ended.
    pub end: SystemTime,
    /// Its trace id; `None` if it is not known.
    pub trace_id: Option<u128>,
}

impl UnsampledCalls {
    pub(crate) fn add(&self, call: UnsampledReport) {
        let mut lists = match self.calls.try_lock() {
            Ok(lists) => lists,
            Err(TryLockError::Poisoned(lists)) => lists.into_inner(),
            Err(TryLockError::WouldBlock) => return self.leave_out(),
        };
        let is_full = if call.is_failed {
            lists.failed.push_back(call);
            let is_full = lists.failed.len() > LISTED;
            if is_full {
                lists.failed.pop_front();
            }
            is_full
        } else {
            let at = lists
                .slow
                .partition_point(|slower| slower.nanos >= call.nanos);
            lists.slow.insert(at, call);
            let is_full = lists.slow.len() > LISTED;
            lists.slow.truncate(LISTED);
            is_full
        };
        self.left_out
            .fetch_add(u64::from(is_full), Ordering::Relaxed);
    }

    /// Counts a call that is reported but not listed.
    pub(crate) fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the listed calls, and the number of reported calls that are not listed.
    pub fn copy(&self) -> (Vec<UnsampledReport>, u64) {
        let lists = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = lists.failed.iter().rev();
        let calls = failed.chain(&lists.slow).cloned().collect();
        (calls, self.left_out.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_and_the_latest_failed_calls_are_listed_and_the_others_counted() {
        let calls = UnsampledCalls::default();
        for nanos in 0..150 {
            for is_failed in [false, true] {
                calls.add(UnsampledReport {
                    is_failed,
                    operation: "get".to_owned(),
                    target: "articles".to_owned(),
                    error_type: None,
                    nanos,
                    end: SystemTime::UNIX_EPOCH,
                    trace_id: None,
                });
            }
        }
        let (listed, left_out) = calls.copy();
        assert_eq!((listed.len(), left_out), (200, 100));
        let nanos = |is_failed| {
            let of = listed
                .iter()
                .filter(move |call| call.is_failed == is_failed);
            of.map(|call| call.nanos).collect::<Vec<_>>()
        };
        let expected: Vec<u64> = (50..150).rev().collect();
        assert_eq!(nanos(false), expected);
        assert_eq!(nanos(true), expected);
    }
}
