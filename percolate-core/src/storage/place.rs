//! Where a database is: a directory, or a place on an object store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::engine::Engine;
use super::error::OpenError;
use super::options::{ServerAddress, StorageOptions};
use super::rocks::RocksEngine;
#[cfg(feature = "object-store")]
use super::slate::{ObjectPlace, SlateEngine};
#[cfg(not(feature = "object-store"))]
use super::url::scheme;
use super::url::{has_scheme, scheme_with_one_slash};

/// The place of a database.
#[derive(Debug)]
pub(super) enum Place {
    Directory(PathBuf),
    #[cfg(feature = "object-store")]
    Objects(ObjectPlace),
}

impl Place {
    /// Reads the argument of [`Storage::open`](super::Storage::open): the URL of an object store if it
    /// begins with a scheme and `://`, or else a directory.
    #[cfg_attr(
        not(feature = "object-store"),
        expect(unused_variables, reason = "a directory needs no options")
    )]
    pub(super) fn parse(path: &Path, options: &StorageOptions) -> Result<Self, OpenError> {
        if let Some(scheme) = path.to_str().and_then(scheme_with_one_slash) {
            return Err(OpenError::Url {
                // The rest may contain a password.
                url: format!("{scheme}:/…"),
                reason: format!(
                    "a URL has two slashes after the colon, which path types such as `pathlib.Path` remove; pass \
                     `{scheme}://…` as text, or `./{scheme}:/…` for a directory"
                ),
            });
        }
        #[cfg(all(test, feature = "object-store"))]
        let path = &*tested(path);
        let Some(url) = path.to_str().filter(|text| has_scheme(text)) else {
            #[cfg(feature = "object-store")]
            options
                .object_store_options
                .check(path, "a directory", |_| false)?;
            return Ok(Self::Directory(path.to_owned()));
        };
        #[cfg(feature = "object-store")]
        return Ok(Self::Objects(ObjectPlace::parse(url, options)?));
        #[cfg(not(feature = "object-store"))]
        return Err(OpenError::Unsupported {
            scheme: scheme(url).to_owned(),
        });
    }

    /// Returns the last component of the path, the default of `db.namespace`.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Directory(path) => path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned(),
            #[cfg(feature = "object-store")]
            Self::Objects(place) => place.name(),
        }
    }

    /// Returns `server.address`. It is by default the host of an object store, or else the path.
    pub(super) fn address(&self, option: &ServerAddress) -> Option<String> {
        match (option, self) {
            (ServerAddress::Omit, _) => None,
            (ServerAddress::Custom(text), _) => Some(text.clone()),
            (ServerAddress::Path, Self::Directory(path)) => Some(path.display().to_string()),
            #[cfg(feature = "object-store")]
            (ServerAddress::Path, Self::Objects(place)) => place.address(),
        }
    }

    /// Opens the engine of the place.
    pub(super) fn open(
        self,
        options: &StorageOptions,
        namespace: &str,
    ) -> Result<Arc<dyn Engine>, OpenError> {
        match self {
            Self::Directory(path) => Ok(Arc::new(RocksEngine::open(&path, options, namespace)?)),
            #[cfg(feature = "object-store")]
            Self::Objects(place) => Ok(Arc::new(SlateEngine::open(place, options)?)),
        }
    }
}

/// With the variable `PERCOLATE_TEST_ENGINE=slatedb`, the tests of this crate run over SlateDB: each
/// directory is opened as an object store of files.
#[cfg(all(test, feature = "object-store"))]
fn tested(path: &Path) -> std::borrow::Cow<'_, Path> {
    let is_slate = std::env::var("PERCOLATE_TEST_ENGINE").is_ok_and(|engine| engine == "slatedb");
    match path.to_str() {
        Some(text) if is_slate && !has_scheme(text) => {
            PathBuf::from(format!("file://{text}")).into()
        }
        _ => path.into(),
    }
}
