//! Database spans created by hand, for code that cannot be annotated: [`db_span`],
//! `db_query_span`, [`record_db_metrics`]. They have the fields of an annotated call's span, but
//! no metric and no automatic error and outcome. Prefer `#[db_op]` where it can be used.

use super::conventions::attribute;
use super::details::{Details, Names};
use super::named_sites::named_sites;
use super::site::attr;
use super::tracing_span::span_by_hand;

/// Declares the enum from the table of operations in percolate-macros.
macro_rules! declare {
    (variants: { $($variants:tt)* } of_a_collection: $_collection:tt single: $_single:tt) => {
        named_sites! {
            /// The operations known by name, and any other.
            pub enum DbOperation: db { $($variants)* }
            /// Another operation: a low-cardinality word.
            Other = "db";
            /// Returns the value of `db.operation.name`.
            as_str;
            attributes = attr::OF_DB_SITES;
        }
    };
}

percolate_macros::operations!(declare);

/// Creates a span for one database operation, named `{operation} {collection}`.
///
/// Enter the span around synchronous code. Around a future use `.instrument(span)` of `tracing`; do
/// not hold a guard across `.await`. Record the result with [`record_db_metrics`] while the span is
/// entered. The span is disabled, and costs almost nothing, if no layer is interested in it or if
/// the current trace is not sampled.
///
/// `namespace` is `db.namespace`, the logical name of the database. `db.system.name` is `rocksdb`;
/// for another system start a call with [`operation`](crate::operation()), which is measured too.
///
/// # Examples
/// ```
/// use percolate_otel::{DbOperation, db_span, record_db_metrics};
///
/// let _span = db_span(DbOperation::Get, Some("entities"), Some("catalogue")).entered();
/// let found = Some("value");
/// if found.is_some() {
///     record_db_metrics(Some(1), None);
/// }
/// ```
#[must_use = "a span does nothing until it is entered"]
pub fn db_span(
    operation: DbOperation,
    collection: Option<&str>,
    namespace: Option<&str>,
) -> tracing::Span {
    let about = Names::new(collection, namespace, None).with_operation(operation.as_str());
    span_by_hand(operation.site(), about, &Details::default())
}

/// Creates a span for one query in SQL or a similar language, named after its summary.
///
/// The text is sanitized before it is recorded: every literal becomes `?`. See
/// [`query_text`](crate::query_text).
///
/// # Examples
/// ```
/// let sql = "SELECT * FROM articles WHERE author = 'A. Author'";
/// let _span = percolate_otel::db_query_span(sql, "articles", None).entered();
/// ```
#[must_use = "a span does nothing until it is entered"]
pub fn db_query_span(query: &str, collection: &str, namespace: Option<&str>) -> tracing::Span {
    let site = DbOperation::Query.site();
    if !site.is_watched() {
        return tracing::Span::none();
    }
    let about = Names::new(Some(collection), namespace, None);
    let mut details = Details::in_dialect(site.dialect(&about));
    details.query_text(query);
    span_by_hand(site, about, &details)
}

/// Records the number of returned rows, and of keys written or deleted, on the current span.
///
/// The current span must come from [`db_span`] or `db_query_span`; otherwise the call has no
/// effect. An annotated function does not need it: its numbers come from the returned value, or
/// from the keys `rows` and `affected_rows`.
pub fn record_db_metrics(returned_rows: Option<u64>, affected_rows: Option<u64>) {
    let span = tracing::Span::current();
    for (name, rows) in [
        (attribute::DB_RESPONSE_RETURNED_ROWS, returned_rows),
        (attribute::DB_RESPONSE_AFFECTED_ROWS, affected_rows),
    ] {
        if let Some(rows) = rows {
            span.record(name, i64::try_from(rows).unwrap_or(i64::MAX));
        }
    }
}

/// Marks the current span, which must come from [`db_span`] or `db_query_span`, as failed.
///
/// `error_type` is a low-cardinality name, `status_code` the code of the database. An annotated
/// function does not need it: a returned `Err` marks its span.
pub fn record_db_error(error_type: &str, status_code: Option<&str>) {
    let span = tracing::Span::current();
    span.record(attribute::OTEL_STATUS_CODE, "ERROR");
    span.record(attribute::ERROR_TYPE, error_type);
    if let Some(code) = status_code {
        span.record(attribute::DB_RESPONSE_STATUS_CODE, code);
    }
}
