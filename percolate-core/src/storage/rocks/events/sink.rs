//! The queue between RocksDB's callbacks and the thread that records their events. It is bounded, and
//! counts the events that it has no place for.
//!
//! Neither the queue nor the thread exists before the first event that something listens to.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::event::{Condition, Event, FamilyName, FileSize, StallCause, What};
use super::recorder::{self, Recorder};
use super::waits::Waits;
use crate::otel::runtime::{self, Runtime};
use crate::otel::tracing::{Dispatch, dispatcher};

/// The most events that wait, 150 KB of them. A flush or a compaction has two.
const CAPACITY: usize = 1024;

/// How long closing a store waits for its events to be recorded.
const CLOSE: Duration = Duration::from_millis(500);

/// Receives the events of one store.
pub(super) struct Sink {
    namespace: String,
    directory: PathBuf,
    /// The runtime and the subscriber of a test. `None` in production, where both are global.
    scope: Option<(&'static Runtime, Dispatch)>,
    queue: OnceLock<Option<Queue>>,
    dropped: Arc<AtomicU64>,
    pub(super) waits: Arc<Waits>,
}

struct Queue {
    events: SyncSender<Event>,
    /// Disconnected when the thread has ended.
    running: Mutex<Receiver<()>>,
}

impl Sink {
    pub(super) fn new(directory: PathBuf, namespace: String) -> Self {
        Self {
            namespace,
            directory,
            scope: runtime::scoped()
                .map(|runtime| (runtime, dispatcher::get_default(Clone::clone))),
            queue: OnceLock::new(),
            dropped: Arc::default(),
            waits: Arc::default(),
        }
    }

    /// Returns the number of events that were not recorded, because too many waited.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Passes on the begin of a job, if something listens to jobs.
    pub(super) fn began(&self, event: impl FnOnce() -> Event) {
        if self.is_observed() {
            let queue = self.queue.get_or_init(|| self.start());
            self.push(queue.as_ref(), event());
        }
    }

    fn is_observed(&self) -> bool {
        self.scope.is_some() || recorder::is_observed()
    }

    /// Passes on a change of the condition of a family, as the begin or the end of a job.
    pub(super) fn stall_changed(
        &self,
        family: FamilyName,
        at: Instant,
        (from, to): (Condition, Condition),
        cause: Option<StallCause>,
    ) {
        let begins = from == Condition::Normal;
        let is_recorded = if begins {
            self.is_observed()
        } else {
            self.queue.get().is_some()
        };
        let span = self.waits.changed(&family, at, to, is_recorded);
        let event = || Event {
            family,
            at,
            job: 0,
            what: What::StallChanged {
                from,
                to,
                cause,
                span,
            },
        };
        if begins {
            self.began(event);
        } else {
            self.ended(event);
        }
    }

    /// Passes on the end of a job, unless no begin was passed on.
    pub(super) fn ended(&self, event: impl FnOnce() -> Event) {
        if let Some(queue) = self.queue.get() {
            self.push(queue.as_ref(), event());
        }
    }

    /// Returns the size of a table file in the directory of the store.
    pub(super) fn file_size(&self, number: u64) -> FileSize {
        recorder::file_size(&self.directory, number)
    }

    fn push(&self, queue: Option<&Queue>, event: Event) {
        let unsent = match queue {
            Some(queue) => match queue.events.try_send(event) {
                Ok(()) => return,
                Err(TrySendError::Full(event) | TrySendError::Disconnected(event)) => event,
            },
            None => event,
        };
        if let What::StallChanged {
            span: Some(span), ..
        } = unsent.what
        {
            span.give_up();
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Starts the thread. Returns `None` if the system refuses one.
    fn start(&self) -> Option<Queue> {
        let (events, received) = sync_channel(CAPACITY);
        let (ended, running) = sync_channel::<()>(0);
        let recorder = Recorder::new(self.namespace.clone(), self.directory.clone());
        let scope = self.scope.clone();
        std::thread::Builder::new()
            .name("percolate-rocksdb".to_owned())
            .spawn(move || {
                let _scope = scope.as_ref().map(|(runtime, dispatch)| {
                    (
                        runtime::scope(Some(runtime)),
                        dispatcher::set_default(dispatch),
                    )
                });
                recorder.run(&received);
                drop(ended);
            })
            .ok()?;
        Some(Queue {
            events,
            running: Mutex::new(running),
        })
    }

    #[cfg(all(test, feature = "testing"))]
    pub(super) fn has_started(&self) -> bool {
        self.queue.get().is_some()
    }

    /// Creates a queue whose events nothing reads.
    #[cfg(all(test, feature = "testing"))]
    pub(super) fn queue_without_thread(&self, capacity: usize) -> Receiver<Event> {
        let (events, received) = sync_channel(capacity);
        let (_, running) = sync_channel(0);
        let running = Mutex::new(running);
        let is_first = self.queue.set(Some(Queue { events, running })).is_ok();
        assert!(is_first);
        received
    }

    /// Tells the thread that the database is closed, and waits until it has recorded all events.
    pub(super) fn close(&self) {
        let Some(Some(queue)) = self.queue.get() else {
            return;
        };
        let deadline = Instant::now() + CLOSE;
        let mut closed = Event {
            family: FamilyName::new(b""),
            at: Instant::now(),
            job: 0,
            what: What::Closed,
        };
        // A full queue empties within microseconds, unless a layer blocks.
        while let Err(TrySendError::Full(event)) = queue.events.try_send(closed) {
            if Instant::now() > deadline {
                return;
            }
            closed = event;
            std::thread::sleep(Duration::from_millis(1));
        }
        let running = queue.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing is sent: the channel is disconnected when the thread ends.
        _ = running.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}
