//! The rules: what can be wrong, how bad that is, and in which words it is said. Deciding whether it *is* wrong
//! happens in `check.rs` for spans and `metrics.rs` for metrics.
//!
//! A [`Rule`] is what users see and switch; a [`Case`] is one way to break it, with a message of its own. Ids and
//! levels follow the ecosystem's live check where it has the same finding. No message ever holds a value.

use super::super::conventions::attribute;

/// How bad a finding is. Ordered: a violation is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Worth knowing.
    Information,
    /// A recommendation was not followed.
    Improvement,
    /// Telemetry that does not follow the conventions.
    Violation,
}

impl Level {
    /// The level in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Information => "information",
            Self::Improvement => "improvement",
            Self::Violation => "violation",
        }
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $id:literal $level:ident;)*) => {
        /// What the Layer checks. Each rule has a page section in `docs/layer.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Rule { $($(#[$doc])* $name,)* }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Rule] = &[$(Rule::$name),*];

            /// The finding's id, as reports show it.
            pub const fn id(self) -> &'static str {
                match self { $(Rule::$name => $id,)* }
            }

            /// How bad it is to break this rule; single cases of it may weigh less.
            pub const fn level(self) -> Level {
                match self { $(Rule::$name => Level::$level,)* }
            }
        }
    };
}

rules! {
    /// A required attribute is not there.
    RequiredAttributeNotPresent = "required_attribute_not_present" Violation;
    /// An attribute is not there although its condition holds.
    ConditionallyRequiredAttributeNotPresent = "conditionally_required_attribute_not_present" Violation;
    /// A recommended attribute that applies is not there.
    RecommendedAttributeNotPresent = "recommended_attribute_not_present" Improvement;
    /// A value has another type than the conventions say.
    TypeMismatch = "type_mismatch" Violation;
    /// An attribute in a checked namespace is not defined anywhere.
    MissingAttribute = "missing_attribute" Violation;
    /// A name that was replaced is still used.
    Deprecated = "deprecated" Violation;
    /// A name is a slip of the pen away from a known one.
    MisspeltAttribute = "misspelt_attribute" Violation;
    /// A name is not lower-case words joined by dots and underscores.
    InvalidFormat = "invalid_format" Violation;
    /// A name has no namespace.
    MissingNamespace = "missing_namespace" Improvement;
    /// A name goes on behind the full name of another attribute.
    IllegalNamespace = "illegal_namespace" Violation;
    /// A definition in development is used.
    NotStable = "not_stable" Information;
    /// A value is not one of those the definition lists.
    UndefinedEnumVariant = "undefined_enum_variant" Violation;
    /// An opt-in attribute is there although nobody asked for it.
    OptInWithoutConfig = "opt_in_without_config" Violation;
    /// The span's name is not made as the conventions say.
    SpanNameMismatch = "span_name_mismatch" Improvement;
    /// The span's name or error type holds something that is different each time.
    HighCardinality = "high_cardinality" Improvement;
    /// The span has another kind than its type.
    UnexpectedSpanKind = "unexpected_span_kind" Improvement;
    /// The status says something else than the outcome.
    UnexpectedStatus = "unexpected_status" Violation;
    /// There is an `error.type`, but the span did not fail.
    ErrorTypeWithoutError = "error_type_without_error" Violation;
    /// An ERROR event makes the span a failed one.
    ErrorEventInSpan = "error_event_in_span" Improvement;
    /// An error value is recorded as an attribute.
    ErrorAsAttribute = "error_as_attribute" Improvement;
    /// A batch size on something that is no batch, or of one.
    BatchSizeOnNonBatch = "batch_size_on_non_batch" Improvement;
    /// What samplers look at came after the span was created.
    LateSamplingAttribute = "late_sampling_attribute" Improvement;
    /// The query text still holds literals.
    LiteralInQueryText = "literal_in_query_text" Improvement;
    /// `server.address` holds a path.
    ServerAddressIsPath = "server_address_is_path" Improvement;
    /// A metric in a checked namespace is not defined anywhere.
    MissingMetric = "missing_metric" Violation;
    /// A metric has another unit than its definition.
    UnitMismatch = "unit_mismatch" Violation;
    /// A metric has another instrument than its definition.
    UnexpectedInstrument = "unexpected_instrument" Violation;
    /// A measured value cannot be in the metric's unit.
    ImplausibleValue = "implausible_value" Violation;
    /// An attribute that its metric does not define, and that may be different each time.
    UnexpectedMetricAttribute = "unexpected_metric_attribute" Improvement;
    /// A span failed with an error type that its metric does not know.
    ErrorTypeDiffers = "error_type_differs" Violation;
}

/// One way to break a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Case {
    RequiredMissing,
    ErrorTypeMissing,
    StatusCodeMissing,
    CollectionMissing,
    CollectionUnknown,
    OperationMissing,
    SummaryMissing,
    BatchSizeMissing,
    TypeMismatch,
    Unknown,
    Deprecated,
    Misspelt,
    Malformed,
    NoNamespace,
    IllegalNamespace,
    NotStable,
    SystemName,
    UndefinedMember,
    OptIn,
    NameMismatch,
    NameLong,
    NameCardinality,
    ErrorTypeCardinality,
    KindMissing,
    KindWrong,
    KindOdd,
    StatusOk,
    StatusOdd,
    StatusErrorOnSuccess,
    ErrorTypeWithoutError,
    ErrorEvent,
    ErrorField,
    BatchOfSingle,
    BatchOfOne,
    BatchNegative,
    Late,
    LateName,
    LateKind,
    Literal,
    Path,
    EmbeddedPath,
    MetricUnknown,
    MetricDeprecatedName,
    Unit,
    Instrument,
    DefaultBounds,
    Negative,
    TooLong,
    ErrorTypeDiffers,
    NotOfMetric,
}

impl Case {
    pub(crate) const fn rule(self) -> Rule {
        match self {
            Self::RequiredMissing => Rule::RequiredAttributeNotPresent,
            Self::ErrorTypeMissing
            | Self::StatusCodeMissing
            | Self::CollectionMissing
            | Self::CollectionUnknown
            | Self::OperationMissing => Rule::ConditionallyRequiredAttributeNotPresent,
            Self::SummaryMissing | Self::BatchSizeMissing => Rule::RecommendedAttributeNotPresent,
            Self::TypeMismatch => Rule::TypeMismatch,
            Self::Unknown => Rule::MissingAttribute,
            Self::Deprecated => Rule::Deprecated,
            Self::Misspelt => Rule::MisspeltAttribute,
            Self::Malformed => Rule::InvalidFormat,
            Self::NoNamespace => Rule::MissingNamespace,
            Self::IllegalNamespace => Rule::IllegalNamespace,
            Self::NotStable => Rule::NotStable,
            Self::SystemName | Self::UndefinedMember => Rule::UndefinedEnumVariant,
            Self::OptIn => Rule::OptInWithoutConfig,
            Self::NameMismatch | Self::NameLong => Rule::SpanNameMismatch,
            Self::NameCardinality | Self::ErrorTypeCardinality => Rule::HighCardinality,
            Self::KindMissing | Self::KindWrong | Self::KindOdd => Rule::UnexpectedSpanKind,
            Self::StatusOk | Self::StatusOdd | Self::StatusErrorOnSuccess => Rule::UnexpectedStatus,
            Self::ErrorTypeWithoutError => Rule::ErrorTypeWithoutError,
            Self::ErrorEvent => Rule::ErrorEventInSpan,
            Self::ErrorField => Rule::ErrorAsAttribute,
            Self::BatchOfSingle | Self::BatchOfOne | Self::BatchNegative => {
                Rule::BatchSizeOnNonBatch
            }
            Self::Late | Self::LateName | Self::LateKind => Rule::LateSamplingAttribute,
            Self::Literal => Rule::LiteralInQueryText,
            Self::Path | Self::EmbeddedPath => Rule::ServerAddressIsPath,
            Self::MetricUnknown | Self::MetricDeprecatedName => Rule::MissingMetric,
            Self::Unit => Rule::UnitMismatch,
            Self::Instrument => Rule::UnexpectedInstrument,
            Self::DefaultBounds | Self::Negative | Self::TooLong => Rule::ImplausibleValue,
            Self::ErrorTypeDiffers => Rule::ErrorTypeDiffers,
            Self::NotOfMetric => Rule::UnexpectedMetricAttribute,
        }
    }

    pub(crate) const fn level(self) -> Level {
        match self {
            // Nobody said whether there is one collection; where the call site declares the attribute, it did.
            Self::CollectionUnknown | Self::EmbeddedPath => Level::Information,
            Self::OperationMissing | Self::DefaultBounds => Level::Improvement,
            case => case.rule().level(),
        }
    }
}

/// What a message needs to know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// The attribute (or other name) the finding is about; empty when it is about the span as a whole.
    pub(crate) subject: String,
    /// `database span`, `job span`, `metric`, or the type of span a registry claims.
    pub(crate) span: String,
    /// What the definition wants: a type, a kind, a unit, a list of values, a name.
    pub(crate) expected: String,
    /// What is there: a type, a unit. Never a value.
    pub(crate) found: String,
}

/// What stands in [`Facts::span`] when a metric is meant.
pub(crate) const METRIC: &str = "metric";

/// What is wrong, and what to write instead.
pub(crate) fn words(case: Case, facts: &Facts) -> (String, String) {
    let Facts {
        subject,
        span,
        expected,
        found,
    } = facts;
    let (message, help): (String, String) = match case {
        Case::RequiredMissing => (
            format!("a {span} without `{subject}`"),
            match subject.as_str() {
                _ if span == METRIC => format!("record it with `{subject}` ({expected})"),
                attribute::DB_SYSTEM_NAME => {
                    format!("give `{subject} = \"…\"` (the database system, lower case) where the span is created")
                }
                attribute::JOB_STATUS => format!("record `{subject}` ({expected}) before the span ends"),
                _ => format!("give `{subject}` ({expected}) where the span is created"),
            },
        ),
        Case::ErrorTypeMissing => (
            "the span failed, but nothing says how".to_owned(),
            format!(
                "record `{}` together with the ERROR status: a low-cardinality name of the failure",
                attribute::ERROR_TYPE
            ),
        ),
        Case::StatusCodeMissing => (
            "the span failed with a code of the database, but does not give it".to_owned(),
            format!("record `{}` (a string) beside `{}`", attribute::DB_RESPONSE_STATUS_CODE, attribute::ERROR_TYPE),
        ),
        Case::CollectionMissing => (
            format!("the operation works on one collection, and `{subject}` is declared but was not given"),
            format!("give `{subject}` where the span is created"),
        ),
        Case::CollectionUnknown => (
            "the operation usually works on one collection, but none is named".to_owned(),
            format!("give `{subject}` where the span is created, if the call works on one collection"),
        ),
        Case::OperationMissing => (
            "a database span that does not say what it does".to_owned(),
            format!("give `{}` (or `{}`) where the span is created", attribute::DB_OPERATION_NAME, attribute::DB_QUERY_SUMMARY),
        ),
        Case::SummaryMissing => (
            format!("there is `{}`, but no summary of it", attribute::DB_QUERY_TEXT),
            format!("give `{subject}`, a low-cardinality form such as `SELECT articles`, and name the span by it"),
        ),
        Case::BatchSizeMissing => (
            "a batch that does not say how large it is".to_owned(),
            format!("give `{subject}` (an i64: 0, or 2 and more)"),
        ),
        Case::TypeMismatch => {
            let cast = match (expected.as_str(), found.as_str()) {
                ("int", "u64") => {
                    format!("cast it: `{subject} = n as i64` (tracing-opentelemetry exports a u64 as a string)")
                }
                ("int", _) if span != METRIC => format!("record `{subject}` as an i64"),
                ("string", _) => format!("record `{subject}` as a string"),
                (other, _) => format!("record `{subject}` as a {other}"),
            };
            (format!("`{subject}` is recorded as {found}, the conventions want {expected}"), cast)
        }
        Case::Unknown => (
            format!("`{subject}` is not defined in a namespace whose names are"),
            if expected.is_empty() {
                "use a defined name, put it into a namespace of your own, or define it in a registry given to the Layer"
                    .to_owned()
            } else {
                format!(
                    "did you mean `{expected}`? Otherwise put it into a namespace of your own or define it in a registry"
                )
            },
        ),
        Case::Deprecated => (
            format!("`{subject}` is deprecated"),
            if expected.is_empty() {
                "leave it out; nothing replaces it".to_owned()
            } else {
                format!("write `{expected}` instead")
            },
        ),
        Case::Misspelt => (format!("`{subject}` looks like a slip of the pen"), format!("did you mean `{expected}`?")),
        Case::Malformed => (
            format!("`{subject}` is not a valid attribute name"),
            "use lower-case letters and digits, words joined by `_`, namespaces by `.`".to_owned(),
        ),
        Case::NoNamespace => (
            format!("`{subject}` has no namespace"),
            format!("put it into one of your own, such as `app.{subject}`, or keep it off this span (`skip`)"),
        ),
        Case::IllegalNamespace => (
            format!("`{subject}` uses the attribute `{expected}` as a namespace"),
            "choose a name that does not go on behind another attribute's full name".to_owned(),
        ),
        Case::NotStable => (
            format!("`{subject}` is defined, but still in development"),
            "nothing to do; the name may change in a later version of the conventions".to_owned(),
        ),
        Case::SystemName => (
            format!("`{subject}` is not the lower-case name of a database system without its version"),
            "write it as the conventions list it (`postgresql`), or the product's own name in lower case (`rocksdb`)"
                .to_owned(),
        ),
        Case::UndefinedMember => {
            (format!("`{subject}` has a value that its definition does not list"), format!("use one of {expected}"))
        }
        Case::OptIn => (
            format!("`{subject}` is opt-in, and nobody opted in"),
            format!("leave it out, or allow it: `ConventionLayer::builder().opt_in(\"{subject}\")`"),
        ),
        Case::NameMismatch => (
            "the span's name does not follow from its attributes".to_owned(),
            format!("name it `{expected}` (`otel.name`, given where the span is created)"),
        ),
        Case::NameLong => (
            "the span's name is longer than 255 bytes".to_owned(),
            "name it by its operation and collection; put details into attributes".to_owned(),
        ),
        Case::NameCardinality => (
            "the span's name holds something that looks different each time (a number, an id or a path)".to_owned(),
            "keep ids and paths out of the name; put them into attributes".to_owned(),
        ),
        Case::ErrorTypeCardinality => (
            format!("`{subject}` looks like a message, not like a kind of failure"),
            "record the name of the error's type or code; it becomes an attribute of metrics".to_owned(),
        ),
        Case::KindMissing => (
            format!("the span has no kind, and so is INTERNAL; a {span} is {}", expected.to_uppercase()),
            format!("give `otel.kind = \"{expected}\"` where the span is created"),
        ),
        Case::KindWrong => (
            format!("the span's kind is not the one of a {span}"),
            format!("give `otel.kind = \"{expected}\"` where the span is created"),
        ),
        Case::KindOdd => (
            "`otel.kind` is none of the five kinds, and is ignored".to_owned(),
            format!("write `otel.kind = \"{expected}\"`"),
        ),
        Case::StatusOk => (
            "the status is set to OK".to_owned(),
            "leave the status of a successful span unset; OK is for the application to say".to_owned(),
        ),
        Case::StatusOdd => (
            "`otel.status_code` is neither `OK` nor `ERROR`, and is ignored".to_owned(),
            "record `otel.status_code = \"ERROR\"` on failure, and nothing otherwise".to_owned(),
        ),
        Case::StatusErrorOnSuccess => (
            format!("the status is ERROR, but `{subject}` says success"),
            format!("record `{subject} = \"failed\"` with ERROR, or leave the status unset"),
        ),
        Case::ErrorTypeWithoutError => (
            format!("there is `{subject}`, but the span did not fail"),
            "set `otel.status_code = \"ERROR\"` with it, or record it only on failure (an absent key is none)"
                .to_owned(),
        ),
        Case::ErrorEvent => (
            "an event of level ERROR inside the span makes it a failed one".to_owned(),
            "log handled errors at WARN or below; on failure record the status and `error.type` on the span".to_owned(),
        ),
        Case::ErrorField => (
            format!("`{subject}` is recorded as an error value"),
            "record its name as a string in `error.type`; an error value adds `exception.*` and a list of causes"
                .to_owned(),
        ),
        Case::BatchOfSingle => (
            format!("`{subject}` on an operation that is no batch"),
            "leave it out; several keys of one operation are operands, not a batch".to_owned(),
        ),
        Case::BatchOfOne => (
            format!("`{subject}` of one"),
            "report a batch of exactly one as that one operation, without a size".to_owned(),
        ),
        Case::BatchNegative => (format!("`{subject}` is negative"), "record 0, or 2 and more".to_owned()),
        Case::Late => (
            format!("`{subject}` was recorded after the span was created; samplers did not see it"),
            format!("give `{subject}` where the span is created"),
        ),
        Case::LateName => (
            "`otel.name` was recorded after the span was created, and may be dropped".to_owned(),
            "give `otel.name` where the span is created".to_owned(),
        ),
        Case::LateKind => (
            "`otel.kind` was recorded after the span was created, and may be dropped".to_owned(),
            "give `otel.kind` where the span is created".to_owned(),
        ),
        Case::Literal => {
            (format!("`{subject}` holds literals"), "replace each literal by `?`, or bind parameters".to_owned())
        }
        Case::Path => (
            format!("`{subject}` looks like a path; this system has a host"),
            "give the host name, the IP address or the socket's name".to_owned(),
        ),
        Case::EmbeddedPath => (
            format!("`{subject}` is a path"),
            "nothing to do for an embedded database; the conventions know hosts only".to_owned(),
        ),
        Case::MetricUnknown => (
            format!("the metric `{subject}` is not defined in a namespace whose names are"),
            if expected.is_empty() {
                "use a defined name, put it into a namespace of your own, or define it in a registry".to_owned()
            } else {
                format!("did you mean `{expected}`?")
            },
        ),
        Case::MetricDeprecatedName => {
            (format!("the metric `{subject}` is deprecated"), format!("record `{expected}` instead"))
        }
        Case::Unit => (
            format!("the unit is {found:?}, the definition says {expected:?}"),
            format!("build it with `.with_unit({expected:?})`"),
        ),
        Case::Instrument => {
            (format!("it is a {found}, the definition says {expected}"), format!("record it with a {expected}"))
        }
        Case::DefaultBounds => (
            "a histogram of seconds with the SDK's default bounds, which are meant for milliseconds".to_owned(),
            "give it bounds in seconds, such as `otel::STORAGE_BOUNDS`".to_owned(),
        ),
        Case::Negative => {
            ("a measured duration is negative or not a number".to_owned(), "measure with a monotonic clock".to_owned())
        }
        Case::TooLong => (
            "a measured duration is longer than a day; it may be milliseconds".to_owned(),
            "record seconds: `duration.as_secs_f64()`".to_owned(),
        ),
        Case::NotOfMetric => (
            format!("the metric's definition has no attribute `{subject}`"),
            "leave it to spans: each value of it is another series".to_owned(),
        ),
        Case::ErrorTypeDiffers => (
            format!("spans of this operation failed with an `{subject}` that its metric does not have"),
            "record the metric and the span from the same outcome".to_owned(),
        ),
    };
    (message, help)
}
