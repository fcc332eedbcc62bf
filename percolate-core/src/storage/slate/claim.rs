//! Claims: how one of several writers that open a database at the same time gets it.
//!
//! The list of files has a number, the epoch, for the writer and one for the compaction. Opening claims
//! the epochs after those that it has found, under the condition that they are still the same. Without
//! the condition, a writer that opens slowly could claim the compaction of one that has opened after it,
//! and end both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use slatedb::VersionedManifest;
use slatedb::compactor::{CompactionScheduler, CompactionSchedulerSupplier};
use slatedb::config::CompactorOptions;
use slatedb::size_tiered_compaction::SizeTieredCompactionSchedulerSupplier;

/// How often a claim is repeated that another writer has disturbed and not won.
pub(super) const CLAIMS: usize = 10;

/// The epochs of a database. Those of a new one are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Epochs {
    pub(super) writer: u64,
    pub(super) compaction: u64,
}

impl From<VersionedManifest> for Epochs {
    fn from(manifest: VersionedManifest) -> Self {
        Self {
            writer: manifest.writer_epoch(),
            compaction: manifest.compactor_epoch(),
        }
    }
}

/// Notes whether an opening has claimed the epoch of the writer: after that, and before it claims that of
/// the compaction, SlateDB needs the scheduler of compactions.
#[derive(Default)]
pub(super) struct Claimed(AtomicBool);

impl Claimed {
    pub(super) fn is_writer(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// SlateDB's own scheduler of compactions, for an opening.
pub(super) struct Scheduler(pub(super) Arc<Claimed>);

impl CompactionSchedulerSupplier for Scheduler {
    fn compaction_scheduler(
        &self,
        options: &CompactorOptions,
    ) -> Box<dyn CompactionScheduler + Send + Sync> {
        self.0.0.store(true, Ordering::Relaxed);
        SizeTieredCompactionSchedulerSupplier.compaction_scheduler(options)
    }
}
