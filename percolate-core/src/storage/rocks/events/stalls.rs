//! The write stalls of one store, from changes that RocksDB reports late and out of order.
//!
//! A write that stalls itself reports the begin of the stall when it ends, after it has waited;
//! meanwhile a flush reports the end. Each change has the time at which it happened, so changes wait a
//! little and are then applied in the order of their times.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::event::{Condition, FamilyName, StallCause};
use crate::otel::LinkTarget;

/// One change of the condition of a family.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) at: Instant,
    pub(super) from: Condition,
    pub(super) to: Condition,
    pub(super) cause: Option<StallCause>,
    /// The span of the stall that begins.
    pub(super) span: Option<LinkTarget>,
}

/// How long a change waits for those that happened before it: as long as a thread needs to report
/// them on a busy machine.
pub(super) const SETTLE: Duration = Duration::from_millis(200);

/// How inexact the times are: a compaction reports a change after it has deleted its files. Changes
/// that are as close as this are ordered by their conditions.
const SLACK: Duration = Duration::from_millis(2);

/// The most changes of a family that wait.
const MOST_WAITING: usize = 64;

/// The stalls of the families. `Running` is what a stall has from its begin to its end.
pub(super) struct Stalls<Running> {
    families: HashMap<FamilyName, FamilyStalls<Running>>,
}

struct FamilyStalls<Running> {
    condition: Condition,
    running: Option<Running>,
    /// Changes that are not applied, with the times at which they were reported.
    waiting: Vec<(Instant, Change)>,
}

impl<Running> Stalls<Running> {
    pub(super) fn new() -> Self {
        Self {
            families: HashMap::new(),
        }
    }

    /// Adds a change that is reported `now`.
    pub(super) fn add(&mut self, family: FamilyName, change: Change, now: Instant) {
        let stalls = self.families.entry(family).or_insert_with(|| FamilyStalls {
            condition: Condition::Normal,
            running: None,
            waiting: Vec::new(),
        });
        stalls.waiting.push((now, change));
    }

    /// Returns whether changes wait.
    pub(super) fn is_waiting(&self) -> bool {
        self.families
            .values()
            .any(|stalls| !stalls.waiting.is_empty())
    }

    /// Applies the changes that have waited long enough: calls `begin` and `end` for each stall.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        begin: impl Fn(&FamilyName, &Change) -> Running,
        end: impl Fn(Running, Instant),
    ) {
        for (family, stalls) in &mut self.families {
            while let Some(place) = stalls.next(now) {
                let (_, change) = stalls.waiting.swap_remove(place);
                if let Some(running) = stalls.running.take() {
                    end(running, change.at);
                }
                if change.to != Condition::Normal {
                    stalls.running = Some(begin(family, &change));
                }
                stalls.condition = change.to;
            }
        }
    }

    /// Removes the stalls that have not ended.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Running> {
        self.families
            .drain()
            .filter_map(|(_, stalls)| stalls.running)
    }
}

impl<Running> FamilyStalls<Running> {
    /// Returns the place of the change that is to be applied.
    fn next(&self, now: Instant) -> Option<usize> {
        let changes = || self.waiting.iter().enumerate();
        let (first, (reported, oldest)) = changes().min_by_key(|(_, (_, change))| change.at)?;
        if now < *reported + SETTLE && self.waiting.len() <= MOST_WAITING {
            return None;
        }
        let follows =
            |change: &Change| change.from == self.condition && change.at <= oldest.at + SLACK;
        let place = changes()
            .filter(|(_, (_, change))| follows(change))
            .min_by_key(|(_, (_, change))| change.at)
            .map_or(first, |(place, _)| place);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::Condition::{Delayed, Normal, Stopped};
    use super::*;

    /// Stalls that have ended, with the times of their begin and end, and those that have not.
    type Found = (Vec<(Condition, u64, u64)>, Vec<(Condition, u64)>);

    /// Reports changes at these times in milliseconds.
    fn applied(changes: &[(u64, u64, Condition, Condition)]) -> Found {
        let start = Instant::now();
        let time = |millis: u64| start + Duration::from_millis(millis);
        let millis = |at: Instant| u64::try_from((at - start).as_millis()).expect("it is short");
        let ended = RefCell::new(Vec::new());
        let mut stalls = Stalls::new();
        let settle = |stalls: &mut Stalls<(Condition, u64)>, now| {
            stalls.settle(
                now,
                |_, change| (change.to, millis(change.at)),
                |(condition, begin), end| ended.borrow_mut().push((condition, begin, millis(end))),
            );
        };
        for &(reported, at, from, to) in changes {
            let change = Change {
                at: time(at),
                from,
                to,
                cause: None,
                span: None,
            };
            settle(&mut stalls, time(reported));
            stalls.add(FamilyName::new(b"articles"), change, time(reported));
        }
        assert!(stalls.is_waiting());
        settle(&mut stalls, time(1_000_000));
        assert!(!stalls.is_waiting());
        (ended.take(), stalls.drain().collect())
    }

    #[test]
    fn a_stall_ends_where_the_next_condition_begins() {
        let changes = [
            (0, 0, Normal, Delayed),
            (2000, 2000, Delayed, Stopped),
            (2001, 2001, Stopped, Normal),
            (9000, 9000, Normal, Stopped),
        ];
        let expected = vec![(Delayed, 0, 2000), (Stopped, 2000, 2001)];
        assert_eq!(applied(&changes), (expected, vec![(Stopped, 9000)]));
    }

    #[test]
    fn the_end_of_a_stall_waits_for_its_begin() {
        let changes = [
            (5000, 5000, Stopped, Normal),
            // The next stall begins before the first one was reported.
            (5030, 5030, Normal, Stopped),
            (5050, 100, Normal, Stopped),
            (5090, 5090, Stopped, Normal),
        ];
        let expected = vec![(Stopped, 100, 5000), (Stopped, 5030, 5090)];
        assert_eq!(applied(&changes), (expected, vec![]));
    }

    #[test]
    fn a_change_that_is_timed_a_little_late_keeps_its_place() {
        let changes = [
            (0, 0, Normal, Stopped),
            (51, 51, Delayed, Stopped),
            (53, 53, Stopped, Delayed),
            (80, 80, Stopped, Normal),
        ];
        let (ended, running) = applied(&changes);
        let conditions: Vec<_> = ended.iter().map(|(condition, ..)| *condition).collect();
        assert_eq!(conditions, [Stopped, Delayed, Stopped]);
        assert_eq!(running, []);
    }

    #[test]
    fn a_change_that_was_lost_does_not_stop_the_others() {
        let changes = [
            (0, 0, Normal, Stopped),
            (900, 900, Normal, Delayed),
            (999, 999, Stopped, Normal),
        ];
        let expected = vec![(Stopped, 0, 900), (Delayed, 900, 999)];
        assert_eq!(applied(&changes), (expected, vec![]));
    }

    #[test]
    fn changes_do_not_pile_up() {
        let mut changes = Vec::new();
        for n in 0..1000 {
            changes.push((0, 2 * n, Normal, Stopped));
            changes.push((0, 2 * n + 1, Stopped, Normal));
        }
        let start = Instant::now();
        let mut stalls = Stalls::new();
        for (_, at, from, to) in changes {
            let at = start + Duration::from_millis(at);
            let change = Change {
                at,
                from,
                to,
                cause: None,
                span: None,
            };
            stalls.add(FamilyName::new(b"articles"), change, start);
            stalls.settle(start, |_, _| (), |(), _| ());
            let waiting: usize = stalls.families.values().map(|it| it.waiting.len()).sum();
            assert!(waiting <= MOST_WAITING);
        }
    }
}
