//! The two annotations, the valid forms of names, the reserved attribute names, and what replaces
//! the keys of `#[instrument]`. Operations are in `operations.rs`, keys in `key.rs`. No tokens are
//! parsed here.

use crate::key::Key;
use crate::operations::{JOB_TYPES, OPERATIONS};

/// Attributes that percolate records, and their sources.
const RESERVED: [(&str, &str); 24] = [
    ("db.system.name", "`system = \"…\"`"),
    ("db.system", "`system = \"…\"`"),
    ("db.operation.name", "the operation in the first position"),
    ("db.operation", "the operation in the first position"),
    ("db.collection.name", "`collection = …`"),
    ("db.sql.table", "`collection = …`"),
    ("db.namespace", "`namespace = …`"),
    ("db.name", "`namespace = …`"),
    ("db.operation.batch.size", "`batch_size = …`"),
    ("db.query.text", "`query_text = …`"),
    ("db.statement", "`query_text = …`"),
    ("db.query.summary", "`query_summary = …`"),
    ("db.response.returned_rows", "`rows = …`"),
    ("db.response.affected_rows", "`affected_rows = …`"),
    ("db.response.status_code", "the `ErrorType` trait"),
    ("server.address", "`server_address = …`"),
    ("error.type", "`error_type = …` or the `ErrorType` trait"),
    ("job.type", "the job type in the first position"),
    ("job.target", "`target = …`"),
    ("job.batch_size", "`batch_size = …`"),
    ("job.status", "the `JobOutcome` trait"),
    ("job.duration_ms", "the duration of every job"),
    ("otel.name", "`name = \"…\"`"),
    ("otel.kind", "`kind = …`"),
];

/// The two annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Annotation {
    /// `#[db_op]`
    Db,
    /// `#[background_job]`
    Job,
}

impl Annotation {
    pub(crate) const fn attribute(self) -> &'static str {
        match self {
            Self::Db => "#[db_op]",
            Self::Job => "#[background_job]",
        }
    }

    /// Returns the key of the second position.
    pub(crate) const fn target_key(self) -> Key {
        match self {
            Self::Db => Key::Collection,
            Self::Job => Key::Target,
        }
    }

    /// Returns the noun for the first position.
    pub(crate) const fn name_noun(self) -> &'static str {
        match self {
            Self::Db => "operation",
            Self::Job => "job type",
        }
    }

    /// Returns the noun for the first position, with its article.
    pub(crate) const fn a_name(self) -> &'static str {
        match self {
            Self::Db => "an operation",
            Self::Job => "a job type",
        }
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Db => Self::Job,
            Self::Job => Self::Db,
        }
    }

    pub(crate) fn known_names(self) -> Vec<&'static str> {
        match self {
            Self::Db => OPERATIONS.iter().map(|row| row.word).collect(),
            Self::Job => JOB_TYPES.iter().map(|row| row.word).collect(),
        }
    }

    /// Returns the error message for a string literal that cannot be a name.
    pub(crate) fn malformed_name(self, name: &str) -> Option<String> {
        match self {
            Self::Db => {
                let words = name.split(' ').all(|word| !word.is_empty());
                let letters = name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ' '));
                let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
                (!(words && letters && starts)).then(|| {
                    format!(
                        "`{name}` is not a valid operation name; expected words of ASCII letters, digits, \
                         `_`, `.` and `-`, separated by single spaces, such as \"range_delete\""
                    )
                })
            }
            Self::Job => {
                let is_word = |word: &str| {
                    word.starts_with(|c: char| c.is_ascii_lowercase())
                        && word
                            .chars()
                            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                };
                (!(name.contains('.') && name.split('.').all(is_word))).then(|| {
                    format!(
                        "`{name}` is not a valid job type; expected lower_snake words joined by dots, \
                         such as \"report.render\""
                    )
                })
            }
        }
    }
}

/// Returns what to write instead of a key of `#[tracing::instrument]` that percolate does not have.
pub(crate) fn instead_of_instrument_key(annotation: Annotation, key: &str) -> Option<String> {
    Some(match (key, annotation) {
        ("skip" | "skip_all", _) => {
            format!("only the arguments in `fields(…)` are recorded; remove `{key}`")
        }
        ("err", _) => "an `Err` is always recorded, as `error.type`; remove `err`, or set the \
                       name with `error_type = …`"
            .into(),
        ("ret", Annotation::Db) => "returned values are counted but never recorded; remove `ret`, \
                                    or write `rows = |out| …`"
            .into(),
        ("ret", Annotation::Job) => "returned values are counted but never recorded; remove \
                                     `ret`, or write `batch_size = |out| …`"
            .into(),
        ("target", Annotation::Db) => "the tracing target of an operation is always \
                                       `percolate::db`; to set the collection, write \
                                       `collection = …`"
            .into(),
        ("follows_from", _) => "to link to the current span, write `parent = link`".into(),
        _ => return None,
    })
}

/// Returns the source of an attribute that an annotation may not declare.
pub(crate) fn reserved_attribute(name: &str) -> Option<&'static str> {
    RESERVED
        .iter()
        .find(|(reserved, _)| *reserved == name)
        .map(|(_, source)| *source)
}

/// Returns whether a name is a valid attribute name: lower_snake words joined by dots.
pub(crate) fn is_attribute_name(name: &str) -> bool {
    name.split('.').all(|part| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && !part.ends_with('_')
            && !part.contains("__")
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_for_form() {
        assert_eq!(Annotation::Db.malformed_name("range_delete_files"), None);
        assert_eq!(Annotation::Db.malformed_name("BATCH put"), None);
        for wrong in ["", " get", "a  b", "get;", "1get", "größe"] {
            assert!(Annotation::Db.malformed_name(wrong).is_some(), "{wrong}");
        }
        assert_eq!(Annotation::Job.malformed_name("report.render_2"), None);
        for wrong in [
            "",
            "report",
            "Report.render",
            "report.",
            "report..render",
            "report.2",
        ] {
            assert!(Annotation::Job.malformed_name(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn attribute_names_are_dotted_lower_snake_words() {
        for right in ["tenant", "app.tenant_id", "a.b2.c"] {
            assert!(is_attribute_name(right), "{right}");
        }
        for wrong in [
            "",
            "App.tenant",
            "app..x",
            "app.x_",
            "app.2x",
            "app-x",
            "a__b",
        ] {
            assert!(!is_attribute_name(wrong), "{wrong}");
        }
    }
}
