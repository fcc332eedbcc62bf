//! Functions that name percolate-otel by another path.

use telemetry::db_op;

/// Counts the words of a text.
#[db_op(search, collection, crate = ::telemetry, system = "kv", rows = |found| *found)]
pub fn count_words(collection: &str, text: &str) -> usize {
    _ = collection;
    text.split_whitespace().count()
}
