//! The open database together with the handles of its column families, so that a call finds its family without a
//! lock and without counting references. RocksDB's own list has both.
//!
//! The invariant: no handle outlives the database. Here they are dropped before it, and others get one only for as
//! long as they borrow this.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Deref;
use std::sync::Arc;

use rocksdb::{BoundColumnFamily, DBWithThreadMode, MultiThreaded};

/// RocksDB's handle of an open database.
pub(super) type Rocks = DBWithThreadMode<MultiThreaded>;

/// A family's handle: one that is kept here, or one of a family that was made later.
pub(super) type Family<'db> = Cow<'db, Arc<BoundColumnFamily<'db>>>;

/// An open database. Behaves as RocksDB's handle of it.
pub(super) struct Opened {
    /// Of the families it was opened with, sorted by the length of their names and then by the names: most are told
    /// apart without a look at their bytes. Stands before `db`: fields are dropped in order.
    handles: Vec<(String, Arc<BoundColumnFamily<'static>>)>,
    db: Rocks,
}

impl Opened {
    /// Keeps the handles of the families `names`.
    pub(super) fn new(db: Rocks, names: &[String]) -> Self {
        let handle = |name: &String| Some((name.clone(), kept(db.cf_handle(name)?)));
        let mut handles: Vec<_> = names.iter().filter_map(handle).collect();
        handles.sort_unstable_by(|(left, _), (right, _)| order(left, right));
        Self { handles, db }
    }

    /// The family `name`, if there is one.
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

/// A handle without the lifetime of its database, for [`Opened`], which has both.
#[expect(
    unsafe_code,
    reason = "a database and what borrows from it cannot be in one struct otherwise"
)]
fn kept(handle: Arc<BoundColumnFamily<'_>>) -> Arc<BoundColumnFamily<'static>> {
    // SAFETY: only the lifetime changes, which has no representation. `Opened` drops the handle before the database,
    // never gives the database away, and lends the handle with the lifetime of a borrow of itself.
    unsafe {
        std::mem::transmute::<Arc<BoundColumnFamily<'_>>, Arc<BoundColumnFamily<'static>>>(handle)
    }
}
