//! The open database with the handles of its column families, so that a call finds its family
//! without a lock and without reference counting. RocksDB's own list needs both.
//!
//! The invariant: a handle never outlives the database. Handles are dropped before it, and callers
//! borrow them from this type.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Deref;
use std::sync::Arc;

use rocksdb::{BoundColumnFamily, DBWithThreadMode, MultiThreaded};

/// RocksDB's handle of an open database.
pub(super) type Rocks = DBWithThreadMode<MultiThreaded>;

/// The handle of a family: a stored one, or one of a family that was created later.
pub(super) type Family<'db> = Cow<'db, Arc<BoundColumnFamily<'db>>>;

/// An open database, with the methods of RocksDB's handle.
pub(super) struct Opened {
    /// The families with which it was opened, sorted by the length of their names and then by the
    /// names, so that most lookups compare no bytes. It must come before `db`, because fields are
    /// dropped in order.
    handles: Vec<(String, Arc<BoundColumnFamily<'static>>)>,
    db: Rocks,
}

impl Opened {
    /// Stores the handles of the families `names`.
    pub(super) fn new(db: Rocks, names: &[String]) -> Self {
        let handle = |name: &String| Some((name.clone(), kept(db.cf_handle(name)?)));
        let mut handles: Vec<_> = names.iter().filter_map(handle).collect();
        handles.sort_unstable_by(|(left, _), (right, _)| order(left, right));
        Self { handles, db }
    }

    /// Returns the family `name`, if it exists.
    pub(super) fn family(&self, name: &str) -> Option<Family<'_>> {
        match self
            .handles
            .binary_search_by(|(known, _)| order(known, name))
        {
            Ok(position) => Some(Cow::Borrowed(&self.handles[position].1)),
            Err(_) => self.db.cf_handle(name).map(Cow::Owned),
        }
    }
}

impl Deref for Opened {
    type Target = Rocks;

    fn deref(&self) -> &Rocks {
        &self.db
    }
}

fn order(left: &str, right: &str) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// A handle without the lifetime of its database, for [`Opened`], which owns both.
#[expect(
    unsafe_code,
    reason = "a database and what borrows from it cannot be in one struct otherwise"
)]
fn kept(handle: Arc<BoundColumnFamily<'_>>) -> Arc<BoundColumnFamily<'static>> {
    // SAFETY: only the lifetime changes, which has no representation. `Opened` drops the handle
    // before the database, never moves the database out, and lends the handle for the lifetime of a
    // borrow of itself.
    unsafe {
        std::mem::transmute::<Arc<BoundColumnFamily<'_>>, Arc<BoundColumnFamily<'static>>>(handle)
    }
}
