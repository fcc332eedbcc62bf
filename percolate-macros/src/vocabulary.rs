//! The words of an annotation: reserved attribute names, the form of names, and the sentence that
//! suggests the nearest one. Operations and job types are in `operations.rs`. No tokens are parsed
//! here.

use crate::operations::{JOB_TYPES, OPERATIONS};

/// Keys of both annotations.
const COMMON_KEYS: [&str; 11] = [
    "batch_size",
    "crate",
    "error_type",
    "fields",
    "kind",
    "leaf",
    "level",
    "metrics",
    "name",
    "parent",
    "slow",
];

/// Keys of `#[db_op]` alone.
const DB_KEYS: [&str; 8] = [
    "affected_rows",
    "collection",
    "namespace",
    "query_summary",
    "query_text",
    "rows",
    "server_address",
    "system",
];

/// Keys of `#[background_job]` alone.
const JOB_KEYS: [&str; 1] = ["target"];

/// Attributes that percolate records by itself, and what to write instead.
const RESERVED: [(&str, &str); 24] = [
    ("db.system.name", "`system = \"…\"`"),
    ("db.system", "`system = \"…\"`"),
    ("db.operation.name", "the operation in first position"),
    ("db.operation", "the operation in first position"),
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
    ("job.type", "the job type in first position"),
    ("job.target", "`target = …`"),
    ("job.batch_size", "`batch_size = …`"),
    ("job.status", "the `JobOutcome` trait"),
    ("job.duration_ms", "every job, without being asked"),
    ("otel.name", "`name = \"…\"`"),
    ("otel.kind", "`kind = …`"),
];

/// Which of the two annotations is being read.
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

    /// Name of the second position.
    pub(crate) const fn target_key(self) -> &'static str {
        match self {
            Self::Db => "collection",
            Self::Job => "target",
        }
    }

    /// What stands in first position.
    pub(crate) const fn name_noun(self) -> &'static str {
        match self {
            Self::Db => "operation",
            Self::Job => "job type",
        }
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Db => Self::Job,
            Self::Job => Self::Db,
        }
    }

    pub(crate) fn keys(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Self::Db => &DB_KEYS,
            Self::Job => &JOB_KEYS,
        };
        let mut keys: Vec<_> = COMMON_KEYS.iter().chain(own).copied().collect();
        keys.sort_unstable();
        keys
    }

    pub(crate) fn known_names(self) -> Vec<&'static str> {
        match self {
            Self::Db => OPERATIONS.iter().map(|row| row.word).collect(),
            Self::Job => JOB_TYPES.iter().map(|row| row.word).collect(),
        }
    }

    /// What is wrong with a name given as a string literal, if anything is.
    pub(crate) fn misformed_name(self, name: &str) -> Option<String> {
        match self {
            Self::Db => {
                let words = name.split(' ').all(|word| !word.is_empty());
                let letters = name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ' '));
                let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
                (!(words && letters && starts)).then(|| {
                    format!(
                        "`{name}` is no operation name; expected words of ASCII letters, digits, `_`, `.` and `-`, \
                         single spaces between them, such as \"range_delete\""
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
                        "`{name}` is no job type; expected lower_snake words joined by dots, such as \"report.render\""
                    )
                })
            }
        }
    }
}

/// What to write instead of a key that `#[tracing::instrument]` knows and we do not.
pub(crate) fn instead_of_instrument_key(annotation: Annotation, key: &str) -> Option<String> {
    Some(match (key, annotation) {
        ("skip" | "skip_all", _) => {
            format!("arguments are recorded only where `fields(…)` names them: remove `{key}`")
        }
        ("err", _) => "an `Err` is always recorded, as `error.type`: remove `err`, or name it by `error_type = …`".into(),
        ("ret", Annotation::Db) => "returned values are counted, never recorded: remove `ret`, or write `rows = |out| …`".into(),
        ("ret", Annotation::Job) => {
            "returned values are counted, never recorded: remove `ret`, or write `batch_size = |out| …`".into()
        }
        ("target", Annotation::Db) => {
            "the tracing target of an operation is always `percolate::db`; to name what it works on write `collection = …`".into()
        }
        ("follows_from", _) => "to link to the current span instead of being its child write `parent = link`".into(),
        _ => return None,
    })
}

/// What records an attribute that an annotation may not declare.
pub(crate) fn reserved_attribute(name: &str) -> Option<&'static str> {
    RESERVED
        .iter()
        .find(|(reserved, _)| *reserved == name)
        .map(|(_, instead)| *instead)
}

/// Whether a name has the form of an attribute: dotted lower_snake words.
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

/// `` `a`, `b`, `c` ``
pub(crate) fn list(choices: &[&str]) -> String {
    let quoted: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
    quoted.join(", ")
}

/// `` one of `a`, `b` (did you mean `b`?) ``
pub(crate) fn expected_one_of(given: &str, choices: &[&str]) -> String {
    format!(
        "expected one of {}{}",
        list(choices),
        did_you_mean(given, choices)
    )
}

/// `` (did you mean `b`?) `` with a space before it, or nothing.
pub(crate) fn did_you_mean(given: &str, choices: &[&str]) -> String {
    let given = given.to_lowercase();
    let limit = (given.chars().count() / 3).clamp(1, 3);
    choices
        .iter()
        .map(|choice| (distance(&given, choice), choice))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map_or_else(String::new, |(_, choice)| {
            format!(" (did you mean `{choice}`?)")
        })
}

/// Edit distance in which two exchanged letters are one mistake.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_choice_is_suggested_and_nothing_far_away() {
        assert_eq!(
            did_you_mean("nmae", &["name", "rows"]),
            " (did you mean `name`?)"
        );
        assert_eq!(
            did_you_mean("gte", &["get", "put"]),
            " (did you mean `get`?)"
        );
        assert_eq!(
            did_you_mean("colection", &["collection"]),
            " (did you mean `collection`?)"
        );
        assert_eq!(
            did_you_mean("index.biuld", &Annotation::Job.known_names()),
            " (did you mean `index.build`?)"
        );
        assert_eq!(did_you_mean("sing", &["get", "put"]), "");
    }

    #[test]
    fn names_are_checked_for_form() {
        assert_eq!(Annotation::Db.misformed_name("range_delete_files"), None);
        assert_eq!(Annotation::Db.misformed_name("BATCH put"), None);
        for wrong in ["", " get", "a  b", "get;", "1get", "größe"] {
            assert!(Annotation::Db.misformed_name(wrong).is_some(), "{wrong}");
        }
        assert_eq!(Annotation::Job.misformed_name("report.render_2"), None);
        for wrong in [
            "",
            "report",
            "Report.render",
            "report.",
            "report..render",
            "report.2",
        ] {
            assert!(Annotation::Job.misformed_name(wrong).is_some(), "{wrong}");
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
