//! The pipeline's own messages: their `tracing` target, and the reports of an exporter's losses.
//! Invariant: a message delays its caller by [`LONGEST_WRITE`] at most, even if the subscriber writes
//! to a pipe that is not read.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tracing::Dispatch;
use tracing::dispatcher;

/// The `tracing` target of the pipeline's messages.
pub(super) const TELEMETRY_TARGET: &str = "percolate::telemetry";

/// How long nothing must be lost until the losses have ended. A collector that fails in turns is so
/// reported twice in this time at most.
const ENDED_AFTER: Duration = Duration::from_secs(10);

/// The reason of losses that are not failed exports.
pub(super) const TOO_FAST: &str = "they are recorded faster than they are exported";

/// How long the caller waits until a message is written.
const LONGEST_WRITE: Duration = Duration::from_millis(500);

/// The number of messages that may wait for a subscriber. Further ones are left out.
const MOST_WAITING: usize = 4;

/// The messages that are being written.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Emits a warning on a separate thread, to the subscriber of the calling thread. Returns when it is
/// written, or after [`LONGEST_WRITE`].
pub(super) fn warn(message: String) {
    if WAITING.fetch_add(1, Ordering::AcqRel) >= MOST_WAITING {
        WAITING.fetch_sub(1, Ordering::AcqRel);
        return;
    }
    let subscriber = dispatcher::get_default(Dispatch::clone);
    let (written, wait) = mpsc::channel::<()>();
    let started = thread::Builder::new()
        .name("percolate-warn".to_owned())
        .spawn(move || {
            dispatcher::with_default(&subscriber, || {
                tracing::warn!(target: TELEMETRY_TARGET, "{message}");
            });
            WAITING.fetch_sub(1, Ordering::AcqRel);
            drop(written);
        });
    match started {
        Ok(_) => _ = wait.recv_timeout(LONGEST_WRITE),
        Err(_) => _ = WAITING.fetch_sub(1, Ordering::AcqRel),
    }
}

/// Reports when the losses of one exporter begin and when they have ended, each with one line. What
/// is lost between is only counted.
#[derive(Debug)]
pub(super) struct LossReporter {
    /// The exported data, such as `spans`.
    items: &'static str,
    /// The exporter's name.
    to: String,
    state: Mutex<ReportState>,
}

#[derive(Debug, Default)]
struct ReportState {
    /// The number of losses that are part of a report.
    reported: u64,
    losing: Option<Losing>,
    last_warning: Option<(String, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Losing {
    /// The number of losses before.
    from: u64,
    last: Instant,
    /// Whether an export succeeded after the last loss.
    works: bool,
}

impl LossReporter {
    pub(super) fn new(items: &'static str, to: String) -> Self {
        Self {
            items,
            to,
            state: Mutex::default(),
        }
    }

    /// Reports a warning of the collector, unless it was the last one or follows it closely.
    pub(super) fn warning(&self, warning: &str, now: Instant) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((last, at)) = &state.last_warning
                && (last == warning || now.saturating_duration_since(*at) < ENDED_AFTER)
            {
                return;
            }
            state.last_warning = Some((warning.to_owned(), now));
        }
        let Self { items, to, .. } = self;
        warn(format!("exporting {items} to {to}: {warning}"));
    }

    /// Compares the number of losses with that of the last call. `problem` is the reason of new
    /// losses, and `works` whether an export has just succeeded.
    pub(super) fn update(&self, lost: u64, problem: impl Display, works: bool, now: Instant) {
        enum Line {
            Begins,
            Ended(u64),
        }
        let line = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let new = lost.saturating_sub(state.reported);
            let before = state.reported;
            state.reported = state.reported.max(lost);
            match &mut state.losing {
                None if new > 0 => {
                    state.losing = Some(Losing {
                        from: before,
                        last: now,
                        works,
                    });
                    Some(Line::Begins)
                }
                None => None,
                Some(losing) if new > 0 => {
                    losing.last = now;
                    losing.works = works;
                    None
                }
                Some(losing) => {
                    losing.works |= works;
                    let quiet = now.saturating_duration_since(losing.last);
                    let ended = losing.works && quiet >= ENDED_AFTER;
                    let count = lost - losing.from;
                    ended.then(|| {
                        state.losing = None;
                        Line::Ended(count)
                    })
                }
            }
        };
        let Self { items, to, .. } = self;
        match line {
            None => {}
            Some(Line::Begins) => warn(format!(
                "{items} are lost on the way to {to}: {problem}; further losses are counted in \
                 `TelemetryGuard::status`"
            )),
            Some(Line::Ended(count)) => warn(format!(
                "exporting {items} to {to} works again; {count} {items} were lost"
            )),
        }
    }

    /// Whether a report of losses has begun and not ended.
    pub(super) fn is_losing(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.losing.is_some()
    }

    /// Reports the losses that have no line about their end, at the end of the exporter.
    pub(super) fn end(&self, lost: u64) {
        let count = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let from = state
                .losing
                .take()
                .map_or(state.reported, |losing| losing.from);
            state.reported = lost;
            lost.saturating_sub(from)
        };
        if count > 0 {
            let Self { items, to, .. } = self;
            warn(format!(
                "the export to {to} has ended; {count} {items} were lost"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// Returns the lines of an exporter whose numbers of losses are these, one each second.
    fn lines(losses: impl IntoIterator<Item = (u64, bool)>, ends: bool) -> Vec<String> {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(lines.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let reporter = LossReporter::new("spans", "collector".to_owned());
            let started = Instant::now();
            let mut last = 0;
            for (second, (lost, works)) in losses.into_iter().enumerate() {
                let now = started + Duration::from_secs(second as u64);
                reporter.update(lost, "refused", works, now);
                last = lost;
            }
            if ends {
                reporter.end(last);
            }
        });
        let text = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("text");
        text.lines().map(str::to_owned).collect()
    }

    const BEGINS: &str = " WARN percolate::telemetry: spans are lost on the way to collector: \
         refused; further losses are counted in `TelemetryGuard::status`";

    #[test]
    fn losses_are_two_lines_with_their_number() {
        let fails = (1..=5).map(|count| (count * 100, false));
        let works = (0..60).map(|_| (500, true));
        let lines = lines(fails.chain(works), true);
        let ended = " WARN percolate::telemetry: exporting spans to collector works again; \
             500 spans were lost";
        assert_eq!(lines, [BEGINS, ended]);
    }

    #[test]
    fn a_collector_that_fails_in_turns_is_one_line() {
        let flapping = (0..100).map(|second| (second / 2 * 10 + 10, second % 2 == 1));
        assert_eq!(lines(flapping, false), [BEGINS]);
    }

    #[test]
    fn without_a_success_losses_do_not_end() {
        assert_eq!(lines((0..100).map(|_| (7, false)), false), [BEGINS]);
        let ended = " WARN percolate::telemetry: the export to collector has ended; 7 spans were \
             lost";
        assert_eq!(lines([(7, false)], true), [BEGINS, ended]);
    }

    #[test]
    fn without_losses_nothing_is_reported() {
        assert_eq!(lines((0..100).map(|_| (0, true)), true), [""; 0]);
    }
}
