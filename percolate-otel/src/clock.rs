//! The two clock readings of a call. They are most of the cost of an unsampled call. On x86-64
//! Linux they read the processor's time stamp counter if the kernel uses it as its clock source;
//! elsewhere they are `Instant`s.
//!
//! The counter's rate is measured against `Instant` over the first 50 ms of telemetry, without
//! waiting. Until then readings are `Instant`s. The duration of a reading is always measured by its
//! own clock.

use std::time::{Duration, Instant, SystemTime};

/// One reading of the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reading {
    Instant(Instant),
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    Ticks(u64),
}

impl Reading {
    #[inline]
    pub(crate) fn now() -> Self {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        if counter::is_ready() {
            return Self::Ticks(counter::ticks());
        }
        Self::Instant(Instant::now())
    }

    /// The nanoseconds from this reading to `end`, which may have passed.
    pub(crate) fn until(self, end: Instant) -> u64 {
        match self {
            Self::Instant(instant) => nanoseconds(end.saturating_duration_since(instant)),
            #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
            Self::Ticks(_) => self.elapsed().saturating_sub(nanoseconds(end.elapsed())),
        }
    }

    /// The nanoseconds since this reading.
    #[inline]
    pub(crate) fn elapsed(self) -> u64 {
        match self {
            Self::Instant(instant) => nanoseconds(instant.elapsed()),
            #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
            Self::Ticks(ticks) => counter::nanoseconds(counter::ticks().saturating_sub(ticks)),
        }
    }
}

/// Marks the stamps that are ticks. No time of a wall clock before the year 2262 has the bit.
const TICKS: u64 = 1 << 63;

impl Reading {
    /// Returns a number from which [`unix_time`] derives the wall clock time. Later readings have
    /// larger numbers.
    pub(crate) fn stamp(self) -> u64 {
        match self {
            Self::Instant(_) => before_now(self.elapsed()) & !TICKS,
            #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
            Self::Ticks(ticks) => ticks | TICKS,
        }
    }
}

/// Returns the nanoseconds since the Unix epoch of a [stamp](Reading::stamp).
pub(crate) fn unix_time(stamp: u64) -> u64 {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    if stamp & TICKS != 0 {
        return before_now(Reading::Ticks(stamp & !TICKS).elapsed());
    }
    stamp
}

/// The nanoseconds since the Unix epoch, so many nanoseconds ago.
fn before_now(passed: u64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, nanoseconds).saturating_sub(passed)
}

/// The nanoseconds of a duration. Those of more than 584 years are the largest number.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The difference from the wall clock at which an anchor is renewed.
const TOLERANCE: Duration = Duration::from_millis(1);

/// Reads several clocks a few times and returns the readings that took the shortest time. The thread
/// may be interrupted between two of them, for milliseconds if the machine is busy.
fn closest<T>(read: impl Fn() -> (Duration, T)) -> T {
    let mut best = read();
    for _ in 0..3 {
        let next = read();
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}

/// One moment on every clock, by which readings become wall clock times.
#[derive(Debug)]
pub(crate) struct Anchor {
    wall: SystemTime,
    instant: Instant,
    /// `None` while readings are `Instant`s.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    ticks: Option<u64>,
}

impl Anchor {
    pub(crate) fn new() -> Self {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        let has_ticks = counter::is_ready();
        closest(|| {
            let before = Instant::now();
            let anchor = Self {
                wall: SystemTime::now(),
                instant: before,
                #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
                ticks: has_ticks.then(counter::ticks),
            };
            (before.elapsed(), anchor)
        })
    }

    /// Renews the anchor if the wall clock was set or has drifted. Otherwise it stays the same,
    /// which keeps the order of spans that are converted at different times.
    pub(crate) fn follow(&mut self) {
        let new = Self::new();
        let expected = self.wall + (new.instant - self.instant);
        let difference = new
            .wall
            .duration_since(expected)
            .unwrap_or_else(|earlier| earlier.duration());
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        let difference = match (self.ticks, new.ticks) {
            (Some(before), Some(after)) => {
                let by_ticks = counter::nanoseconds(after.saturating_sub(before));
                let by_ticks = Duration::from_nanos(by_ticks);
                difference.max(by_ticks.abs_diff(new.instant - self.instant))
            }
            // The counter became ready after this anchor: readings of it need an anchor with ticks.
            (None, Some(_)) => Duration::MAX,
            _ => difference,
        };
        if difference > TOLERANCE {
            *self = new;
        }
    }

    /// The wall clock time of a reading.
    pub(crate) fn wall_clock(&self, reading: Reading) -> SystemTime {
        match reading {
            Reading::Instant(instant) => match self.instant.checked_duration_since(instant) {
                Some(before) => self.wall.checked_sub(before).unwrap_or(self.wall),
                None => self.wall + (instant - self.instant),
            },
            #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
            Reading::Ticks(ticks) => match self.ticks {
                Some(anchor) => match anchor.checked_sub(ticks) {
                    Some(before) => self
                        .wall
                        .checked_sub(Duration::from_nanos(counter::nanoseconds(before)))
                        .unwrap_or(self.wall),
                    None => self.wall + Duration::from_nanos(counter::nanoseconds(ticks - anchor)),
                },
                // The counter became ready after this anchor was created.
                None => SystemTime::now()
                    .checked_sub(Duration::from_nanos(reading.elapsed()))
                    .unwrap_or(self.wall),
            },
        }
    }
}

/// The time stamp counter.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod counter {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    /// How long the rate is measured. A reading is off by about 50 ns, so the rate is off by one
    /// part in a million.
    const BASELINE: Duration = Duration::from_millis(50);

    /// Nanoseconds per tick as a binary fraction with 32 places; 0 until it is known.
    static NANOS_PER_TICK: AtomicU64 = AtomicU64::new(0);
    static START: OnceLock<Option<(Instant, u64)>> = OnceLock::new();

    /// Whether the rate is known. Measures it once the time has passed.
    #[inline]
    pub(super) fn is_ready() -> bool {
        NANOS_PER_TICK.load(Ordering::Relaxed) != 0 || measure()
    }

    #[cold]
    fn measure() -> bool {
        let start = START.get_or_init(|| {
            let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
            let is_trusted = std::fs::read_to_string(source).is_ok_and(|name| name.trim() == "tsc");
            is_trusted.then(now)
        });
        let Some((instant, first)) = start else {
            return false;
        };
        if instant.elapsed() < BASELINE {
            return false;
        }
        let (last_instant, last) = now();
        let passed = last_instant - *instant;
        let rate = (passed.as_nanos() << 32) / u128::from(last.saturating_sub(*first).max(1));
        NANOS_PER_TICK.store(u64::try_from(rate).unwrap_or(0), Ordering::Relaxed);
        rate != 0
    }

    /// Returns the same moment on both clocks.
    fn now() -> (Instant, u64) {
        super::closest(|| {
            let instant = Instant::now();
            let ticks = ticks();
            (instant.elapsed(), (instant, ticks))
        })
    }

    #[inline]
    pub(super) fn nanoseconds(ticks: u64) -> u64 {
        let nanos = (u128::from(ticks) * u128::from(NANOS_PER_TICK.load(Ordering::Relaxed))) >> 32;
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    #[inline]
    #[expect(unsafe_code, reason = "the instruction has no safe form")]
    pub(super) fn ticks() -> u64 {
        // SAFETY: every x86-64 processor has the instruction, and it only reads a counter. It
        // faults only if the kernel forbids it to user space. All callers have checked before that
        // the kernel's clock source is `tsc`: `measure` by reading its name, the others by
        // `is_ready`, which depends on `measure`.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_agree_with_instant_before_and_after_the_rate_is_known() {
        for _ in 0..2 {
            let (reading, instant) = (Reading::now(), Instant::now());
            std::thread::sleep(Duration::from_millis(60));
            let by_reading = Duration::from_nanos(reading.elapsed());
            let by_instant = instant.elapsed();
            assert!(
                by_reading.abs_diff(by_instant) < Duration::from_millis(5),
                "{by_reading:?} {by_instant:?}"
            );
        }
    }

    #[test]
    fn stamps_are_in_order_and_become_wall_clock_times() {
        let error = |stamp: u64, expected: SystemTime| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_time(stamp));
            let early = expected.duration_since(time).unwrap_or_default();
            early.max(time.duration_since(expected).unwrap_or_default())
        };
        let mut stamps = Vec::new();
        for _ in 0..3 {
            stamps.push((Reading::now().stamp(), SystemTime::now()));
            std::thread::sleep(Duration::from_millis(60));
        }
        // By the instant, whatever clock this machine has.
        let instant = Reading::Instant(Instant::now());
        stamps.insert(0, (instant.stamp(), SystemTime::now()));
        for (stamp, expected) in &stamps {
            assert!(error(*stamp, *expected) < Duration::from_millis(5));
        }
        assert!(stamps[1..].is_sorted_by_key(|(stamp, _)| *stamp));
    }

    #[test]
    fn the_wall_clock_of_a_reading_is_its_own_time_and_order_is_kept() {
        let first = Reading::now();
        std::thread::sleep(Duration::from_millis(60));
        let mut anchor = Anchor::new();
        let before = SystemTime::now();
        let second = Reading::now();
        anchor.follow();
        let error =
            |a: SystemTime, b: SystemTime| a.duration_since(b).unwrap_or_else(|e| e.duration());
        assert!(error(anchor.wall_clock(second), before) < Duration::from_millis(5));
        let apart = anchor
            .wall_clock(second)
            .duration_since(anchor.wall_clock(first))
            .expect("in order");
        assert!(apart >= Duration::from_millis(59), "{apart:?}");
    }
}
