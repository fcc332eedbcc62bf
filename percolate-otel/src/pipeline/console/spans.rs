//! [`ConsoleSpans`]: collects spans into traces. A trace is shown a moment after its root has
//! ended, at a flush, or as incomplete when no span has arrived for a while. Spans arrive from
//! several threads in any order. Invariant: at most [`MAX_SPANS`] wait; beyond, the oldest trace is
//! shown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::trace::TraceId;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::super::counters::{Arrival, Counters, LossesBefore};
use super::super::diagnostics::{LossReporter, TOO_FAST};
use super::super::error::TelemetryError;
use super::super::signal::{CONSOLE, Signal};
use super::super::trace_tree::is_root;
use super::tree;
use super::writer::ConsoleWriter;

/// How long a trace waits after its last span: records of annotated calls arrive after up to 200
/// ms.
const SETTLE: Duration = Duration::from_millis(500);
/// How often the traces are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The maximum number of waiting spans over all traces.
const MAX_SPANS: usize = 50_000;

/// Collects spans into traces and prints them.
#[derive(Debug)]
pub(crate) struct ConsoleSpans {
    shared: Arc<TraceBuffer>,
}

#[derive(Debug)]
struct TraceBuffer {
    writer: ConsoleWriter,
    incomplete_after: Duration,
    counters: Arc<Counters>,
    losses_before: LossesBefore,
    reporter: LossReporter,
    traces: Mutex<Traces>,
    /// Held while traces are printed, so that a flush or shutdown waits for those that another
    /// thread has taken.
    printing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Traces {
    by_id: HashMap<TraceId, Trace>,
    spans: usize,
    closed: bool,
}

#[derive(Debug)]
struct Trace {
    spans: Vec<SpanData>,
    has_root: bool,
    last_arrival: Instant,
}

impl ConsoleSpans {
    /// Starts the thread `percolate-console`, which shows due traces. It ends with the processor.
    pub(crate) fn start(
        writer: ConsoleWriter,
        incomplete_after: Duration,
        counters: Arc<Counters>,
        losses_before: LossesBefore,
    ) -> Result<Self, TelemetryError> {
        let shared = Arc::new(TraceBuffer {
            writer,
            incomplete_after,
            counters,
            losses_before,
            reporter: reporter(),
            traces: Mutex::default(),
            printing: Mutex::default(),
        });
        let weak = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("percolate-console".to_owned())
            .spawn(move || show_until_closed(&weak))
            .map_err(|source| TelemetryError::Thread {
                name: "percolate-console",
                source,
            })?;
        Ok(Self { shared })
    }
}

fn reporter() -> LossReporter {
    LossReporter::new(Signal::Traces.items(), CONSOLE.to_owned())
}

fn show_until_closed(shared: &Weak<TraceBuffer>) {
    loop {
        thread::sleep(CHECK_INTERVAL);
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let now = Instant::now();
        if !shared.tick(now) {
            return;
        }
        shared.reporter.update(shared.lost(), TOO_FAST, true, now);
    }
}

impl TraceBuffer {
    fn lock(&self) -> MutexGuard<'_, Traces> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of losses, also of those before the console.
    fn lost(&self) -> u64 {
        self.counters.lost() + self.losses_before.count()
    }

    /// Shows the traces that are due at `now`. Returns `false` after the shutdown.
    fn tick(&self, now: Instant) -> bool {
        let (due, open) = {
            let mut traces = self.lock();
            let due = traces.take(|trace| {
                let quiet = now.saturating_duration_since(trace.last_arrival);
                quiet
                    >= if trace.has_root {
                        SETTLE
                    } else {
                        self.incomplete_after
                    }
            });
            (due, !traces.closed)
        };
        self.show(due);
        open
    }

    fn show_all(&self) {
        let all = self.lock().take(|_| true);
        self.show(all);
    }

    fn show(&self, mut traces: Vec<Trace>) {
        let _printing = self.printing.lock().unwrap_or_else(PoisonError::into_inner);
        traces.sort_by_key(|trace| trace.spans.iter().map(|span| span.start_time).min());
        for trace in traces {
            let count = trace.spans.len();
            self.counters.begin(count);
            let result = self
                .writer
                .write(&tree::render(trace.spans, trace.has_root));
            let lost = if result.is_err() { count } else { 0 };
            self.counters.end(count, lost, result.err());
        }
    }
}

impl Traces {
    fn take(&mut self, is_due: impl Fn(&Trace) -> bool) -> Vec<Trace> {
        let due: Vec<Trace> = self
            .by_id
            .extract_if(|_, trace| is_due(trace))
            .map(|(_, trace)| trace)
            .collect();
        self.spans -= due.iter().map(|trace| trace.spans.len()).sum::<usize>();
        due
    }

    fn add(&mut self, span: SpanData, now: Instant) {
        let trace = self
            .by_id
            .entry(span.span_context.trace_id())
            .or_insert_with(|| Trace {
                spans: Vec::new(),
                has_root: false,
                last_arrival: now,
            });
        trace.has_root |= is_root(&span);
        trace.last_arrival = now;
        trace.spans.push(span);
        self.spans += 1;
    }

    fn oldest(&self) -> Option<TraceId> {
        self.by_id
            .iter()
            .min_by_key(|(_, trace)| trace.last_arrival)
            .map(|(id, _)| *id)
    }
}

impl SpanProcessor for ConsoleSpans {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let overflow = {
            let mut traces = self.shared.lock();
            if traces.closed {
                self.shared.counters.arrive(Arrival::Closed);
                return;
            }
            self.shared.counters.arrive(Arrival::Queued);
            traces.add(span, Instant::now());
            let full = traces.spans > MAX_SPANS;
            let oldest = if full { traces.oldest() } else { None };
            let overflow = oldest.and_then(|oldest| traces.by_id.remove(&oldest));
            traces.spans -= overflow.as_ref().map_or(0, |trace| trace.spans.len());
            overflow
        };
        self.shared.show(overflow.into_iter().collect());
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.shared.show_all();
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.shared.lock().closed = true;
        self.shared.show_all();
        self.shared.reporter.end(self.shared.lost());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::trace_tree::tests::span;
    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn shared(written: &Written) -> TraceBuffer {
        TraceBuffer {
            writer: ConsoleWriter::new(written.clone()),
            incomplete_after: Duration::from_secs(5),
            counters: Arc::default(),
            losses_before: LossesBefore::default(),
            reporter: reporter(),
            traces: Mutex::default(),
            printing: Mutex::default(),
        }
    }

    impl TraceBuffer {
        fn arrive(&self, span: SpanData, now: Instant) {
            self.counters.arrive(Arrival::Queued);
            self.lock().add(span, now);
        }
    }

    fn text(written: &Written) -> String {
        String::from_utf8(written.0.lock().expect("no panic").clone()).expect("text")
    }

    #[test]
    fn a_trace_is_shown_when_its_root_has_arrived_and_settled() {
        let written = Written::default();
        let shared = shared(&written);
        let now = Instant::now();
        shared.arrive(span("get articles", 2, 1, 1, 1), now);
        shared.arrive(span("load", 1, 0, 0, 9), now);
        shared.tick(now + SETTLE / 2);
        assert_eq!(text(&written), "");
        shared.tick(now + SETTLE);
        assert!(text(&written).contains("2 spans"), "{}", text(&written));
        assert_eq!(shared.counters.counts().exported, 2);
        assert_eq!(shared.lock().spans, 0);
    }

    #[test]
    fn a_trace_without_its_root_is_shown_as_incomplete_after_the_delay() {
        let written = Written::default();
        let shared = shared(&written);
        let now = Instant::now();
        shared.arrive(span("get articles", 2, 1, 1, 1), now);
        shared.tick(now + Duration::from_secs(4));
        assert_eq!(text(&written), "");
        shared.tick(now + Duration::from_secs(5));
        assert!(text(&written).contains("incomplete"), "{}", text(&written));
    }

    #[test]
    fn a_flush_shows_what_there_is_and_a_later_span_is_counted_after_shutdown() {
        let written = Written::default();
        let spans = ConsoleSpans {
            shared: Arc::new(shared(&written)),
        };
        spans.on_end(span("load", 1, 0, 0, 9));
        spans.force_flush().expect("writes");
        assert!(text(&written).contains("load"));
        spans.shutdown().expect("writes");
        spans.on_end(span("late", 2, 0, 0, 9));
        assert_eq!(spans.shared.counters.counts().dropped_after_shutdown, 1);
    }
}
