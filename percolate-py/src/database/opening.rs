//! The arguments of `Database(…)`, and how a database is opened with them.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use percolate_core::storage::{ServerAddress, StorageOptions, is_url};
use percolate_core::{Database, DatabaseOptions, Follower};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyString};

use super::arguments::{Bytes, Retries};
use crate::context::parent;
use crate::embeddings::provider_of;
use crate::errors::raised;
use crate::process::refuse_after_fork;
use crate::stop::Stop;
use crate::waiting::{traced, wait_for};

/// The place of a database: a directory, or the URL of a place on an object store.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn into_path(self) -> PathBuf {
        self.0
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Place {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let path: PathBuf = value.extract()?;
        if path.as_os_str().is_empty() {
            return Err(PyValueError::new_err(
                "cannot open a database at an empty path; pass a directory",
            ));
        }
        // A path object has made one slash of two.
        let first = path.components().next().map(Component::as_os_str);
        let was_url = ["s3:", "file:", "memory:"]
            .iter()
            .any(|scheme| first.is_some_and(|first| first.eq_ignore_ascii_case(scheme)));
        if was_url && !value.is_instance_of::<PyString>() {
            return Err(PyValueError::new_err(
                "cannot open a database at a path object that was made of a URL, because it has lost slashes; pass \
                 the URL as a str",
            ));
        }
        Ok(Self(path))
    }
}

/// Options of an object store by name. The values may be credentials, so that no error has them.
pub(super) struct StoreOptions(Vec<(String, String)>);

impl<'a, 'py> FromPyObject<'a, 'py> for StoreOptions {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let type_of =
            |value: &Bound<'_, PyAny>| value.get_type().name().map(|name| name.to_string());
        let options = value.cast::<PyMapping>().map_err(|_| {
            PyTypeError::new_err("object_store_options must be a mapping from names to texts")
        })?;
        let mut converted = Vec::new();
        for item in options.items()?.iter() {
            let (name, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
            let Ok(name) = name.extract::<String>() else {
                return Err(PyTypeError::new_err(format!(
                    "object_store_options must be a mapping from names to texts, but a name is of type {}",
                    type_of(&name)?
                )));
            };
            let Ok(value) = value.extract::<String>() else {
                return Err(PyTypeError::new_err(format!(
                    "object_store_options must be a mapping from names to texts, but the value of `{name}` is of type {}",
                    type_of(&value)?
                )));
            };
            converted.push((name, value));
        }
        Ok(Self(converted))
    }
}

/// The keyword arguments of `Database(…)`.
pub(super) struct Opening<'a, 'py> {
    pub(super) tenant: &'a str,
    pub(super) namespace: Option<String>,
    pub(super) create_if_missing: bool,
    pub(super) read_only: bool,
    pub(super) refresh_every: Option<f64>,
    pub(super) sync: bool,
    pub(super) server_address: &'a str,
    pub(super) cache_size: Option<Bytes>,
    pub(super) memory_table_limit: Option<Bytes>,
    pub(super) query_memory_limit: Option<Bytes>,
    pub(super) embedder: Option<&'a Bound<'py, PyAny>>,
    pub(super) object_store_options: Option<StoreOptions>,
    pub(super) flush_interval: Option<f64>,
    pub(super) object_store_retries: Option<Retries>,
}

impl Opening<'_, '_> {
    /// Opens the database at `path`.
    ///
    /// # Errors
    /// `ValueError` for an argument that is out of its range or does not fit the others; those of
    /// opening.
    pub(super) fn open(self, py: Python<'_>, path: &Path) -> PyResult<Follower> {
        let refresh_every = self.refresh_every()?;
        let (tenant, embedder, query_memory_limit) =
            (self.tenant, self.embedder, self.query_memory_limit);
        let storage = self.storage(path)?;
        refuse_after_fork(path)?;
        let mut options = DatabaseOptions::new().tenant(tenant).storage(storage);
        if let Some(Bytes(bytes)) = query_memory_limit {
            options = options.query_memory_limit(bytes);
        }
        if let Some(embedder) = embedder {
            options = options.provider(provider_of(embedder)?);
        }
        py.import("percolate_rocks._telemetry")?
            .call_method0("_opened")?;
        let parent = parent(py, None)?;
        let opened = if is_url(path) {
            // On another thread, so that Ctrl-C ends the wait for a store that does not answer.
            let (stop, path) = (Stop::of_call(None)?, path.to_owned());
            wait_for(py, parent, &stop, move |_| {
                Database::open_with(path, options)
            })?
        } else {
            traced(py, parent, || Database::open_with(path, options))?
        };
        let database = opened.map_err(|error| raised(py, &error))?;
        Ok(Follower::new(database, refresh_every))
    }

    fn refresh_every(&self) -> PyResult<Option<Duration>> {
        let Some(given) = self.refresh_every else {
            return Ok(None);
        };
        let Ok(interval) = Duration::try_from_secs_f64(given) else {
            return Err(PyValueError::new_err(format!(
                "refresh_every must be a number of seconds, 0 or more, not {given}"
            )));
        };
        if !self.read_only {
            return Err(PyValueError::new_err(
                "refresh_every is for handles with read_only=True; a handle that can write is always current",
            ));
        }
        Ok(Some(interval))
    }

    fn storage(self, path: &Path) -> PyResult<StorageOptions> {
        let address = match self.server_address {
            "path" => ServerAddress::Path,
            "omit" => ServerAddress::Omit,
            custom => ServerAddress::Custom(custom.to_owned()),
        };
        let mut storage = StorageOptions::new()
            .create_if_missing(self.create_if_missing)
            .read_only(self.read_only)
            .sync(self.sync)
            .server_address(address);
        if let Some(namespace) = self.namespace {
            storage = storage.namespace(namespace);
        }
        if let Some(Bytes(bytes)) = self.cache_size {
            storage = storage.cache_size(bytes);
        }
        if let Some(Bytes(bytes)) = self.memory_table_limit {
            storage = storage.memory_table_limit(bytes);
        }
        if let Some(given) = self.flush_interval {
            refuse_for_directory("flush_interval", path)?;
            let interval = Duration::try_from_secs_f64(given).unwrap_or_default();
            if interval.is_zero() {
                return Err(PyValueError::new_err(format!(
                    "flush_interval must be a number of seconds above 0, not {given}"
                )));
            }
            storage = storage.flush_interval(interval);
        }
        with_store_options(
            storage,
            path,
            self.object_store_options,
            self.object_store_retries,
        )
    }
}

/// Adds the options of the object store at `path`.
///
/// # Errors
/// `ValueError` if there are options and `path` is a directory.
pub(super) fn with_store_options(
    mut storage: StorageOptions,
    path: &Path,
    options: Option<StoreOptions>,
    retries: Option<Retries>,
) -> PyResult<StorageOptions> {
    if let Some(StoreOptions(options)) = options {
        refuse_for_directory("object_store_options", path)?;
        for (name, value) in options {
            storage = storage.object_store_option(name, value);
        }
    }
    if let Some(Retries(retries)) = retries {
        refuse_for_directory("object_store_retries", path)?;
        storage = storage.object_store_retries(retries);
    }
    Ok(storage)
}

fn refuse_for_directory(name: &str, path: &Path) -> PyResult<()> {
    if is_url(path) {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "{name} is for databases on an object store, and the path is a directory; pass a URL such as \
         s3://bucket/prefix, or leave {name} out"
    )))
}

/// Returns whether a path is the URL of a place on an object store, and not a directory.
#[pyfunction]
pub(super) fn _is_url(path: PathBuf) -> bool {
    is_url(path)
}
