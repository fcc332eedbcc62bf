//! The latest stalls with the spans that they will have. A write that has waited links to the span of the
//! stall, which is created later: RocksDB reports a stall late, and changes are recorded in the order of
//! their times.
//!
//! Only changes of a stall and recorded writes that waited come here.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event::{Condition, FamilyName};
use crate::otel::LinkTarget;

/// The most changes of a family that are kept, and the most families.
const MOST_CHANGES: usize = 16;
const MOST_FAMILIES: usize = 64;

/// The most links of a write. Families stall one after another while it waits.
const MOST_LINKS: usize = 8;

/// How long RocksDB may take to report a stall for which a write has waited. It reports some after it has
/// deleted files.
const REPORTED_WITHIN: Duration = Duration::from_secs(10);

/// The latest stalls of one store.
#[derive(Default)]
pub(in super::super) struct Waits(Mutex<State>);

#[derive(Default)]
struct State {
    families: Vec<Family>,
    /// The span of a stall that RocksDB has not reported yet, and when a write had waited for it.
    unreported: Option<(Instant, LinkTarget)>,
}

struct Family {
    name: FamilyName,
    /// In the order of their times.
    changes: Vec<Change>,
}

struct Change {
    at: Instant,
    is_stall: bool,
    /// The span of the stall that begins, if it is recorded as a job.
    span: Option<LinkTarget>,
}

impl Waits {
    /// Adds a change of the condition of a family. Returns the span of the stall that begins with it,
    /// if `is_recorded`.
    pub(super) fn changed(
        &self,
        family: &FamilyName,
        at: Instant,
        to: Condition,
        is_recorded: bool,
    ) -> Option<LinkTarget> {
        let is_stall = to != Condition::Normal;
        let mut state = self.lock();
        let span = if is_stall {
            // What a write has waited for is the next stall that is reported.
            let unreported = state.unreported.take();
            let unreported = unreported.filter(|(waited, _)| waited.elapsed() < REPORTED_WITHIN);
            let span = || unreported.map_or_else(LinkTarget::new, |(_, span)| span);
            is_recorded.then(span)
        } else {
            None
        };
        let changes = state.changes_of(family);
        let place = changes.partition_point(|change| change.at <= at);
        changes.insert(
            place,
            Change {
                at,
                is_stall,
                span: span.clone(),
            },
        );
        if changes.len() > MOST_CHANGES {
            changes.remove(0);
        }
        span
    }

    /// Returns the spans of the stalls since `from`, at which a write began that has waited: of those that
    /// RocksDB has reported, or else of the next one that it reports.
    pub(in super::super) fn since(&self, from: Instant) -> Vec<LinkTarget> {
        let mut state = self.lock();
        let mut stalls = Vec::new();
        for family in &state.families {
            for (place, change) in family.changes.iter().enumerate() {
                let next = family.changes.get(place + 1);
                if change.is_stall && next.is_none_or(|next| next.at >= from) {
                    stalls.push(change);
                }
            }
        }
        if !stalls.is_empty() {
            stalls.sort_by_key(|stall| stall.at);
            let latest = stalls.len().saturating_sub(MOST_LINKS);
            let latest = stalls.into_iter().skip(latest);
            return latest.filter_map(|stall| stall.span.clone()).collect();
        }
        let (waited, span) = state
            .unreported
            .get_or_insert_with(|| (Instant::now(), LinkTarget::new()));
        if waited.elapsed() >= REPORTED_WITHIN {
            *span = LinkTarget::new();
        }
        *waited = Instant::now();
        vec![span.clone()]
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn changes_of(&mut self, family: &FamilyName) -> &mut Vec<Change> {
        let known = self.families.iter().position(|known| known.name == *family);
        let place = known.unwrap_or_else(|| {
            if self.families.len() >= MOST_FAMILIES {
                let latest = |family: &Family| family.changes.last().map(|change| change.at);
                let oldest = (0..MOST_FAMILIES).min_by_key(|place| latest(&self.families[*place]));
                self.families.swap_remove(oldest.unwrap_or_default());
            }
            self.families.push(Family {
                name: family.clone(),
                changes: Vec::new(),
            });
            self.families.len() - 1
        });
        &mut self.families[place].changes
    }
}

#[cfg(test)]
mod tests {
    use super::Condition::{Delayed, Normal, Stopped};
    use super::*;

    fn ids(spans: &[LinkTarget]) -> Vec<opentelemetry::trace::SpanContext> {
        spans.iter().filter_map(LinkTarget::link).collect()
    }

    /// A family, and times in milliseconds.
    fn family(name: &str) -> (FamilyName, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let time = move |millis| start + Duration::from_millis(millis);
        (FamilyName::new(name.as_bytes()), time)
    }

    #[test]
    fn a_write_links_to_the_stalls_while_it_waited() {
        let (articles, time) = family("articles");
        let words = FamilyName::new(b"words");
        let waits = Waits::default();
        let first = waits.changed(&articles, time(0), Delayed, true);
        let second = waits.changed(&articles, time(10), Stopped, true);
        assert!(waits.changed(&articles, time(20), Normal, true).is_none());
        let other = waits.changed(&words, time(15), Delayed, true);
        let [first, second, other] =
            [first, second, other].map(|span| ids(&[span.expect("a stall")]));
        assert_eq!(
            ids(&waits.since(time(5))),
            [&first[..], &second, &other].concat()
        );
        assert_eq!(ids(&waits.since(time(11))), [&second[..], &other].concat());
        assert_eq!(ids(&waits.since(time(21))), other, "it has not ended");
    }

    #[test]
    fn a_begin_that_is_reported_after_its_end_keeps_its_place() {
        let (articles, time) = family("articles");
        let waits = Waits::default();
        assert!(waits.changed(&articles, time(10), Normal, true).is_none());
        let stall = waits.changed(&articles, time(0), Stopped, true);
        let stall = ids(&[stall.expect("a stall")]);
        assert_eq!(ids(&waits.since(time(5))), stall);
        assert_ne!(
            ids(&waits.since(time(11))),
            stall,
            "the next one that is reported"
        );
    }

    #[test]
    fn writes_before_the_report_link_to_the_stall_that_is_reported_next() {
        let (articles, time) = family("articles");
        let waits = Waits::default();
        let (one, other) = (ids(&waits.since(time(0))), ids(&waits.since(time(1))));
        assert_eq!(one, other);
        let reported = waits.changed(&articles, time(2), Delayed, true);
        assert_eq!(ids(&[reported.expect("a stall")]), one);
        assert_eq!(ids(&waits.since(time(3))), one);
        let next = waits.changed(&articles, time(4), Stopped, true);
        assert_ne!(ids(&[next.expect("a stall")]), one);
    }

    #[test]
    fn a_stall_that_is_no_job_has_no_links() {
        let (articles, time) = family("articles");
        let waits = Waits::default();
        assert!(waits.changed(&articles, time(0), Delayed, false).is_none());
        assert_eq!(waits.since(time(5)).len(), 0);
    }

    #[test]
    fn what_is_kept_is_limited() {
        let (_, time) = family("");
        let waits = Waits::default();
        for n in 0..1000 {
            let family = FamilyName::new(n.to_string().as_bytes());
            for change in 0..100 {
                waits.changed(&family, time(100 * n + change), Stopped, true);
            }
        }
        let state = waits.lock();
        assert_eq!(state.families.len(), MOST_FAMILIES);
        assert!(
            state
                .families
                .iter()
                .all(|it| it.changes.len() == MOST_CHANGES)
        );
        let oldest = state.families.iter().map(|it| it.changes[0].at).min();
        assert!(oldest.expect("there are some") > time(100 * (1000 - MOST_FAMILIES as u64) - 1));
        drop(state);
        assert_eq!(waits.since(time(0)).len(), MOST_LINKS);
    }
}
