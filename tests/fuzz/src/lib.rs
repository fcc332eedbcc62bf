//! What percolate promises for any input. Each target is a function of bytes that panics if a promise
//! is broken. `tests/replay.rs` runs them with the inputs in `corpus`, and the crate in `fuzz` runs
//! them under libFuzzer.
#![expect(
    clippy::missing_panics_doc,
    reason = "a target panics where a promise is broken"
)]

mod environment;
mod headers;
mod input;
mod keys;
mod records;
mod registry;
mod saved_index;
mod sql;
mod statements;

pub use environment::environment;
pub use headers::headers;
pub use keys::keys;
pub use records::records;
pub use registry::registry;
pub use saved_index::saved_index;
pub use sql::sql;
pub use statements::statements;

/// A function that panics if a promise is not kept for these bytes.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Target); 8] = [
    ("environment", environment),
    ("headers", headers),
    ("keys", keys),
    ("records", records),
    ("registry", registry),
    ("saved_index", saved_index),
    ("sql", sql),
    ("statements", statements),
];
