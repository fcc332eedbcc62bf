//! From finished calls to a [`RecordSink`]: the buffers of threads, their hand-over, and the
//! background thread.
//!
//! Each thread fills its own buffer. Full buffers are handed over without waiting; the background
//! thread (`percolate-spans`) collects the others regularly. If the hand-over is full, records are
//! dropped and counted.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::quiet::unrecorded;
use crate::record::{CallRecord, RecordSink};

/// The longest time limit.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Records in one buffer before it is handed over.
const BLOCK: usize = 512;
/// Blocks that may wait to be converted.
const WAITING_BLOCKS: usize = 64;
/// How long the background thread sleeps after it has delivered blocks. Waking a waiting thread
/// costs the thread that hands over, which often loses its processor to it.
const REST: Duration = Duration::from_millis(2);
/// The longest time that a record waits in the buffer of an idle thread.
const IDLE: Duration = Duration::from_millis(200);

/// Receives records from any thread and delivers them on its own thread.
#[derive(Debug)]
pub(crate) struct Recorder {
    id: u64,
    shared: Arc<RecorderShared>,
    work: SyncSender<Work>,
}

#[derive(Debug)]
struct RecorderShared {
    /// The buffers of all threads. A buffer is kept until it is empty and its thread has ended.
    buffers: Mutex<Vec<Arc<Buffer>>>,
    /// The records that were dropped, for any reason.
    dropped: Arc<AtomicU64>,
    /// Those of them that were handed over when there was no room.
    without_room: AtomicU64,
    /// The records that no buffer received: their thread was ending.
    without_buffer: AtomicU64,
    /// The records of calls that ended after the shutdown.
    after_shutdown: AtomicU64,
    /// The records that buffers received which are no longer in `buffers`.
    of_ended_threads: AtomicU64,
    /// Records are no longer delivered.
    stopped: AtomicBool,
}

type Buffer = Mutex<Records>;

/// The records of one thread.
#[derive(Debug, Default)]
struct Records {
    list: Vec<CallRecord>,
    /// The number of records that were taken from the list.
    taken: u64,
}

impl Records {
    /// Takes the list, and leaves an empty one of this capacity.
    fn take(&mut self, capacity: usize) -> Vec<CallRecord> {
        self.taken += self.list.len() as u64;
        std::mem::replace(&mut self.list, Vec::with_capacity(capacity))
    }

    #[cfg(feature = "pipeline")]
    fn recorded(&self) -> u64 {
        self.taken + self.list.len() as u64
    }
}

/// The counts of records. `recorded` includes the others.
#[derive(Debug, Default, Clone, Copy)]
#[cfg_attr(
    not(feature = "pipeline"),
    expect(dead_code, reason = "read by the pipeline")
)]
pub(crate) struct RecordCounts {
    pub(crate) recorded: u64,
    /// Dropped because the hand-over was full, or because the thread was ending.
    pub(crate) dropped: u64,
    pub(crate) after_shutdown: u64,
}

#[cfg_attr(
    not(feature = "pipeline"),
    expect(dead_code, reason = "read by the pipeline")
)]
impl RecordCounts {
    pub(crate) fn lost(self) -> u64 {
        self.dropped + self.after_shutdown
    }
}

enum Work {
    Block(Vec<CallRecord>),
    Flush(SyncSender<()>),
    /// A flush after which the background thread ends.
    Stop(SyncSender<()>),
}

thread_local! {
    /// This thread's buffer for each recorder. There are several only if tests scope several
    /// runtimes.
    static MINE: RefCell<Vec<(u64, Arc<Buffer>)>> = const { RefCell::new(Vec::new()) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    pub(crate) fn start(sink: Box<dyn RecordSink>) -> std::io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let shared = Arc::new(RecorderShared {
            buffers: Mutex::default(),
            dropped: Arc::default(),
            without_room: AtomicU64::new(0),
            without_buffer: AtomicU64::new(0),
            after_shutdown: AtomicU64::new(0),
            of_ended_threads: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let (work, todo) = mpsc::sync_channel(WAITING_BLOCKS);
        let weak = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("percolate-spans".into())
            .spawn(move || deliver_until_closed(&todo, &weak, sink))?;
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            shared,
            work,
        })
    }

    /// Puts a record into this thread's buffer.
    pub(crate) fn push(&self, record: CallRecord) {
        if self.shared.stopped.load(Ordering::Relaxed) {
            self.drop(&self.shared.after_shutdown, 1);
            return;
        }
        let full = MINE.try_with(|mine| {
            let Ok(mut mine) = mine.try_borrow_mut() else {
                self.drop(&self.shared.without_buffer, 1);
                return None;
            };
            let buffer = match mine.iter().find(|(id, _)| *id == self.id) {
                Some((_, buffer)) => buffer,
                None => &self.add_buffer(&mut mine).1,
            };
            let mut records = lock(buffer);
            records.list.push(record);
            (records.list.len() >= BLOCK).then(|| records.take(BLOCK))
        });
        match full {
            Ok(Some(block)) => self.hand_over(block),
            Ok(None) => {}
            // The thread is ending and its buffer is gone.
            Err(_) => self.drop(&self.shared.without_buffer, 1),
        }
    }

    /// Counts records that are not delivered.
    #[cold]
    fn drop(&self, reason: &AtomicU64, count: usize) {
        reason.fetch_add(count as u64, Ordering::AcqRel);
        self.shared
            .dropped
            .fetch_add(count as u64, Ordering::Relaxed);
    }

    #[cold]
    fn add_buffer<'a>(&self, mine: &'a mut Vec<(u64, Arc<Buffer>)>) -> &'a (u64, Arc<Buffer>) {
        let buffer = Arc::new(Mutex::new(Records {
            list: Vec::with_capacity(BLOCK),
            taken: 0,
        }));
        lock(&self.shared.buffers).push(Arc::clone(&buffer));
        mine.push((self.id, buffer));
        &mine[mine.len() - 1]
    }

    fn hand_over(&self, block: Vec<CallRecord>) {
        if let Err(
            TrySendError::Full(Work::Block(block)) | TrySendError::Disconnected(Work::Block(block)),
        ) = self.work.try_send(Work::Block(block))
        {
            self.drop(&self.shared.without_room, block.len());
        }
    }

    /// Waits until all earlier records are delivered. Returns `false` if `timeout` passed first.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        self.request(Work::Flush, timeout)
    }

    /// Flushes, and ends the background thread. Later records are dropped and counted.
    pub(crate) fn stop(&self, timeout: Duration) -> bool {
        self.request(Work::Stop, timeout)
    }

    /// Ends the background thread without waiting. Records that are not delivered are lost.
    #[cfg(feature = "pipeline")]
    pub(crate) fn give_up(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }

    /// Returns the counts of records. What is not recorded yet is not counted as lost.
    #[cfg(feature = "pipeline")]
    pub(crate) fn counts(&self) -> RecordCounts {
        let shared = &self.shared;
        // Before the buffers, which have counted these records.
        let without_room = shared.without_room.load(Ordering::Acquire);
        let without_buffer = shared.without_buffer.load(Ordering::Acquire);
        let after_shutdown = shared.after_shutdown.load(Ordering::Acquire);
        let buffers = lock(&shared.buffers);
        let recorded = buffers
            .iter()
            .map(|buffer| lock(buffer).recorded())
            .sum::<u64>()
            + shared.of_ended_threads.load(Ordering::Acquire)
            + without_buffer
            + after_shutdown;
        RecordCounts {
            recorded,
            dropped: without_room + without_buffer,
            after_shutdown,
        }
    }

    fn request(&self, what: fn(SyncSender<()>) -> Work, timeout: Duration) -> bool {
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now + YEAR);
        let (done, wait) = mpsc::sync_channel(1);
        let mut work = what(done);
        loop {
            match self.work.try_send(work) {
                Ok(()) => break,
                // The recorder was stopped: all earlier records are delivered.
                Err(TrySendError::Disconnected(_)) => {
                    return self.shared.stopped.load(Ordering::Relaxed);
                }
                Err(TrySendError::Full(unsent)) => {
                    if Instant::now() >= deadline {
                        return false;
                    }
                    work = unsent;
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
        match wait.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(()) => true,
            // The request came between the last delivery and the end of the thread.
            Err(RecvTimeoutError::Disconnected) => self.shared.stopped.load(Ordering::Relaxed),
            Err(RecvTimeoutError::Timeout) => false,
        }
    }

    /// The counter of dropped records.
    pub(crate) fn losses(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.dropped)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

fn deliver_until_closed(
    todo: &Receiver<Work>,
    shared: &Weak<RecorderShared>,
    mut sink: Box<dyn RecordSink>,
) {
    // Processors and exporters must not be instrumented here, but they may report losses.
    let _unrecorded = unrecorded();
    let mut next_round = Instant::now() + IDLE;
    let mut has_worked = false;
    loop {
        let received = todo.try_recv().or_else(|_| {
            if std::mem::take(&mut has_worked) {
                thread::sleep(REST);
            }
            todo.recv_timeout(next_round.saturating_duration_since(Instant::now()))
        });
        sink.tick();
        let closed = matches!(received, Err(RecvTimeoutError::Disconnected));
        match received {
            Ok(Work::Block(block)) => {
                sink.deliver(block);
                has_worked = true;
            }
            Ok(Work::Flush(done)) => {
                deliver_buffers(shared, &mut *sink);
                _ = done.try_send(());
            }
            Ok(Work::Stop(done)) => {
                if let Some(shared) = shared.upgrade() {
                    shared.stopped.store(true, Ordering::Relaxed);
                }
                deliver_buffers(shared, &mut *sink);
                _ = done.try_send(());
                return;
            }
            Err(_) => {}
        }
        if closed || Instant::now() >= next_round {
            deliver_buffers(shared, &mut *sink);
            next_round = Instant::now() + IDLE;
        }
        if closed || is_stopped(shared) {
            return;
        }
    }
}

fn is_stopped(shared: &Weak<RecorderShared>) -> bool {
    shared
        .upgrade()
        .is_none_or(|shared| shared.stopped.load(Ordering::Relaxed))
}

/// Delivers the buffers of all threads, and removes those of ended threads.
fn deliver_buffers(shared: &Weak<RecorderShared>, sink: &mut dyn RecordSink) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let buffers = lock(&shared.buffers).clone();
    for buffer in &buffers {
        let records = {
            let mut records = lock(buffer);
            records.take(0)
        };
        sink.deliver(records);
    }
    drop(buffers);
    // A buffer with one reference belongs to an ended thread. It is empty unless it was filled just
    // now.
    lock(&shared.buffers).retain(|buffer| {
        if Arc::strong_count(buffer) > 1 {
            return true;
        }
        let records = lock(buffer);
        let ended = records.list.is_empty();
        if ended {
            shared
                .of_ended_threads
                .fetch_add(records.taken, Ordering::AcqRel);
        }
        !ended
    });
}
