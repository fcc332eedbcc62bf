//! Column families in SlateDB's one space of keys.
//!
//! | Key | Value |
//! |---|---|
//! | a zero byte, name | the family exists; empty |
//! | length of the name, 1 byte; name; key | the value of the key in the family |

use std::collections::BTreeMap;
use std::sync::Arc;

use super::view::View;
use crate::storage::error::UnknownColumnFamily;
use crate::storage::range::first_key_after_prefix;

/// The greatest length of a name in bytes.
pub(super) const MAX_NAME: usize = 255;

/// The greatest length of a key or a value in bytes.
pub(super) const MAX_BYTES: usize = u32::MAX as usize;

/// The prefix of the list of families.
const CATALOGUE: &[u8] = &[0];

/// The known families with the prefixes of their keys.
#[derive(Default)]
pub(super) struct Keyspace {
    prefixes: BTreeMap<String, Arc<[u8]>>,
}

impl Keyspace {
    /// Reads the list of families.
    pub(super) async fn read(view: &View) -> Result<Self, slatedb::Error> {
        let mut families = Self::default();
        let end = first_key_after_prefix(CATALOGUE).unwrap_or_default();
        let mut entries = view.scan(CATALOGUE.to_vec(), end, false).await?;
        while let Some(entry) = entries.next().await? {
            // Only names that are text were written.
            if let Some(name) = entry
                .key
                .strip_prefix(CATALOGUE)
                .and_then(|name| std::str::from_utf8(name).ok())
            {
                families.add(name);
            }
        }
        Ok(families)
    }

    /// Adds a family. Returns whether it is new.
    pub(super) fn add(&mut self, name: &str) -> bool {
        let prefix = Arc::from(key(name, b""));
        self.prefixes.insert(name.to_owned(), prefix).is_none()
    }

    /// Returns the prefix of the keys of a family.
    pub(super) fn prefix(&self, name: &str) -> Result<Arc<[u8]>, UnknownColumnFamily> {
        let unknown = || UnknownColumnFamily {
            name: name.to_owned(),
            known: self.names(),
        };
        self.prefixes.get(name).cloned().ok_or_else(unknown)
    }

    /// Returns the names of all families, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        self.prefixes.keys().cloned().collect()
    }
}

/// Returns whether a family can have this name.
pub(super) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
}

/// Returns the key that records the existence of a family.
pub(super) fn catalogue_key(name: &str) -> Vec<u8> {
    [CATALOGUE, name.as_bytes()].concat()
}

/// Returns SlateDB's key of a key of a family, whose name has at most [`MAX_NAME`] bytes.
pub(super) fn key(name: &str, key: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[length], name.as_bytes(), key].concat()
}
