//! Copies of a store to another place: from a directory to an object store and back.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::column_families::{DEFAULT, FORMAT_KEY, META};
use super::db::Storage;
use super::error::{MaintenanceError, OpenError, ReadError, WriteError};
use super::options::StorageOptions;
use super::range::ScanRange;
use super::snapshot::Snapshot;
use crate::otel::{ErrorType, register_error_type};
use crate::progress::{OnProgress, Progress, Running};
use crate::{db_op, db_ops};

/// A batch is committed when it has this many bytes or entries.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_ENTRIES: usize = 1_000;

/// The result of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CopyReport {
    /// The number of copied column families.
    pub column_families: usize,
    /// The number of copied entries.
    pub entries: usize,
    /// The sizes of the copied keys and values together, in bytes.
    pub bytes: u64,
}

/// An error of a copy. What was copied before stays in the target: delete it before another attempt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The target cannot be opened.
    #[error("cannot copy the database: its target cannot be opened")]
    Open(#[from] OpenError),
    /// The target has data, which the copy would mix with that of this store.
    #[error(
        "cannot copy the database to {}: it has data in the column family `{column_family}`; pass a new place",
        path.display()
    )]
    NotEmpty {
        /// The path or URL of the target.
        path: PathBuf,
        /// A column family with data.
        column_family: String,
    },
    /// A column family of the target cannot be created, or the target cannot be flushed.
    #[error("cannot copy the database")]
    Maintenance(#[from] MaintenanceError),
    /// This store or the target cannot be read.
    #[error("cannot copy the database")]
    Read(#[from] ReadError),
    /// The target cannot be written.
    #[error("cannot copy the database")]
    Write(#[from] WriteError),
    /// The target does not have what was written to it.
    #[error(
        "the copy of the database to {} is not complete: entry {entry} of the column family `{column_family}` differs; \
         delete the copy and try again, while nothing else writes to it",
        path.display()
    )]
    Different {
        /// The path or URL of the target.
        path: PathBuf,
        /// The column family.
        column_family: String,
        /// The position of the entry in the family, from 0.
        entry: usize,
    },
    /// The progress function ended the copy.
    #[error("the progress function ended the copy of the database")]
    Cancelled,
}

impl ErrorType for CopyError {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::Open(source) => source.error_type(),
            Self::NotEmpty { .. } => Cow::Borrowed("NotEmpty"),
            Self::Maintenance(source) => source.error_type(),
            Self::Read(source) => source.error_type(),
            Self::Write(source) => source.error_type(),
            Self::Different { .. } => Cow::Borrowed("Different"),
            Self::Cancelled => Cow::Borrowed("Cancelled"),
        }
    }

    fn status_code(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Open(source) => source.status_code(),
            Self::Maintenance(source) => source.status_code(),
            Self::Read(source) => source.status_code(),
            Self::Write(source) => source.status_code(),
            Self::NotEmpty { .. } | Self::Different { .. } | Self::Cancelled => None,
        }
    }
}

impl Storage {
    /// Copies the store to the new place `path`, a directory or the URL of an object store, and
    /// compares the copy with the original, entry by entry. The copy has the state at the time of
    /// the call; other threads may write meanwhile. `options` are those of the target.
    ///
    /// Index files of vectors are not copied; they are rebuilt from the vectors.
    ///
    /// # Errors
    ///
    /// [`CopyError`], if the target has data, cannot be written, or is not equal to the original
    /// afterwards.
    ///
    /// ```
    /// use percolate_core::storage::{Storage, StorageOptions};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    /// let storage = Storage::open(&from, StorageOptions::new().column_family("articles"))?;
    /// storage.put("articles", b"percolate", b"a way through")?;
    /// let report = storage.copy_to(&to, StorageOptions::new())?;
    /// assert_eq!(report.entries, 2, "the article and the format version");
    /// # Ok(())
    /// # }
    /// ```
    pub fn copy_to(
        &self,
        path: impl AsRef<Path>,
        options: StorageOptions,
    ) -> Result<CopyReport, CopyError> {
        self.copy(path.as_ref(), options, &OnProgress::default())
    }

    /// Like [`copy_to`](Self::copy_to), and calls `on_progress` after each batch: with the number of
    /// entries that were copied, and then again from zero with the number that were compared. It can
    /// end the copy.
    ///
    /// # Errors
    ///
    /// The errors of [`copy_to`](Self::copy_to), and [`CopyError::Cancelled`].
    pub fn copy_to_with_progress(
        &self,
        path: impl AsRef<Path>,
        options: StorageOptions,
        on_progress: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Result<CopyReport, CopyError> {
        self.copy(path.as_ref(), options, &OnProgress::new(on_progress))
    }
}

#[db_ops(system = self.system(), namespace = self.namespace(), server_address = self.server_address())]
impl Storage {
    #[db_op("copy", affected_rows = |report| report.entries, rows = none)]
    fn copy(
        &self,
        path: &Path,
        mut options: StorageOptions,
        on_progress: &OnProgress,
    ) -> Result<CopyReport, CopyError> {
        register_error_type::<CopyError>();
        refuse_existing(path, &options)?;
        let from = self.snapshot();
        let mut names = self.column_families();
        if names.iter().any(|name| name == DEFAULT) && is_empty(&from, DEFAULT)? {
            names.retain(|name| name != DEFAULT);
        }
        options.column_families.extend(names.iter().cloned());
        let copy = Copy {
            from,
            to: Storage::open(path, options)?,
            names,
            running: on_progress.start(),
        };
        // Another process may have filled it meanwhile.
        refuse_data(&copy.to)?;
        let report = copy.write()?;
        copy.to.flush_wal(true)?;
        copy.compare(report.entries)?;
        Ok(report)
    }
}

/// Refuses a target that is in use, before it is opened for writing: on an object store, that would
/// end the rights of its writer.
fn refuse_existing(path: &Path, options: &StorageOptions) -> Result<(), CopyError> {
    match Storage::open(path, options.clone().read_only(true)) {
        Ok(existing) => refuse_data(&existing),
        // Opening it for writing has the reason why it cannot be used, if there is one.
        Err(_) => Ok(()),
    }
}

/// Refuses a database that has more than its format version.
fn refuse_data(target: &Storage) -> Result<(), CopyError> {
    for name in target.column_families() {
        for entry in target.scan(&name, ScanRange::all())?.take(2) {
            let (key, _) = entry?;
            if name != META || *key != *FORMAT_KEY {
                return Err(CopyError::NotEmpty {
                    path: target.path().to_owned(),
                    column_family: name,
                });
            }
        }
    }
    Ok(())
}

fn is_empty(storage: &Snapshot<'_>, family: &str) -> Result<bool, ReadError> {
    let first = storage.scan(family, ScanRange::all())?.next();
    Ok(first.transpose()?.is_none())
}

/// A copy in progress.
struct Copy<'a> {
    from: Snapshot<'a>,
    to: Storage,
    /// The column families.
    names: Vec<String>,
    running: Running,
}

impl Copy<'_> {
    fn write(&self) -> Result<CopyReport, CopyError> {
        let mut report = CopyReport {
            column_families: self.names.len(),
            ..CopyReport::default()
        };
        for name in &self.names {
            let (mut batch, mut bytes) = (self.to.batch(), 0);
            for entry in self.from.scan(name, ScanRange::all())? {
                let (key, value) = entry?;
                batch.put(name, &key, &value)?;
                bytes += key.len() + value.len();
                report.entries += 1;
                report.bytes += key.len() as u64 + value.len() as u64;
                if bytes >= BATCH_BYTES || batch.len() >= BATCH_ENTRIES {
                    std::mem::replace(&mut batch, self.to.batch()).commit()?;
                    bytes = 0;
                    self.tell(report.entries, None)?;
                }
            }
            if !batch.is_empty() {
                batch.commit()?;
            }
        }
        self.tell(report.entries, None)?;
        Ok(report)
    }

    /// Reads the copy and compares it with the original.
    fn compare(&self, total: usize) -> Result<(), CopyError> {
        let mut compared = 0;
        for name in &self.names {
            let mut copied = self.to.scan(name, ScanRange::all())?;
            let mut original = self.from.scan(name, ScanRange::all())?;
            for entry in 0.. {
                let (left, right) = (original.next().transpose()?, copied.next().transpose()?);
                if left != right {
                    return Err(CopyError::Different {
                        path: self.to.path().to_owned(),
                        column_family: name.clone(),
                        entry,
                    });
                }
                if left.is_none() {
                    break;
                }
                compared += 1;
                if compared % BATCH_ENTRIES == 0 {
                    self.tell(compared, Some(total))?;
                }
            }
        }
        self.tell(compared, Some(total))
    }

    fn tell(&self, done: usize, total: Option<usize>) -> Result<(), CopyError> {
        match self.running.notify(done, total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(CopyError::Cancelled),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn filled(dir: &Path) -> Storage {
        let options = StorageOptions::new().column_family("a").column_family("b");
        let storage = Storage::open(dir, options).unwrap();
        for n in 0..2_500_u32 {
            storage.put("a", n.to_be_bytes(), [7; 10]).unwrap();
        }
        storage.put("b", "", "the empty key").unwrap();
        storage.put("b", "large", vec![1; 3 << 20]).unwrap();
        storage
    }

    fn entries(storage: &Storage, family: &str) -> Vec<crate::storage::Entry> {
        let all = storage.scan(family, ScanRange::all()).unwrap();
        all.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_copy_has_every_entry_and_its_progress_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let storage = filled(&dir.path().join("from"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let target = dir.path().join("to");
        let report = storage
            .copy_to_with_progress(&target, StorageOptions::new(), move |progress| {
                noted.lock().unwrap().push((progress.done, progress.total));
                ControlFlow::Continue(())
            })
            .unwrap();
        let copied = CopyReport {
            column_families: 3,
            entries: 2_503,
            bytes: 2_500 * 14 + 13 + 5 + (3 << 20) + 6 + 4,
        };
        assert_eq!(report, copied);
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(seen.first(), Some(&(1_000, None)));
        assert_eq!(seen.last(), Some(&(2_503, Some(2_503))));
        storage.put("a", "later", "").unwrap();
        let copy = Storage::open(&target, StorageOptions::new()).unwrap();
        for family in ["b", META] {
            assert_eq!(entries(&copy, family), entries(&storage, family));
        }
        assert_eq!(entries(&copy, "a").len(), 2_500);
        // A family of the options exists in the copy too.
        let more = StorageOptions::new().column_family("c");
        copy.copy_to(dir.path().join("more"), more).unwrap();
    }

    #[test]
    fn a_target_with_data_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let storage = filled(&dir.path().join("from"));
        let target = dir.path().join("to");
        storage.copy_to(&target, StorageOptions::new()).unwrap();
        let error = storage.copy_to(&target, StorageOptions::new()).unwrap_err();
        assert_eq!(error.error_type(), "NotEmpty");
        let text = error.to_string();
        assert!(text.contains("in the column family `a`"), "{text}");
    }

    #[test]
    fn a_copy_can_be_ended() {
        let dir = tempfile::tempdir().unwrap();
        let storage = filled(&dir.path().join("from"));
        let target = dir.path().join("to");
        let ended = storage.copy_to_with_progress(&target, StorageOptions::new(), |progress| {
            if progress.total.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert_eq!(ended.unwrap_err().error_type(), "Cancelled");
    }

    #[test]
    fn a_difference_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let storage = filled(&dir.path().join("from"));
        let target = dir.path().join("to");
        storage.copy_to(&target, StorageOptions::new()).unwrap();
        let to = Storage::open(&target, StorageOptions::new()).unwrap();
        let copy = Copy {
            from: storage.snapshot(),
            to: to.clone(),
            names: vec!["a".to_owned(), "b".to_owned()],
            running: OnProgress::default().start(),
        };
        copy.compare(0).unwrap();
        to.put("b", "", "another value").unwrap();
        let text = copy.compare(0).unwrap_err().to_string();
        assert!(text.contains("entry 0 of the column family `b`"), "{text}");
        to.delete("b", "").unwrap();
        copy.compare(0).unwrap_err();
        to.put("b", "", "the empty key").unwrap();
        to.put("a", "z", "one more").unwrap();
        let text = copy.compare(0).unwrap_err().to_string();
        assert!(
            text.contains("entry 2500 of the column family `a`"),
            "{text}"
        );
    }

    #[cfg(feature = "object-store")]
    #[test]
    fn the_writer_of_a_refused_target_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let storage = filled(&dir.path().join("from"));
        let url = format!("file://{}/live", dir.path().display());
        let options = StorageOptions::new().column_family("a").sync(true);
        let live = Storage::open(&url, options).unwrap();
        live.put("a", "key", "value").unwrap();
        let error = storage.copy_to(&url, StorageOptions::new()).unwrap_err();
        assert_eq!(error.error_type(), "NotEmpty");
        live.put("a", "key", "later").unwrap();
    }

    #[cfg(feature = "object-store")]
    #[test]
    fn a_store_goes_to_an_object_store_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let storage = filled(&dir.path().join("from"));
        if storage.system() == "rocksdb" {
            storage.put("default", "mine", "too").unwrap();
        }
        let url = format!("file://{}/objects", dir.path().display());
        let there = storage.copy_to(&url, StorageOptions::new()).unwrap();
        let objects = Storage::open(&url, StorageOptions::new().read_only(true)).unwrap();
        assert_eq!(objects.system(), "slatedb");
        let back = dir.path().join("back");
        assert_eq!(
            objects.copy_to(&back, StorageOptions::new()).unwrap(),
            there
        );
        let back = Storage::open(&back, StorageOptions::new()).unwrap();
        for family in storage.column_families() {
            assert_eq!(entries(&back, &family), entries(&storage, &family));
        }
    }
}
