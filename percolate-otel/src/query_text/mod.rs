//! Query text without its data: [`sanitize`] for `db.query.text`, [`summarize`] for
//! `db.query.summary`.
//!
//! Both work on tokens of a [`Dialect`]. They follow the OpenTelemetry conventions for database
//! spans, with two differences. Text with placeholders is sanitised as well, because it can also
//! contain literals. A summary never contains a name in single quotes, because it may be data.
//!
//! # What is replaced
//!
//! Every literal becomes `?`: strings, numbers with their sign, booleans, and all with a prefix,
//! such as dates, bits and binary. A list of literals after `IN` becomes `(?)`. Comments are
//! removed. Everything else is copied as it is, with its white space. Parameters are copied: `?`,
//! `$1`, `:name`, `@p`, `%s`.
//!
//! Some data has no quotes, and is replaced as well: passwords after `IDENTIFIED BY`, and after
//! `PASSWORD` in statements about users; names as arguments of `EXEC`, which SQL Server reads as
//! strings; rows after `COPY … FROM STDIN;` and after `INSERT … FORMAT CSV`.
//!
//! **Text without one certain reading is never copied.** After an unterminated string or comment,
//! and where two readings differ, the rest of the text becomes one `?`. In [`Dialect::Any`] these
//! are:
//!
//! | Text | One reading | Another | Result in `Any` |
//! |---|---|---|---|
//! | `'a\'…` | the string goes on (MySQL) | it ends (standard) | `?` to the end |
//! | `'it's x'` | a string, with a mistake | a string and a name | `?` to the end, in any dialect |
//! | `"x"` | a string (MySQL) | a name | `?`; a name in a summary, where only tables are possible |
//! | `'''x'''`, `"""x"""` | one string (BigQuery) | doubled quotes | `?` if both end at the same place, else to the end |
//! | `` `x` `` | a name (MySQL) | an operator (PostgreSQL) | a name of letters, digits, `_`, `-`, `.` and spaces is copied; else to the end |
//! | `[x]` | a name (SQL Server) | an array or an index | read as code if it contains no quotes; else to the end |
//! | `$$x$$`, `$t$x$t$` | a string (PostgreSQL) | words (MySQL) | `?` if `x` contains no quotes; else to the end |
//! | `$42` | a parameter (PostgreSQL) | money (SQL Server) | copied up to 3 digits, without a fraction; else `?` |
//! | `:42` | a parameter (Oracle) | a number | `?` |
//! | `q'[x]'` | a string up to `]'` (Oracle) | a string up to `'` | `?` if both end at the same place, else to the end |
//! | `E'a\'…` | the string goes on (PostgreSQL) | it ends | `?` to the end |
//! | `--x` | a comment | two minus signs (MySQL) | removed if the line contains no quotes; else to the end |
//! | `#x`, `//x` | a comment (MySQL; Cassandra) | an operator or a name | `?` if the line contains no quotes; else to the end |
//! | `/* /* */` | one more `*/` follows (PostgreSQL) | the comment has ended (MySQL) | to the end |
//! | `/*! x */` | code (MySQL) | a comment | removed if it contains no quotes; else to the end |
//! | `1`–`9` and `a`–`f` as a UUID | a literal (Cassandra) | numbers and names | `?` |
//! | a line that ends in `\r` alone | a line | a part of a line | after a comment, to the end |
//! | a backslash outside a string, `‘`, control characters | | | to the end |
//!
//! "Quotes" are here all characters with which quoted text or a comment starts in some dialect.
//!
//! Sanitised text is a fixed point: sanitising it again does not change it. The time is linear in
//! the length of the text.

mod bare_data;
mod dialect;
mod keywords;
mod sanitize;
mod significant;
mod summarize;
pub(crate) mod tokens;

pub use dialect::Dialect;

/// The maximum length of a summary in characters, as the conventions require.
pub const MAX_SUMMARY: usize = 255;

/// The maximum length of a recorded query text in bytes. Longer text is cut after a token.
pub const MAX_TEXT: usize = 4096;

/// Returns the query with `?` for every literal, in any dialect.
///
/// White space is kept, comments are removed, and a list of literals after `IN` becomes `(?)`. Text
/// without one certain reading, for example after an unterminated string, becomes one `?`. The
/// result has at most [`MAX_TEXT`] bytes. [`Dialect::sanitize`] copies more, because it does not
/// have to consider other dialects.
///
/// # Examples
/// ```
/// use percolate_otel::query_text::sanitize;
///
/// let sql = "SELECT title FROM articles WHERE author = 'x' AND year IN (1999, 2001) -- secret";
/// assert_eq!(sanitize(sql), "SELECT title FROM articles WHERE author = ? AND year IN (?)");
/// ```
pub fn sanitize(query: &str) -> String {
    Dialect::Any.sanitize(query)
}

/// Returns the operations of a query and their targets, in order and as they are written.
///
/// The result has a low cardinality and at most [`MAX_SUMMARY`] characters. Only the first 64 KiB
/// of the text are read.
///
/// # Examples
/// ```
/// use percolate_otel::query_text::summarize;
///
/// assert_eq!(summarize("SELECT a.title FROM articles a JOIN authors ON a.by = authors.id"), "SELECT articles authors");
/// assert_eq!(summarize("insert into log select * from events"), "insert log select events");
/// ```
pub fn summarize(query: &str) -> String {
    Dialect::Any.summarize(query)
}

#[cfg(test)]
mod tests;
