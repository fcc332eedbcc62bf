//! [`Follower`]: a read-only database that is refreshed when it is read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::Database;
use super::error::Error;

/// A database that was opened read-only, as of at most some time ago.
///
/// A read-only handle keeps the state that it found when it was opened. [`current`](Self::current)
/// returns a handle that is refreshed first if the last refresh was too long ago. Nothing is
/// refreshed between reads, so a follower that is not used costs nothing.
///
/// ```
/// use std::time::Duration;
///
/// use percolate_core::storage::StorageOptions;
/// use percolate_core::{Database, DatabaseOptions, Follower};
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let writer = Database::open(dir.path())?;
/// let options = DatabaseOptions::new().storage(StorageOptions::new().read_only(true));
/// let reader = Database::open_with(dir.path(), options)?;
/// let follower = Follower::new(reader, Duration::ZERO);
/// writer.register_schema("articles", &json!({}))?;
/// assert_eq!(follower.current()?.tables(), ["articles"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Follower(Followed);

#[derive(Debug)]
enum Followed {
    /// Opened for writing, so that it is always current.
    Current(Database),
    /// Opened read-only.
    Refreshed(Refreshed),
}

#[derive(Debug)]
struct Refreshed {
    /// `None` if the database is refreshed on request only.
    interval: Option<Duration>,
    state: RwLock<State>,
    refreshes: AtomicU64,
    /// Held during a refresh, so that threads that need one wait for it instead of starting another.
    refreshing: Mutex<()>,
}

#[derive(Debug, Clone)]
struct State {
    database: Database,
    /// The time at which the database was at least as new as its state is.
    as_of: Instant,
}

impl Follower {
    /// Follows the writer of `database`. A read that comes `interval` or later after the last refresh
    /// refreshes first; without an interval, only [`refresh`](Self::refresh) does. A database that was
    /// opened for writing is always current.
    pub fn new(database: Database, interval: impl Into<Option<Duration>>) -> Self {
        if !database.storage().is_read_only() {
            return Self(Followed::Current(database));
        }
        Self(Followed::Refreshed(Refreshed {
            interval: interval.into(),
            state: RwLock::new(State {
                database,
                as_of: Instant::now(),
            }),
            refreshes: AtomicU64::new(0),
            refreshing: Mutex::new(()),
        }))
    }

    /// Returns the database, refreshed if that is due. Of several threads that need a refresh at the
    /// same time, one refreshes and the others wait for it. Handles that were returned before keep
    /// their state.
    ///
    /// # Errors
    ///
    /// The errors of [`Database::refreshed`]. The state stays as it was, and the next call tries
    /// again.
    pub fn current(&self) -> Result<Database, Error> {
        match &self.0 {
            Followed::Current(database) => Ok(database.clone()),
            Followed::Refreshed(refreshed) => refreshed.current(),
        }
    }

    /// Calls `read` with the database of [`current`](Self::current). With a database that was opened for
    /// writing, this takes no lock and makes no new handle. No lock is held during the call.
    ///
    /// # Errors
    ///
    /// Those of [`current`](Self::current).
    pub fn with_current<T>(&self, read: impl FnOnce(&Database) -> T) -> Result<T, Error> {
        Ok(match &self.0 {
            Followed::Current(database) => read(database),
            Followed::Refreshed(refreshed) => read(&refreshed.current()?),
        })
    }

    /// Refreshes the database, due or not, and returns it.
    ///
    /// # Errors
    ///
    /// Those of [`current`](Self::current).
    pub fn refresh(&self) -> Result<Database, Error> {
        match &self.0 {
            Followed::Current(database) => Ok(database.clone()),
            Followed::Refreshed(refreshed) => refreshed.refresh(),
        }
    }

    /// Returns the database as of the last refresh.
    pub fn last(&self) -> Database {
        match &self.0 {
            Followed::Current(database) => database.clone(),
            Followed::Refreshed(refreshed) => refreshed.read(|state| state.database.clone()),
        }
    }

    /// Returns the number of refreshes so far, 0 for a database that was opened for writing.
    pub fn refreshes(&self) -> u64 {
        match &self.0 {
            Followed::Current(_) => 0,
            Followed::Refreshed(refreshed) => refreshed.refreshes.load(Ordering::Acquire),
        }
    }

    /// Returns a follower for another tenant, with the state of this one.
    #[must_use]
    pub fn for_tenant(&self, tenant: &str) -> Self {
        self.derived(|database| database.for_tenant(tenant))
    }

    /// Returns a follower that skips entities that cannot be decoded, as
    /// [`Database::skip_malformed`] does, with the state of this one.
    #[must_use]
    pub fn skip_malformed(&self) -> Self {
        self.derived(Database::skip_malformed)
    }

    fn derived(&self, derive: impl FnOnce(&Database) -> Database) -> Self {
        Self(match &self.0 {
            Followed::Current(database) => Followed::Current(derive(database)),
            Followed::Refreshed(refreshed) => {
                let State { database, as_of } = refreshed.read(State::clone);
                let database = derive(&database);
                Followed::Refreshed(Refreshed {
                    interval: refreshed.interval,
                    state: RwLock::new(State { database, as_of }),
                    refreshes: AtomicU64::new(self.refreshes()),
                    refreshing: Mutex::new(()),
                })
            }
        })
    }

    /// Sets the time of the last refresh.
    #[cfg(test)]
    pub(super) fn set_as_of(&self, as_of: Instant) {
        if let Followed::Refreshed(refreshed) = &self.0 {
            refreshed.state.write().unwrap().as_of = as_of;
        }
    }
}

impl Refreshed {
    fn current(&self) -> Result<Database, Error> {
        if let Some(database) = self.fresh() {
            return Ok(database);
        }
        let _refreshing = self.lock();
        // Another thread may have refreshed while this one waited.
        match self.fresh() {
            Some(database) => Ok(database),
            None => self.reopen(),
        }
    }

    fn refresh(&self) -> Result<Database, Error> {
        let _refreshing = self.lock();
        self.reopen()
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        let refreshing = self.refreshing.lock();
        refreshing.unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the database, `None` if a refresh is due.
    fn fresh(&self) -> Option<Database> {
        self.read(|state| {
            let is_due = self
                .interval
                .is_some_and(|interval| state.as_of.elapsed() >= interval);
            (!is_due).then(|| state.database.clone())
        })
    }

    /// Replaces the state by the current one. The caller holds the lock `refreshing`.
    fn reopen(&self) -> Result<Database, Error> {
        let as_of = Instant::now();
        let old = self.read(State::clone);
        let database = old.database.refreshed()?;
        let new = State {
            database: database.clone(),
            as_of,
        };
        let replaced = std::mem::replace(
            &mut *self.state.write().unwrap_or_else(PoisonError::into_inner),
            new,
        );
        self.refreshes.fetch_add(1, Ordering::Release);
        // Closing the old state takes time, so it is dropped without the lock.
        drop((old, replaced));
        Ok(database)
    }

    /// Reads the state. The lock is held for a moment only.
    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}
