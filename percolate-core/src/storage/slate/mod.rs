//! SlateDB on an object store: [`SlateEngine`]. The only folder that uses the `slatedb` and
//! `object_store` crates.
//!
//! SlateDB is asynchronous and has one space of keys. The engine owns a runtime for SlateDB's tasks
//! (`runtime`), and gives each column family a prefix (`keyspace`). One writer at a time has the
//! database: a second one that opens it ends the rights of the first. Readers keep the state that
//! they found when they were opened.

mod batch;
mod checked;
mod claim;
mod engine;
mod figures;
mod keyspace;
mod note;
mod open;
mod place;
mod reads;
mod refused;
mod root;
mod runtime;
mod store;
mod view;

pub(super) use self::place::ObjectPlace;
pub(super) use self::store::SlateEngine;

/// `db.system.name` of SlateDB.
pub(super) const SYSTEM: &str = "slatedb";

/// How SlateDB is called in messages.
const NAME: &str = "SlateDB";

#[cfg(test)]
pub(super) mod tests;
