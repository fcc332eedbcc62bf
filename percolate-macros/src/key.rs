//! The table of the keys: one row per key, with its name, the annotations that accept it, and an
//! example. `args/reader.rs` reads the value of a key in a `match` over [`Key`].
//!
//! A new key is one row here, one arm of that `match`, and its use in `expand.rs`. Tests compare
//! the documentation with the table.

use crate::vocabulary::Annotation;

macro_rules! keys {
    ($($(#[$doc:meta])+ $Key:ident $name:literal [$($Annotation:ident)+] $example:literal)+) => {
        /// A key of an annotation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Key {
            $($(#[$doc])+ $Key,)+
        }

        impl Key {
            const ALL: &[Self] = &[$(Self::$Key,)+];

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$Key => $name,)+ }
            }

            /// A complete argument with this key.
            pub(crate) const fn example(self) -> &'static str {
                match self { $(Self::$Key => $example,)+ }
            }

            const fn annotations(self) -> &'static [Annotation] {
                match self { $(Self::$Key => &[$(Annotation::$Annotation),+],)+ }
            }
        }
    };
}

// In the order of their names, in which error messages list them.
keys! {
    /// The number of rows written or deleted.
    AffectedRows "affected_rows" [Db] "affected_rows = keys.len()"
    /// The number of operations of a batch, or of items of a job.
    BatchSize "batch_size" [Db Job] "batch_size = keys.len()"
    /// The collection of an operation.
    Collection "collection" [Db] "collection = cf"
    /// The path of the crate that re-exports the macros.
    Crate "crate" [Db Job] "crate = ::percolate_otel"
    /// The function from an error to its `error.type`.
    ErrorType "error_type" [Db Job] "error_type = MyError::kind"
    /// Attributes of the user.
    Fields "fields" [Db Job] "fields(app.tenant = tenant)"
    /// Whether the call ends when a future is returned.
    Future "future" [Db Job] "future = returned"
    /// The kind of the span.
    Kind "kind" [Db Job] "kind = internal"
    /// Whether the body creates no spans and sends no context.
    Leaf "leaf" [Db Job] "leaf"
    /// The level of the `tracing` span.
    Level "level" [Db Job] "level = debug"
    /// Whether metrics are recorded.
    Metrics "metrics" [Db Job] "metrics = off"
    /// The name of the span.
    Name "name" [Db Job] "name = \"load users\""
    /// The logical name of the database.
    Namespace "namespace" [Db] "namespace = self.namespace()"
    /// The relation to the span in which the call starts.
    Parent "parent" [Db Job] "parent = link"
    /// The low-cardinality summary of a query.
    QuerySummary "query_summary" [Db] "query_summary = summary"
    /// The text of a query.
    QueryText "query_text" [Db] "query_text = sql"
    /// The number of rows returned.
    Rows "rows" [Db] "rows = |out| out.len()"
    /// The address of the database.
    ServerAddress "server_address" [Db] "server_address = self.path()"
    /// The duration from which an unsampled call is reported.
    Slow "slow" [Db Job] "slow = \"5ms\""
    /// The name of the database system.
    System "system" [Db] "system = \"redb\""
    /// The target of a job.
    Target "target" [Job] "target = schema"
    /// The type of a job, if it is decided at run time.
    Type "type" [Job] "type = job.kind()"
}

impl Key {
    /// Returns the keys that `annotation` accepts.
    pub(crate) fn all_of(annotation: Annotation) -> impl Iterator<Item = Self> {
        let all = Self::ALL.iter().copied();
        all.filter(move |key| key.annotations().contains(&annotation))
    }

    pub(crate) fn names_of(annotation: Annotation) -> Vec<&'static str> {
        Self::all_of(annotation).map(Self::name).collect()
    }

    /// Returns the key of `annotation` with this name.
    pub(crate) fn named(annotation: Annotation, name: &str) -> Option<Self> {
        Self::all_of(annotation).find(|key| key.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::args::Args;

    const ANNOTATIONS: [Annotation; 2] = [Annotation::Db, Annotation::Job];

    #[test]
    fn keys_are_sorted() {
        assert!(Key::ALL.is_sorted_by_key(|key| key.name()));
    }

    #[test]
    fn every_example_is_accepted() {
        for annotation in ANNOTATIONS {
            for key in Key::all_of(annotation) {
                let example = key.example().parse().expect("tokens");
                let read = Args::parse_defaults(annotation, example)
                    .unwrap_or_else(|error| panic!("the example of `{}`: {error}", key.name()));
                let read: Vec<_> = read.iter().map(|(key, _)| *key).collect();
                assert_eq!(read, [key]);
            }
        }
    }

    #[test]
    fn the_manual_has_a_section_for_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/macros.md");
        let manual = fs::read_to_string(path).expect("the manual of the workspace");
        let headings: Vec<_> = manual
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        for name in Key::ALL.iter().map(|key| key.name()) {
            let quoted = format!("`{name}`");
            assert!(
                headings.iter().any(|heading| heading.contains(&quoted)),
                "docs/macros.md has no section for `{name}`"
            );
        }
    }

    #[test]
    fn the_attribute_docs_have_every_key() {
        let source = include_str!("lib.rs");
        let (_, docs) = source.split_once("attribute! {").expect("db_op");
        let mut docs = docs.split("attribute! {");
        for annotation in ANNOTATIONS {
            let docs = docs.next().expect("the docs of the attribute");
            for name in Key::names_of(annotation) {
                let ends_there =
                    |rest: &str| !rest.starts_with(|c: char| c == '_' || c.is_alphanumeric());
                assert!(
                    docs.split(&format!("`{name}")).skip(1).any(ends_there),
                    "the docs of `{}` do not have `{name}`",
                    annotation.attribute()
                );
            }
        }
    }
}
