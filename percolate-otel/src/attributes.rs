//! The attributes of annotated calls: one table, with one row for each attribute.
//!
//! A row has the attribute's bit, its name, where it is used and its value. The rest is generated
//! from the table: the bits that a site declares, the order of its `tracing` fields, and [`visit`],
//! by which spans and metrics get their attributes. What a value comes from is in `call_values`.

use std::borrow::Cow;

use crate::conventions::attribute;

/// Every database operation can have the attribute.
const EVERY_DB: u8 = 1;
/// Every background job can have the attribute.
const EVERY_JOB: u8 = 1 << 1;
/// Metrics have the attribute too.
const METRIC: u8 = 1 << 2;
/// A field of `tracing` spans for properties that are not attributes of an OpenTelemetry span.
const FIELD: u8 = 1 << 3;

macro_rules! attributes {
    ($call:ident: $($(#[$doc:meta])* $vis:vis $bit:ident = $name:path, $uses:expr, $value:expr;)*) => {
        #[expect(clippy::upper_case_acronyms, non_camel_case_types, reason = "named as the bits")]
        enum Place { $($bit),* }

        $($(#[$doc])* $vis const $bit: u32 = 1 << Place::$bit as u32;)*

        /// The names of all attributes in the order of their bits.
        pub(crate) const NAMES: [&str; USES.len()] = [$($name),*];

        const USES: &[u8] = &[$($uses),*];

        /// Visits those of the attributes in `mask` that have a value: bit, name and value.
        pub(crate) fn visit<'a>(
            mask: u32,
            $call: &CallValues<'a>,
            visitor: &mut impl FnMut(u32, &'static str, AttributeValue<'a>),
        ) {
            $(if mask & $bit != 0 && let Some(value) = $value {
                visitor($bit, $name, value.into());
            })*
        }
    };
}

attributes! { call:
    pub(crate) OTEL_NAME = attribute::OTEL_NAME, EVERY_DB | EVERY_JOB | FIELD, call.span_name;
    pub(crate) OTEL_KIND = attribute::OTEL_KIND, EVERY_DB | EVERY_JOB | FIELD, call.span_kind;
    pub(crate) SYSTEM = attribute::DB_SYSTEM_NAME, EVERY_DB | METRIC, call.system;
    pub(crate) OPERATION = attribute::DB_OPERATION_NAME, EVERY_DB | METRIC, call.operation;
    /// `db.collection.name`.
    pub COLLECTION = attribute::DB_COLLECTION_NAME, METRIC, call.target;
    /// `db.namespace`.
    pub NAMESPACE = attribute::DB_NAMESPACE, METRIC, call.namespace;
    /// `server.address`.
    pub SERVER_ADDRESS = attribute::SERVER_ADDRESS, 0, call.server_address;
    /// `db.operation.batch.size`, which the conventions exclude for a single operation.
    pub BATCH_SIZE = attribute::DB_OPERATION_BATCH_SIZE, 0, call.batch_size.filter(|size| *size != 1);
    /// `db.query.summary`.
    pub QUERY_SUMMARY = attribute::DB_QUERY_SUMMARY, 0, call.query_summary;
    /// `db.query.text`.
    pub QUERY_TEXT = attribute::DB_QUERY_TEXT, 0, call.query_text;
    /// `db.response.returned_rows`.
    pub RETURNED_ROWS = attribute::DB_RESPONSE_RETURNED_ROWS, 0, call.returned_rows;
    /// `db.response.affected_rows`.
    pub AFFECTED_ROWS = attribute::DB_RESPONSE_AFFECTED_ROWS, 0, call.affected_rows;
    /// `db.response.status_code`.
    pub STATUS_CODE = attribute::DB_RESPONSE_STATUS_CODE, EVERY_DB | METRIC, call.status_code;
    pub(crate) JOB_TYPE = attribute::JOB_TYPE, EVERY_JOB | METRIC, call.operation;
    /// `job.target`.
    pub JOB_TARGET = attribute::JOB_TARGET, METRIC, call.target;
    /// `job.batch_size`.
    pub JOB_BATCH_SIZE = attribute::JOB_BATCH_SIZE, 0, call.batch_size;
    pub(crate) JOB_STATUS = attribute::JOB_STATUS, EVERY_JOB | METRIC, call.job_status;
    pub(crate) JOB_DURATION_MS = attribute::JOB_DURATION_MS, EVERY_JOB, call.duration_ms;
    pub(crate) ERROR_TYPE = attribute::ERROR_TYPE, EVERY_DB | EVERY_JOB | METRIC, call.error_type;
    pub(crate) OTEL_STATUS_CODE = attribute::OTEL_STATUS_CODE, EVERY_DB | EVERY_JOB | FIELD, call.span_status;
}

/// The attributes that every database operation can record.
#[expect(
    non_upper_case_globals,
    reason = "named by the macro from the site's kind"
)]
pub const db: u32 = with_use(EVERY_DB);
/// The attributes that every background job can record.
#[expect(
    non_upper_case_globals,
    reason = "named by the macro from the site's kind"
)]
pub const job: u32 = with_use(EVERY_JOB);
/// The attributes that operations by hand can record.
pub const OF_DB_SITES: u32 = COLLECTION
    | NAMESPACE
    | SERVER_ADDRESS
    | BATCH_SIZE
    | QUERY_TEXT
    | QUERY_SUMMARY
    | RETURNED_ROWS
    | AFFECTED_ROWS;
/// The attributes that jobs by hand can record.
pub const OF_JOB_SITES: u32 = JOB_TARGET | JOB_BATCH_SIZE;
/// The attributes of metrics.
pub(crate) const ON_METRICS: u32 = with_use(METRIC);
/// The attributes of OpenTelemetry spans.
pub(crate) const ON_SPANS: u32 = !with_use(FIELD);

const fn with_use(wanted: u8) -> u32 {
    let mut bits = 0;
    let mut place = 0;
    while place < USES.len() {
        if USES[place] & wanted != 0 {
            bits |= 1 << place;
        }
        place += 1;
    }
    bits
}

/// Returns the number of fields of a site.
pub const fn count(attributes: u32, custom: &[&str]) -> usize {
    attributes.count_ones() as usize + custom.len()
}

/// Returns the names of a site's fields: its attributes in the order of the table, then the
/// annotation's own.
///
/// # Panics
/// Panics if `N` is not [`count`] of the same arguments. It is evaluated at compile time.
pub const fn names<const N: usize>(attributes: u32, custom: &[&'static str]) -> [&'static str; N] {
    assert!(
        N == count(attributes, custom),
        "a site has as many fields as attributes"
    );
    let mut names = [""; N];
    let mut filled = 0;
    let mut bit = 0;
    while bit < NAMES.len() {
        if attributes & (1 << bit) != 0 {
            names[filled] = NAMES[bit];
            filled += 1;
        }
        bit += 1;
    }
    let mut index = 0;
    while index < custom.len() {
        names[filled] = custom[index];
        filled += 1;
        index += 1;
    }
    names
}

/// The values of a call's attributes, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct CallValues<'a> {
    pub(crate) span_name: Option<&'a str>,
    pub(crate) span_kind: Option<&'static str>,
    pub(crate) span_status: Option<&'static str>,
    pub(crate) system: Option<AttributeValue<'a>>,
    pub(crate) operation: Option<AttributeValue<'a>>,
    pub(crate) target: Option<AttributeValue<'a>>,
    pub(crate) namespace: Option<AttributeValue<'a>>,
    pub(crate) server_address: Option<AttributeValue<'a>>,
    pub(crate) batch_size: Option<i64>,
    pub(crate) query_summary: Option<&'a str>,
    pub(crate) query_text: Option<&'a str>,
    pub(crate) returned_rows: Option<i64>,
    pub(crate) affected_rows: Option<i64>,
    pub(crate) status_code: Option<&'a Cow<'static, str>>,
    pub(crate) job_status: Option<&'static str>,
    pub(crate) duration_ms: Option<i64>,
    pub(crate) error_type: Option<&'a Cow<'static, str>>,
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AttributeValue<'a> {
    /// A string that lives as long as the process, so that spans and metrics need no copy.
    Static(&'static str),
    Str(&'a str),
    I64(i64),
    F64(f64),
    Bool(bool),
}

impl<'a> From<&'a str> for AttributeValue<'a> {
    fn from(value: &'a str) -> Self {
        Self::Str(value)
    }
}

impl<'a> From<&'a Cow<'static, str>> for AttributeValue<'a> {
    fn from(value: &'a Cow<'static, str>) -> Self {
        match value {
            Cow::Borrowed(value) => Self::Static(value),
            Cow::Owned(value) => Self::Str(value),
        }
    }
}

impl From<i64> for AttributeValue<'_> {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<AttributeValue<'_>> for opentelemetry::Value {
    fn from(value: AttributeValue<'_>) -> Self {
        match value {
            AttributeValue::Static(value) => value.into(),
            AttributeValue::Str(value) => value.to_owned().into(),
            AttributeValue::I64(value) => value.into(),
            AttributeValue::F64(value) => value.into(),
            AttributeValue::Bool(value) => value.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_belongs_to_operations_or_jobs_by_its_name() {
        for (place, name) in NAMES.iter().enumerate() {
            let bit = 1 << place;
            let (is_db, is_job) = (name.starts_with("db."), name.starts_with("job."));
            assert!(
                !is_db || job & bit == 0,
                "{name} is an attribute of every job"
            );
            assert!(
                !is_job || db & bit == 0,
                "{name} is an attribute of every operation"
            );
        }
    }
}
