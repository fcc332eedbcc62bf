//! What is known of a call when it starts: the names it is about ([`Names`]) and, for recorded
//! calls only, its [`Details`]. Values of an annotation's own attributes are [`FieldValue`]s.
//!
//! Everything here is plain data. It is turned into attributes elsewhere.

use std::borrow::Cow;

use crate::query_text::Dialect;

/// The names a call is about, known when it starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Names<'a> {
    /// The operation or the type of the job, if it is not the one of the site.
    pub operation: Option<&'a str>,
    /// The database system, if it is not the one of the site.
    pub system: Option<&'a str>,
    /// The collection of an operation, or the target of a job.
    pub target: Option<&'a str>,
    /// `db.namespace`.
    pub namespace: Option<&'a str>,
    /// `server.address`; recorded on spans only.
    pub server_address: Option<&'a str>,
}

impl<'a> Names<'a> {
    /// The names at the entry of an annotated function. Empty ones are left out.
    // Inlined into the expansion, where most names are constants or known to be missing.
    #[inline]
    pub const fn new(
        target: Option<&'a str>,
        namespace: Option<&'a str>,
        server_address: Option<&'a str>,
    ) -> Self {
        Self {
            operation: None,
            system: None,
            target: filled(target),
            namespace: filled(namespace),
            server_address: filled(server_address),
        }
    }

    /// Sets the operation or the type of the job, unless it is empty.
    #[inline]
    #[must_use]
    pub const fn with_operation(self, operation: &'a str) -> Self {
        Self {
            operation: filled(Some(operation)),
            ..self
        }
    }

    /// Sets the database system, unless it is empty.
    #[inline]
    #[must_use]
    pub const fn with_system(self, system: &'a str) -> Self {
        Self {
            system: filled(Some(system)),
            ..self
        }
    }
}

#[inline]
const fn filled(name: Option<&str>) -> Option<&str> {
    match name {
        Some(name) if !name.is_empty() => Some(name),
        _ => None,
    }
}

/// The names of a call whose series does not hold them.
#[derive(Debug)]
pub(crate) struct OwnedNames {
    pub(crate) operation: Option<String>,
    pub(crate) system: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) server_address: Option<String>,
}

impl OwnedNames {
    pub(crate) fn of(names: Names<'_>) -> Self {
        Self {
            operation: names.operation.map(str::to_owned),
            system: names.system.map(str::to_owned),
            target: names.target.map(str::to_owned),
            namespace: names.namespace.map(str::to_owned),
            server_address: names.server_address.map(str::to_owned),
        }
    }

    #[cfg(feature = "pipeline")]
    pub(crate) fn as_names(&self) -> Names<'_> {
        Names {
            operation: self.operation.as_deref(),
            system: self.system.as_deref(),
            target: self.target.as_deref(),
            namespace: self.namespace.as_deref(),
            server_address: self.server_address.as_deref(),
        }
    }
}

/// A value of an annotation's own attribute.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FieldValue {
    /// No value: the attribute is left out.
    None,
    /// An integer. A larger one is a string of its decimal digits.
    I64(i64),
    /// A floating-point number.
    F64(f64),
    /// A boolean.
    Bool(bool),
    /// A string.
    Str(String),
}

macro_rules! field_value_from {
    ($($from:ty => |$value:ident| $to:expr;)*) => {
        $(impl From<$from> for FieldValue {
            fn from($value: $from) -> Self {
                $to
            }
        })*
    };
}

field_value_from! {
    i64 => |value| Self::I64(value);
    i32 => |value| Self::I64(value.into());
    i16 => |value| Self::I64(value.into());
    i8 => |value| Self::I64(value.into());
    isize => |value| integer(value);
    u8 => |value| Self::I64(value.into());
    u16 => |value| Self::I64(value.into());
    u32 => |value| Self::I64(value.into());
    u64 => |value| integer(value);
    usize => |value| integer(value);
    i128 => |value| integer(value);
    u128 => |value| integer(value);
    f64 => |value| Self::F64(value);
    f32 => |value| Self::F64(value.into());
    bool => |value| Self::Bool(value);
    &str => |value| Self::Str(value.to_owned());
    String => |value| Self::Str(value);
    &String => |value| Self::Str(value.clone());
    Cow<'_, str> => |value| Self::Str(value.into_owned());
}

/// An integer. The specification maps an integer that does not fit into 64 bits with a sign to its
/// decimal digits as a string.
fn integer(value: impl TryInto<i64> + ToString + Copy) -> FieldValue {
    match value.try_into() {
        Ok(value) => FieldValue::I64(value),
        Err(_) => FieldValue::Str(value.to_string()),
    }
}

impl<T: Into<FieldValue>> From<Option<T>> for FieldValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

/// What is known at the start of a recorded call, apart from its names.
#[derive(Debug, Default)]
pub struct Details {
    /// The dialect of the query's text.
    dialect: Dialect,
    pub(crate) batch_size: Option<i64>,
    pub(crate) query_text: Option<String>,
    pub(crate) query_summary: Option<String>,
    /// The annotation's own attributes by their number.
    pub(crate) custom: Vec<(usize, FieldValue)>,
}

impl Details {
    /// No details yet, of a call whose query text has this dialect.
    #[inline]
    pub(crate) fn in_dialect(dialect: Dialect) -> Self {
        Self {
            dialect,
            ..Self::default()
        }
    }

    /// Sets `db.operation.batch.size` or `job.batch_size`.
    pub fn batch_size(&mut self, size: i64) {
        self.batch_size = Some(size);
    }

    /// Sets `db.query.text` to a query without its literals. Sets `db.query.summary`, unless it was
    /// set before.
    pub fn query_text(&mut self, query: &str) {
        self.query_text = not_empty(self.dialect.sanitize(query));
        self.summarize(query);
    }

    /// Sets `db.query.text` to a query as it is. Sets `db.query.summary`, unless it was set before.
    pub fn raw_query_text(&mut self, query: &str) {
        self.query_text = not_empty(self.dialect.cut(query).to_owned());
        self.summarize(query);
    }

    fn summarize(&mut self, query: &str) {
        if self.query_summary.is_none() {
            self.query_summary = not_empty(self.dialect.summarize(query));
        }
    }

    /// Sets `db.query.summary`, which is the name of the span when there is no collection.
    pub fn query_summary(&mut self, summary: &str) {
        self.query_summary = not_empty(summary.to_owned());
    }

    /// Sets the annotation's own attribute number `index`.
    pub fn field(&mut self, index: usize, value: impl Into<FieldValue>) {
        self.custom.push((index, value.into()));
    }
}

/// An empty attribute is left out.
fn not_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
