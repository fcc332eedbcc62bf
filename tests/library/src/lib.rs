//! A key-value library that is annotated with percolate-otel, its only dependency. It installs no
//! telemetry; the tests run it with each telemetry set-up of an application.

extern crate percolate_otel as telemetry;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use percolate_otel::{ErrorType, background_job, db_op, db_ops, record};

pub mod renamed;

type Collections = BTreeMap<String, BTreeMap<String, String>>;

/// A key-value store in memory.
#[derive(Debug)]
pub struct Store {
    name: String,
    collections: Mutex<Collections>,
}

/// The error of an operation.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The store has no collection of that name.
    NoCollection(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCollection(name) => write!(f, "there is no collection `{name}`"),
        }
    }
}

impl std::error::Error for StoreError {}

impl ErrorType for StoreError {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::NoCollection(_) => Cow::Borrowed("NoCollection"),
        }
    }
}

impl Store {
    /// Creates an empty store.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            collections: Mutex::default(),
        }
    }

    fn collections(&self) -> MutexGuard<'_, Collections> {
        self.collections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[db_ops(system = "kv", namespace = self.name)]
impl Store {
    /// Reads one key.
    ///
    /// # Errors
    /// Returns [`StoreError::NoCollection`] if the collection does not exist.
    #[db_op(get, collection)]
    pub fn get(&self, collection: &str, key: &str) -> Result<Option<String>, StoreError> {
        match self.collections().get(collection) {
            Some(entries) => Ok(entries.get(key).cloned()),
            None => Err(StoreError::NoCollection(collection.to_owned())),
        }
    }

    /// Reads one key after other tasks have run.
    ///
    /// # Errors
    /// Returns [`StoreError::NoCollection`] if the collection does not exist.
    #[db_op(multi_get, collection, batch_size = keys.len())]
    pub async fn get_all(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for key in keys {
            std::future::ready(()).await;
            found.extend(self.get(collection, key)?);
        }
        Ok(found)
    }

    /// Writes entries.
    #[db_op(
        batch_write,
        collection,
        batch_size = entries.len(),
        affected_rows = |written| *written,
        fields(kv.load = 0.5, kv.written = 0)
    )]
    pub fn put_all(&self, collection: &str, entries: &[(&str, &str)]) -> usize {
        let mut collections = self.collections();
        record!(kv.is_new = !collections.contains_key(collection));
        let known = collections.entry(collection.to_owned()).or_default();
        percolate_otel::tracing::info!("writing");
        record!(kv.written = entries.len());
        for (key, value) in entries {
            known.insert((*key).to_owned(), (*value).to_owned());
        }
        entries.len()
    }

    /// Returns the keys of a collection in order.
    ///
    /// # Errors
    /// Returns [`StoreError::NoCollection`] if the collection does not exist.
    #[db_op(scan, collection, rows = stream)]
    pub fn keys(
        &self,
        collection: &str,
    ) -> Result<impl Iterator<Item = String> + use<>, StoreError> {
        match self.collections().get(collection) {
            Some(entries) => Ok(entries.keys().cloned().collect::<Vec<_>>().into_iter()),
            None => Err(StoreError::NoCollection(collection.to_owned())),
        }
    }
}

/// Reads every key of a collection, so that later reads are fast. Returns the number of keys.
#[background_job("cache.warm", target = collection, batch_size = |read| *read)]
pub fn warm(store: &Store, collection: &str) -> usize {
    let keys: Vec<String> = store.keys(collection).into_iter().flatten().collect();
    for key in &keys {
        _ = store.get(collection, key);
    }
    keys.len()
}

/// Like [`warm`], in a new trace with a link to the caller.
#[background_job("cache.warm", target = collection, parent = link)]
pub fn warm_apart(store: &Store, collection: &str) {
    _ = store.keys(collection).map(Iterator::count);
}
