//! Opening RocksDB: checks of the directory, the families, and repeated attempts of readers.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{OnceLock, RwLock};
use std::time::{Duration, Instant};

use rocksdb::{Cache, ColumnFamilyDescriptor, ReadOptions, WriteOptions};

use super::directory::Directory;
use super::events::Events;
use super::families::{Opened, Rocks};
use super::store::RocksEngine;
use super::{log, options as rocks, perf};
use crate::storage::column_families::{DEFAULT, FORMAT_KEY, META, check_format};
use crate::storage::error::{OpenError, StorageError};
use crate::storage::options::StorageOptions;

/// How often a read-only open that misses a file is repeated while the directory does not change.
const READ_ONLY_ATTEMPTS: u32 = 10;

/// How long a read-only open is repeated while a writer changes the directory.
const READ_ONLY_PATIENCE: Duration = Duration::from_secs(30);

impl RocksEngine {
    /// Opens the database in the directory `path`, or creates it if the options allow that.
    pub(in crate::storage) fn open(
        path: &Path,
        options: &StorageOptions,
        namespace: &str,
    ) -> Result<Self, OpenError> {
        let cache = Cache::new_lru_cache(options.cache_size);
        Self::open_with_cache(path, options, namespace, &cache)
    }

    /// Opens the store. A writer may delete files while a reader opens them, so a read-only open
    /// that misses a file is repeated.
    pub(super) fn open_with_cache(
        path: &Path,
        options: &StorageOptions,
        namespace: &str,
        cache: &Cache,
    ) -> Result<Self, OpenError> {
        let deadline = Instant::now() + READ_ONLY_PATIENCE;
        let (mut attempts, mut seen) = (0, None);
        loop {
            let error = match Self::open_once(path, options, namespace, cache.clone()) {
                Err(error) if options.read_only && error.misses_file() => error,
                result => return result,
            };
            // A writer replaces files, so it is at work if the names change.
            let names = Directory::read(path).ok();
            attempts = if names == seen { attempts + 1 } else { 0 };
            seen = names;
            if attempts == READ_ONLY_ATTEMPTS || Instant::now() >= deadline {
                return Err(error.while_written(path));
            }
            std::thread::sleep(Duration::from_millis(10) * attempts.max(1));
        }
    }

    fn open_once(
        path: &Path,
        options: &StorageOptions,
        namespace: &str,
        cache: Cache,
    ) -> Result<Self, OpenError> {
        let exists = check_directory(path, options)?;
        let existing = if exists {
            list_families(path)?
        } else {
            Vec::new()
        };
        refuse_foreign(path, &existing, &cache)?;
        let names = family_names(&existing, options);
        let mut database = rocks::database(options.create_if_missing);
        database.set_db_write_buffer_size(options.memory_table_limit);
        if options.statistics {
            database.enable_statistics();
        }
        let events = (!options.read_only).then(|| Events::new(path, namespace));
        if let Some(events) = &events {
            events.listen(&mut database);
        }
        let db = open_rocks(path, &names, &cache, options, &database)?;
        let mut writes = WriteOptions::default();
        writes.set_sync(options.sync);
        let engine = Self {
            db: Opened::new(db, &names),
            path: path.to_owned(),
            options: options.clone(),
            namespace: namespace.to_owned(),
            cache,
            statistics: options.statistics.then_some(database),
            reads: ReadOptions::default(),
            writes,
            families: RwLock::new(names),
            poison: OnceLock::new(),
            events,
        };
        engine.check_format()?;
        if options.perf_context {
            perf::enable();
        }
        Ok(engine)
    }

    /// Writes the format version to a new database, and rejects versions that this build cannot
    /// read.
    fn check_format(&self) -> Result<(), OpenError> {
        let db = &self.db;
        let failed = |error| OpenError::from_storage(self.path.clone(), StorageError::from(error));
        let Some(meta) = db.family(META) else {
            return Err(OpenError::Foreign {
                path: self.path.clone(),
            });
        };
        let recorded = db.get_cf(&*meta, FORMAT_KEY).map_err(failed)?;
        let is_new = !self.options.read_only && db.latest_sequence_number() == 0;
        let missing = check_format(&self.path, recorded.as_deref(), is_new)?;
        match missing {
            Some(version) => db
                .put_cf_opt(&*meta, FORMAT_KEY, version, &self.writes)
                .map_err(failed),
            None => Ok(()),
        }
    }
}

/// Returns whether there is a database at `path`. Rejects paths where none can be created.
fn check_directory(path: &Path, options: &StorageOptions) -> Result<bool, OpenError> {
    let missing = || OpenError::Missing {
        path: path.to_owned(),
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => OpenError::Denied {
            path: path.to_owned(),
            source: Box::new(error),
        },
        _ => OpenError::Path {
            path: path.to_owned(),
            source: error,
        },
    };
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(OpenError::NotADirectory {
            path: path.to_owned(),
        }),
        Ok(_) => {
            let directory = Directory::read(path).map_err(failed)?;
            if directory.misses_log() {
                Err(OpenError::MissingLog {
                    path: path.to_owned(),
                })
            } else if directory.is_database() {
                log::check(path, &directory.logs())?;
                Ok(true)
            } else if directory.holds_data() {
                Err(OpenError::Incomplete {
                    path: path.to_owned(),
                })
            } else if !options.create_if_missing || options.read_only {
                Err(missing())
            } else if let Some(found) = directory.in_the_way() {
                Err(OpenError::NotEmpty {
                    path: path.to_owned(),
                    found,
                })
            } else {
                Ok(false)
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if options.create_if_missing && !options.read_only {
                Ok(false)
            } else {
                Err(missing())
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(OpenError::NotADirectory {
                path: path.to_owned(),
            })
        }
        Err(error) => Err(failed(error)),
    }
}

fn list_families(path: &Path) -> Result<Vec<String>, OpenError> {
    let options = rocks::database(false);
    Rocks::list_cf(&options, path)
        .map_err(|error| OpenError::from_storage(path.to_owned(), error.into()))
}

/// Rejects a database without the family `meta`, before anything is changed. A database that was
/// never written to is accepted: it may be percolate's own, if its creation was interrupted.
fn refuse_foreign(path: &Path, existing: &[String], cache: &Cache) -> Result<(), OpenError> {
    if existing.is_empty() || existing.iter().any(|name| name == META) {
        return Ok(());
    }
    let unwritten = open_rocks(
        path,
        existing,
        cache,
        &StorageOptions::new().read_only(true),
        &rocks::database(false),
    )?;
    match unwritten.latest_sequence_number() {
        0 => Ok(()),
        _ => Err(OpenError::Foreign {
            path: path.to_owned(),
        }),
    }
}

/// Returns the families to open, sorted: all that exist, and the requested ones if they may be
/// created.
fn family_names(existing: &[String], options: &StorageOptions) -> Vec<String> {
    let mut names = existing.to_vec();
    if !options.read_only {
        names.extend([DEFAULT.to_owned(), META.to_owned()]);
        names.extend(options.column_families.iter().cloned());
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn open_rocks(
    path: &Path,
    names: &[String],
    cache: &Cache,
    options: &StorageOptions,
    database: &rocksdb::Options,
) -> Result<Rocks, OpenError> {
    let families = names
        .iter()
        .map(|name| ColumnFamilyDescriptor::new(name, rocks::family(name, cache)));
    let opened = if options.read_only {
        Rocks::open_cf_descriptors_read_only(database, path, families, false)
    } else {
        Rocks::open_cf_descriptors(database, path, families)
    };
    opened.map_err(|error| OpenError::from_storage(path.to_owned(), error.into()))
}
