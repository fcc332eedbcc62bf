//! What a callback of RocksDB passes to the thread that records it: plain values, no keys and no
//! contents of files.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Instant;

use crate::otel::LinkTarget;
use crate::storage::StatusCode;

/// One event, and the column family that it is about.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) family: FamilyName,
    pub(super) at: Instant,
    /// The number of the job in RocksDB's log, 0 for events that are not of a job.
    pub(super) job: i32,
    pub(super) what: What,
}

/// What happened.
#[derive(Debug)]
pub(super) enum What {
    FlushBegan {
        reason: u32,
        thread: ThreadMark,
    },
    FlushEnded {
        file: FileSize,
        records: u64,
    },
    /// Background work of this thread failed.
    Failed {
        thread: ThreadMark,
        code: StatusCode,
    },
    CompactionBegan {
        reason: u32,
        input_level: i32,
        output_level: i32,
    },
    CompactionEnded {
        code: Option<StatusCode>,
        result: CompactionResult,
    },
    Ingested {
        file: u64,
        records: u64,
    },
    StallChanged {
        from: Condition,
        to: Condition,
        cause: Option<StallCause>,
        /// The span of the stall that begins.
        span: Option<LinkTarget>,
    },
    /// The database was closed.
    Closed,
}

/// Whether writes to a family are slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Normal,
    Delayed,
    Stopped,
}

impl Condition {
    /// Returns the condition of RocksDB's number (`WriteStallCondition`).
    pub(super) fn of(number: i32) -> Self {
        match number {
            0 => Self::Delayed,
            1 => Self::Stopped,
            _ => Self::Normal,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Delayed => "delayed",
            Self::Stopped => "stopped",
        }
    }
}

/// Why writes are slowed down, as far as RocksDB shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StallCause {
    /// Too many memory tables wait to be flushed.
    MemoryTables,
    /// Too many files wait for a compaction of level 0.
    LevelZeroFiles,
}

impl StallCause {
    /// Returns the word of RocksDB's statistics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::MemoryTables => "memtable_limit",
            Self::LevelZeroFiles => "l0_file_count_limit",
        }
    }
}

/// What a compaction read and wrote.
#[derive(Debug, Clone, Copy)]
pub(super) struct CompactionResult {
    pub(super) input_files: usize,
    pub(super) output_files: usize,
    pub(super) input_bytes: u64,
    pub(super) output_bytes: u64,
    pub(super) input_records: u64,
    pub(super) output_records: u64,
    /// The files were assigned to another level without being read.
    pub(super) is_move: bool,
}

/// The size of a file that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileSize {
    Bytes(u64),
    /// There was nothing to write, so there is no file.
    NoFile,
    /// The file could not be read, for example because it was compacted already.
    Unknown,
}

/// A thread of RocksDB. Two jobs that run at the same time have different marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ThreadMark(usize);

impl ThreadMark {
    /// Returns the mark of this thread.
    pub(super) fn current() -> Self {
        thread_local! {
            static MARK: u8 = const { 0 };
        }
        Self(
            MARK.try_with(|mark| std::ptr::from_ref(mark).addr())
                .unwrap_or(0),
        )
    }
}

/// The longest name that needs no allocation.
const INLINE: usize = 46;

/// The name of a column family. Names of usual length are not allocated, because the thread that
/// calls back can be the one of a write.
#[derive(Clone)]
pub(super) enum FamilyName {
    Inline { length: u8, bytes: [u8; INLINE] },
    Boxed(Box<[u8]>),
}

impl FamilyName {
    pub(super) fn new(name: &[u8]) -> Self {
        match u8::try_from(name.len()) {
            Ok(length) if name.len() <= INLINE => {
                let mut bytes = [0; INLINE];
                bytes[..name.len()].copy_from_slice(name);
                Self::Inline { length, bytes }
            }
            _ => Self::Boxed(name.into()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Self::Boxed(bytes) => bytes,
        }
    }

    /// Returns the name as text. percolate's names are UTF-8.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl PartialEq for FamilyName {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for FamilyName {}

impl Hash for FamilyName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for FamilyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Returns RocksDB's word for the reason of a flush (`FlushReason`).
pub(super) fn flush_reason(reason: u32) -> &'static str {
    const REASONS: [&str; 16] = [
        "other",
        "get_live_files",
        "shutdown",
        "external_file_ingestion",
        "manual_compaction",
        "write_buffer_manager",
        "write_buffer_full",
        "test",
        "delete_files",
        "auto_compaction",
        "manual_flush",
        "error_recovery",
        "error_recovery_retry",
        "wal_full",
        "catch_up_after_error_recovery",
        "memtable_max_range_deletions",
    ];
    word(&REASONS, reason)
}

/// Returns RocksDB's word for the reason of a compaction (`CompactionReason`).
pub(super) fn compaction_reason(reason: u32) -> &'static str {
    const REASONS: [&str; 21] = [
        "unknown",
        "level_l0_files_num",
        "level_max_level_size",
        "universal_size_amplification",
        "universal_size_ratio",
        "universal_sorted_run_num",
        "fifo_max_size",
        "fifo_reduce_num_files",
        "fifo_ttl",
        "manual_compaction",
        "files_marked_for_compaction",
        "bottommost_files",
        "ttl",
        "flush",
        "external_sst_ingestion",
        "periodic_compaction",
        "change_temperature",
        "forced_blob_gc",
        "round_robin_ttl",
        "refit_level",
        "read_triggered",
    ];
    word(&REASONS, reason)
}

fn word(words: &[&'static str], number: u32) -> &'static str {
    usize::try_from(number)
        .ok()
        .and_then(|number| words.get(number))
        .copied()
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_length_are_kept() {
        for length in [0, 1, INLINE, INLINE + 1, 300] {
            let name = "n".repeat(length);
            let family = FamilyName::new(name.as_bytes());
            assert_eq!(family.as_str(), name);
            assert_eq!(family, FamilyName::new(name.as_bytes()));
            assert_eq!(
                matches!(family, FamilyName::Inline { .. }),
                length <= INLINE
            );
        }
        assert_ne!(FamilyName::new(b"a"), FamilyName::new(b"b"));
    }

    #[test]
    fn threads_have_different_marks() {
        let here = ThreadMark::current();
        assert_eq!(here, ThreadMark::current());
        let there = std::thread::spawn(ThreadMark::current);
        assert_ne!(here, there.join().expect("it does not panic"));
    }

    #[test]
    fn an_unknown_reason_has_a_word() {
        assert_eq!(flush_reason(6), "write_buffer_full");
        assert_eq!(compaction_reason(9), "manual_compaction");
        assert_eq!(flush_reason(u32::MAX), "other");
        assert_eq!(compaction_reason(1000), "other");
    }
}
