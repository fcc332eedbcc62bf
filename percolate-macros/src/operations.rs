//! The table of the operations and job types known by name. It exists once: the attribute macros
//! read it here, and percolate-otel receives its rows from `operations!` and `job_types!`.
//!
//! A new operation or job type is one new row. A test compares the documentation with the table.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

/// A row of the table of operations.
#[derive(Debug)]
pub(crate) struct Operation {
    /// The value of `db.operation.name`.
    pub(crate) word: &'static str,
    /// The variant of `DbOperation`.
    variant: &'static str,
    /// Whether the annotation needs a collection.
    pub(crate) needs_collection: bool,
    /// Whether one call can execute several operations.
    is_batch: bool,
    doc: &'static str,
}

/// A row of the table of job types.
#[derive(Debug)]
pub(crate) struct JobType {
    /// The value of `job.type`.
    pub(crate) word: &'static str,
    /// The variant of `BackgroundJobType`.
    variant: &'static str,
    doc: &'static str,
}

#[rustfmt::skip] // one line a row
pub(crate) const OPERATIONS: &[Operation] = {
    const COLLECTION: bool = true;
    const BATCH: bool = true;
    const fn row(
        word: &'static str, variant: &'static str, needs_collection: bool, is_batch: bool, doc: &'static str,
    ) -> Operation {
        Operation { word, variant, needs_collection, is_batch, doc }
    }
    &[
        row("get",          "Get",         COLLECTION,  !BATCH, "Reads one key."),
        row("put",          "Put",         COLLECTION,  !BATCH, "Writes one key."),
        row("delete",       "Delete",      COLLECTION,  !BATCH, "Removes one key."),
        row("scan",         "Scan",        COLLECTION,  !BATCH, "Reads keys in order."),
        row("batch_write",  "BatchWrite",  !COLLECTION,  BATCH, "Writes several keys at once."),
        row("multi_get",    "MultiGet",    COLLECTION,  !BATCH, "Reads several keys at once."),
        row("merge",        "Merge",       COLLECTION,  !BATCH, "Merges an operand into one key."),
        row("delete_range", "DeleteRange", COLLECTION,  !BATCH, "Removes a range of keys."),
        row("query",        "Query",       !COLLECTION, !BATCH, "Runs a query."),
        row("search",       "Search",      !COLLECTION, !BATCH, "Searches an index."),
        row("flush",        "Flush",       !COLLECTION, !BATCH, "Writes memory tables to disk."),
        row("flush_wal",    "FlushWal",    !COLLECTION, !BATCH, "Writes the write-ahead log to disk."),
        row("compact",      "Compact",     !COLLECTION, !BATCH, "Compacts files."),
        row("checkpoint",   "Checkpoint",  !COLLECTION, !BATCH, "Creates a checkpoint."),
    ]
};

#[rustfmt::skip] // one line a row
pub(crate) const JOB_TYPES: &[JobType] = {
    const fn row(word: &'static str, variant: &'static str, doc: &'static str) -> JobType {
        JobType { word, variant, doc }
    }
    &[
        row("index.build",         "IndexBuild",        "Builds an index."),
        row("index.save",          "IndexSave",         "Writes an index to disk."),
        row("index.load",          "IndexLoad",         "Reads an index from disk."),
        row("index.field.rebuild", "IndexFieldRebuild", "Rebuilds the field indexes of a schema."),
        row("index.key.rebuild",   "IndexKeyRebuild",   "Rebuilds the key index."),
        row("embedding.generate",  "EmbeddingGenerate", "Computes embeddings."),
        row("wal.flush",           "WalFlush",          "Writes the write-ahead log to disk."),
        row("db.compact",          "DbCompact",         "Compacts a column family."),
    ]
};

/// Returns whether the annotation of an operation needs a collection. One that is not in the
/// table does not.
pub(crate) fn needs_collection(operation: &str) -> bool {
    OPERATIONS
        .iter()
        .any(|row| row.word == operation && row.needs_collection)
}

/// Returns the call of `callback!` with the rows of operations.
pub(crate) fn operations(callback: &TokenStream) -> TokenStream {
    let variants = OPERATIONS
        .iter()
        .map(|row| variant(row.variant, row.word, row.doc));
    let words = |has: fn(&Operation) -> bool| {
        OPERATIONS
            .iter()
            .filter(move |row| has(row))
            .map(|row| row.word)
    };
    let of_a_collection = words(|row| row.needs_collection);
    let single = words(|row| !row.is_batch);
    quote! {
        #callback! {
            variants: { #(#variants)* }
            of_a_collection: [#(#of_a_collection),*]
            single: [#(#single),*]
        }
    }
}

/// Returns the call of `callback!` with the rows of job types.
pub(crate) fn job_types(callback: &TokenStream) -> TokenStream {
    let variants = JOB_TYPES
        .iter()
        .map(|row| variant(row.variant, row.word, row.doc));
    quote!(#callback! { variants: { #(#variants)* } })
}

/// `#[doc = "…"] Get = "get",`
fn variant(variant: &str, word: &str, doc: &str) -> TokenStream {
    let variant = Ident::new(variant, Span::call_site());
    quote!(#[doc = #doc] #variant = #word,)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    fn manual() -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/macros.md");
        fs::read_to_string(path).expect("the manual of the workspace")
    }

    /// Returns the words in backticks after `start`, up to the end of the paragraph.
    fn list<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
        let (_, rest) = text.split_once(start).expect("the list");
        let end = ["\n\n", "///\n"]
            .iter()
            .filter_map(|end| rest.find(end))
            .min();
        rest[..end.unwrap_or(rest.len())]
            .split('`')
            .skip(1)
            .step_by(2)
            .collect()
    }

    fn check<'a>(place: &str, documented: &BTreeSet<&str>, table: impl Iterator<Item = &'a str>) {
        let table: BTreeSet<_> = table.collect();
        let missing: Vec<_> = table.difference(documented).collect();
        assert!(missing.is_empty(), "{place} does not list {missing:?}");
        let unknown: Vec<_> = documented.difference(&table).collect();
        assert!(unknown.is_empty(), "{place} lists {unknown:?}");
    }

    #[test]
    fn the_attribute_docs_list_the_table() {
        let source = include_str!("lib.rs");
        let operations = OPERATIONS.iter().map(|row| row.word);
        check(
            "`db_op` in lib.rs",
            &list(source, "/// Operations:"),
            operations,
        );
        let job_types = JOB_TYPES.iter().map(|row| row.word);
        check(
            "`background_job` in lib.rs",
            &list(source, "/// Job types:"),
            job_types,
        );
    }

    #[test]
    fn the_manual_lists_the_table() {
        let manual = manual();
        for row in OPERATIONS {
            let collection = if row.needs_collection {
                "required"
            } else {
                "optional"
            };
            let line = format!("\n| `{}` | {collection} | {} |\n", row.word, row.doc);
            assert!(manual.contains(&line), "docs/macros.md has no line{line}");
        }
        for row in JOB_TYPES {
            let line = format!("\n| `{}` | {} |\n", row.word, row.doc);
            assert!(manual.contains(&line), "docs/macros.md has no line{line}");
        }
        let first_columns = |heading: &str| {
            let (_, section) = manual.split_once(heading).expect("the section");
            let (section, _) = section.split_once("\n## ").expect("another section");
            section.matches("\n| `").count()
        };
        assert_eq!(first_columns("\n## The operation\n"), OPERATIONS.len());
        assert_eq!(
            first_columns("\n## The job type and `type`\n"),
            JOB_TYPES.len()
        );
    }
}
