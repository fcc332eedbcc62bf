//! The thread that turns the events of one store into jobs: a span, and a measurement of
//! `job.duration`, for each flush, compaction, ingested file and write stall.
//!
//! A job starts when its begin arrives and ends when its end does, with the times of RocksDB's
//! threads. So a running compaction is counted in `job.active`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use super::event::{
    CompactionResult, Event, FamilyName, FileSize, StallCause, ThreadMark, What, compaction_reason,
    flush_reason,
};
use super::stalls::{Change, SETTLE, Stalls};
use crate::otel::conventions::{JobStatus, attribute};
use crate::otel::{CallBuilder, ErrorInfo, Parent, RunningCall, job_site, operation};
use crate::storage::StatusCode;

job_site!(
    static FLUSH = "rocksdb.flush",
    fields = ["db.namespace", "rocksdb.job.id", "rocksdb.job.reason"],
    late = [
        "rocksdb.output.level",
        "rocksdb.output.files",
        "rocksdb.output.size",
        "rocksdb.output.records",
    ]
);
job_site!(
    static COMPACTION = "rocksdb.compaction",
    fields = [
        "db.namespace",
        "rocksdb.job.id",
        "rocksdb.job.reason",
        "rocksdb.input.level",
        "rocksdb.output.level",
    ],
    late = [
        "rocksdb.input.files",
        "rocksdb.input.size",
        "rocksdb.input.records",
        "rocksdb.output.files",
        "rocksdb.output.size",
        "rocksdb.output.records",
        "rocksdb.dropped.records",
        "rocksdb.compaction.move",
    ]
);
job_site!(
    static STALL = "rocksdb.stall",
    fields = ["db.namespace", "rocksdb.job.reason", "rocksdb.stall.condition"]
);
job_site!(
    static INGESTION = "rocksdb.ingestion",
    fields = ["db.namespace"],
    late = ["rocksdb.output.files", "rocksdb.output.size", "rocksdb.output.records"]
);

/// Returns whether something listens to jobs on this thread.
pub(super) fn is_observed() -> bool {
    FLUSH.is_observed()
}

/// Returns the size of the table file with this number.
pub(super) fn file_size(directory: &Path, number: u64) -> FileSize {
    match fs::metadata(directory.join(format!("{number:06}.sst"))) {
        Ok(file) => FileSize::Bytes(file.len()),
        Err(_) => FileSize::Unknown,
    }
}

/// The most jobs that run at the same time. A flush that finds its memory tables flushed already has
/// no end.
const MOST_JOBS: usize = 64;

/// The running jobs of one store.
pub(super) struct Recorder {
    namespace: String,
    directory: PathBuf,
    running: HashMap<(FamilyName, i32), Job>,
    stalls: Stalls<RunningCall>,
}

struct Job {
    call: RunningCall,
    began: Instant,
    /// The thread of a flush: it reports a failure, and no end.
    flushes_on: Option<ThreadMark>,
}

impl Recorder {
    pub(super) fn new(namespace: String, directory: PathBuf) -> Self {
        Self {
            namespace,
            directory,
            running: HashMap::new(),
            stalls: Stalls::new(),
        }
    }

    /// Records events until the database is closed.
    pub(super) fn run(mut self, events: &Receiver<Event>) {
        let closed = loop {
            self.settle(Instant::now());
            let event = if self.stalls.is_waiting() {
                events.recv_timeout(SETTLE)
            } else {
                events.recv().map_err(RecvTimeoutError::from)
            };
            match event {
                Ok(Event {
                    what: What::Closed,
                    at,
                    ..
                }) => break at,
                Ok(event) => self.record(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break Instant::now(),
            }
        };
        self.settle(Instant::now() + SETTLE);
        // RocksDB does not report the end of jobs that closing has stopped.
        for (_, job) in self.running.drain() {
            cancel(job, closed);
        }
        for mut stall in self.stalls.drain() {
            stall.job_status(JobStatus::Cancelled);
            stall.finish_at(closed);
        }
    }

    /// Records the stalls whose changes have waited until `now`.
    fn settle(&mut self, now: Instant) {
        let namespace = &*self.namespace;
        self.stalls.settle(
            now,
            |family, change| stalled(namespace, family, change),
            RunningCall::finish_at,
        );
    }

    fn record(&mut self, event: Event) {
        let Event {
            family,
            at,
            job,
            what,
        } = event;
        match what {
            What::FlushBegan { reason, thread } => {
                let call = operation(FLUSH)
                    .field(attribute::ROCKSDB_JOB_ID, job)
                    .field(attribute::ROCKSDB_JOB_REASON, flush_reason(reason));
                let call = start(call, &self.namespace, &family, at);
                self.begin((family, job), call, at, Some(thread));
            }
            What::FlushEnded { file, records } => {
                if let Some(Job { mut call, .. }) = self.running.remove(&(family, job)) {
                    flushed(&mut call, file, records);
                    call.finish_at(at);
                }
            }
            What::Failed { thread, code } => self.fail_flush(thread, code, at),
            What::CompactionBegan {
                reason,
                input_level,
                output_level,
            } => {
                let call = operation(COMPACTION)
                    .field(attribute::ROCKSDB_JOB_ID, job)
                    .field(attribute::ROCKSDB_JOB_REASON, compaction_reason(reason))
                    .field(attribute::ROCKSDB_INPUT_LEVEL, input_level)
                    .field(attribute::ROCKSDB_OUTPUT_LEVEL, output_level);
                let call = start(call, &self.namespace, &family, at);
                self.begin((family, job), call, at, None);
            }
            What::CompactionEnded { code, result } => {
                if let Some(Job { mut call, .. }) = self.running.remove(&(family, job)) {
                    compacted(&mut call, code, result);
                    call.finish_at(at);
                }
            }
            What::Ingested { file, records } => {
                // RocksDB reports no begin. The file is copied or linked, and then renamed.
                let mut call = start(operation(INGESTION), &self.namespace, &family, at);
                call.record(attribute::ROCKSDB_OUTPUT_FILES, 1);
                if let FileSize::Bytes(bytes) = file_size(&self.directory, file) {
                    call.record(attribute::ROCKSDB_OUTPUT_SIZE, bytes);
                }
                call.record(attribute::ROCKSDB_OUTPUT_RECORDS, records);
                call.finish_at(at);
            }
            What::StallChanged {
                from,
                to,
                cause,
                span,
            } => {
                let change = Change {
                    at,
                    from,
                    to,
                    cause,
                    span,
                };
                self.stalls.add(family, change, Instant::now());
            }
            What::Closed => {}
        }
    }

    fn begin(
        &mut self,
        key: (FamilyName, i32),
        call: RunningCall,
        began: Instant,
        flushes_on: Option<ThreadMark>,
    ) {
        let job = Job {
            call,
            began,
            flushes_on,
        };
        match self.running.entry(key) {
            Entry::Occupied(mut before) => cancel(before.insert(job), began),
            Entry::Vacant(place) => _ = place.insert(job),
        }
        if self.running.len() > MOST_JOBS {
            let oldest = self.running.iter().min_by_key(|(_, job)| job.began);
            if let Some(key) = oldest.map(|(key, _)| key.clone())
                && let Some(job) = self.running.remove(&key)
            {
                cancel(job, began);
            }
        }
    }

    /// Ends the flush on this thread as failed, if there is one.
    fn fail_flush(&mut self, thread: ThreadMark, code: StatusCode, at: Instant) {
        let flush = self
            .running
            .iter()
            .filter(|(_, job)| job.flushes_on == Some(thread))
            .max_by_key(|(_, job)| job.began);
        if let Some(key) = flush.map(|(key, _)| key.clone())
            && let Some(Job { mut call, .. }) = self.running.remove(&key)
        {
            call.fail(ErrorInfo::new(code.as_str()));
            call.finish_at(at);
        }
    }
}

/// Starts the job of a family. It has no parent: RocksDB's threads work for all callers.
fn start<'a>(
    call: CallBuilder<'a>,
    namespace: &'a str,
    family: &'a FamilyName,
    at: Instant,
) -> RunningCall {
    call.target(family.as_str())
        .parent(Parent::Root)
        .field(attribute::DB_NAMESPACE, namespace)
        .started_at(at)
        .start()
}

fn stalled(namespace: &str, family: &FamilyName, change: &Change) -> RunningCall {
    let cause = change.cause.map(StallCause::as_str);
    let mut call = operation(STALL)
        .field(attribute::ROCKSDB_JOB_REASON, cause)
        .field(attribute::ROCKSDB_STALL_CONDITION, change.to.as_str());
    if let Some(span) = &change.span {
        // Writes that waited link to it.
        call = call.link_target(span.clone());
    }
    start(call, namespace, family, change.at)
}

fn cancel(Job { mut call, .. }: Job, at: Instant) {
    call.job_status(JobStatus::Cancelled);
    call.finish_at(at);
}

fn flushed(call: &mut RunningCall, file: FileSize, records: u64) {
    let (files, bytes) = match file {
        FileSize::Bytes(bytes) => (1, Some(bytes)),
        FileSize::NoFile => (0, Some(0)),
        FileSize::Unknown => (1, None),
    };
    call.record(attribute::ROCKSDB_OUTPUT_LEVEL, 0);
    call.record(attribute::ROCKSDB_OUTPUT_FILES, files);
    call.record(attribute::ROCKSDB_OUTPUT_SIZE, bytes);
    call.record(attribute::ROCKSDB_OUTPUT_RECORDS, records);
}

fn compacted(call: &mut RunningCall, code: Option<StatusCode>, result: CompactionResult) {
    match code {
        None => {}
        // The database is being closed, the family was dropped, or a manual one was stopped.
        Some(
            StatusCode::ShutdownInProgress
            | StatusCode::ColumnFamilyDropped
            | StatusCode::Incomplete,
        ) => call.job_status(JobStatus::Cancelled),
        Some(code) => call.fail(ErrorInfo::new(code.as_str())),
    }
    call.record(attribute::ROCKSDB_INPUT_FILES, result.input_files);
    call.record(attribute::ROCKSDB_OUTPUT_FILES, result.output_files);
    if result.is_move {
        // Nothing was read or written.
        call.record(attribute::ROCKSDB_COMPACTION_MOVE, true);
        return;
    }
    call.record(attribute::ROCKSDB_INPUT_SIZE, result.input_bytes);
    call.record(attribute::ROCKSDB_INPUT_RECORDS, result.input_records);
    call.record(attribute::ROCKSDB_OUTPUT_SIZE, result.output_bytes);
    call.record(attribute::ROCKSDB_OUTPUT_RECORDS, result.output_records);
    let dropped = result.input_records.saturating_sub(result.output_records);
    call.record(attribute::ROCKSDB_DROPPED_RECORDS, dropped);
}
