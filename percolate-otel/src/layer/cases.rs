//! The table of rules: one block for each rule, one row for each case of it. A case is one way to
//! break a rule, with a message and a help of its own. `check.rs` and `metric_check.rs` decide
//! which cases apply.
//!
//! Ids and levels follow the live check of OpenTelemetry's `weaver` where it has the same finding.

use super::facts::Facts;
use super::level::Level;
use crate::conventions::attribute;

/// Defines [`Rule`] and [`Case`]. A row has the name of the case, its level where it differs from
/// the level of the rule, and a message and a help, which may use the names between the bars.
macro_rules! cases {
    (
        |$facts:ident, $subject:ident, $span:ident, $found:ident|
        $(
            $(#[$doc:meta])*
            $rule:ident = $id:literal, $level:ident {
                $($case:ident $(($case_level:ident))? {
                    message: $message:expr,
                    help: $help:expr,
                })+
            }
        )+
    ) => {
        /// What the Layer checks. `docs/layer.md` has a section about each rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Rule { $($(#[$doc])* $rule,)+ }

        impl Rule {
            /// All rules.
            pub const ALL: &'static [Rule] = &[$(Rule::$rule),+];

            /// Returns the id that reports show.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$rule => $id,)+ }
            }

            /// Returns the level of the rule. Some findings of a rule have a lower level.
            pub const fn level(self) -> Level {
                match self { $(Self::$rule => Level::$level,)+ }
            }
        }

        /// One way to break a rule.
        #[cfg_attr(
            not(feature = "pipeline"),
            expect(dead_code, reason = "metrics are checked by an exporter of the pipeline")
        )]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Case { $($($case,)+)+ }

        impl Case {
            pub(crate) const fn rule(self) -> Rule {
                match self { $($(Self::$case => Rule::$rule,)+)+ }
            }

            pub(crate) const fn level(self) -> Level {
                match self { $($(Self::$case => cases!(@level $level $($case_level)?),)+)+ }
            }

            /// Returns what is wrong, and what to write instead.
            pub(crate) fn message_and_help(self, $facts: &Facts<'_>) -> (String, String) {
                let Facts { subject: $subject, span: $span, found: $found, .. } = $facts;
                match self {
                    $($(Self::$case => (String::from($message), String::from($help)),)+)+
                }
            }
        }
    };
    (@level $rule:ident) => { Level::$rule };
    (@level $rule:ident $case:ident) => { Level::$case };
}

cases! {
    |facts, subject, span, found|

    /// A required attribute is missing.
    RequiredAttributeNotPresent = "required_attribute_not_present", Violation {
        RequiredMissing {
            message: format!("the {span} has no `{subject}`"),
            help: match (*subject, facts.values()) {
                (_, values) if facts.is_metric() => {
                    format!("record the metric with `{subject}` ({values})")
                }
                (attribute::DB_SYSTEM_NAME, _) => format!(
                    "set `{subject} = \"…\"` (the database system, lower case) when the span is created"
                ),
                (attribute::JOB_STATUS, values) => {
                    format!("record `{subject}` ({values}) before the span ends")
                }
                (_, values) => format!("set `{subject}` ({values}) when the span is created"),
            },
        }
    }

    /// A conditionally required attribute is missing, and its condition holds.
    ConditionallyRequiredAttributeNotPresent =
        "conditionally_required_attribute_not_present", Violation
    {
        ErrorTypeMissing {
            message: format!("the {span} reports a failure without `{subject}`"),
            help: if facts.is_metric() {
                format!("record the metric with `{subject}`, a low-cardinality name of the failure")
            } else {
                format!(
                    "record `{subject}`, a low-cardinality name of the failure, together with the \
                     ERROR status"
                )
            },
        }
        StatusCodeMissing {
            message: format!("the span failed with a status code of RocksDB, but has no `{subject}`"),
            help: format!("record `{subject}` (a string) next to `{}`", attribute::ERROR_TYPE),
        }
        CollectionMissing {
            message: format!(
                "the operation works on one collection, and the declared field `{subject}` is empty"
            ),
            help: format!("set `{subject}` when the span is created"),
        }
        // The call site does not declare the attribute, so there may be no single collection.
        CollectionUnknown (Information) {
            message: format!(
                "the operation usually works on one collection, but the span has no `{subject}`"
            ),
            help: format!(
                "set `{subject}` when the span is created if the call works on one collection"
            ),
        }
        OperationMissing (Improvement) {
            message: format!("the database span has no `{subject}`"),
            help: format!(
                "set `{subject}` (or `{}`) when the span is created",
                attribute::DB_QUERY_SUMMARY
            ),
        }
    }

    /// A recommended attribute that applies is missing.
    RecommendedAttributeNotPresent = "recommended_attribute_not_present", Improvement {
        SummaryMissing {
            message: format!("the span has `{}`, but no `{subject}`", attribute::DB_QUERY_TEXT),
            help: format!(
                "set `{subject}` to a low-cardinality summary such as `SELECT articles`, and use it \
                 as the span name"
            ),
        }
        BatchSizeMissing {
            message: format!("the batch has no `{subject}`"),
            help: format!("set `{subject}` to the number of operations (an i64: 0, or at least 2)"),
        }
    }

    /// A value has another type than its definition.
    TypeMismatch = "type_mismatch", Violation {
        TypeMismatch {
            message: format!(
                "`{subject}` is recorded as {found}, but its type is {}",
                facts.value_type()
            ),
            help: match (facts.value_type(), *found) {
                ("int", "u64") => format!(
                    "cast it: `{subject} = n as i64` (tracing-opentelemetry exports a u64 as a string)"
                ),
                ("int", _) => format!("record `{subject}` as an i64"),
                (other, _) => format!("record `{subject}` as a {other}"),
            },
        }
    }

    /// An attribute in a checked namespace is not defined.
    MissingAttribute = "missing_attribute", Violation {
        Unknown {
            message: {
                let (namespace, name) = subject.split_once('.').unwrap_or(("", subject));
                format!("`{namespace}` has no attribute named `{name}`")
            },
            help: "use a defined name or a namespace of your own, or define the attribute in a \
                   registry given to the Layer",
        }
    }

    /// A deprecated name is used.
    Deprecated = "deprecated", Violation {
        Deprecated {
            message: format!("`{subject}` is deprecated"),
            help: match facts.replacement() {
                "" => "remove it; it has no replacement".to_owned(),
                name => format!("use `{name}` instead"),
            },
        }
    }

    /// A name looks like a known name with a spelling mistake.
    MisspeltAttribute = "misspelt_attribute", Violation {
        Misspelt {
            message: format!("`{subject}` looks misspelled"),
            help: format!("did you mean `{}`?", facts.nearest_attribute()),
        }
    }

    /// A name does not consist of lower-case words joined by dots and underscores.
    InvalidFormat = "invalid_format", Violation {
        Malformed {
            message: format!("`{subject}` is not a valid attribute name"),
            help: "use lower-case letters and digits; join words with `_` and namespaces with `.`",
        }
    }

    /// A name has no namespace.
    MissingNamespace = "missing_namespace", Improvement {
        NoNamespace {
            message: format!("`{subject}` has no namespace"),
            help: format!(
                "use a namespace of your own, such as `app.{subject}`, or do not record it on this \
                 span (`skip`)"
            ),
        }
    }

    /// A name uses the full name of another attribute as its namespace.
    IllegalNamespace = "illegal_namespace", Violation {
        IllegalNamespace {
            message: format!(
                "`{subject}` uses the attribute `{}` as a namespace",
                facts.attribute_as_namespace()
            ),
            help: "choose a name that does not start with the full name of another attribute",
        }
    }

    /// A definition in development is used.
    NotStable = "not_stable", Information {
        NotStable {
            message: format!("`{subject}` is defined, but still in development"),
            help: "no change needed; a later version of the conventions may rename it",
        }
    }

    /// A value is not one of the values in its definition.
    UndefinedEnumVariant = "undefined_enum_variant", Violation {
        SystemName {
            message: format!("`{subject}` is not the lower-case name of a database system"),
            help: "use a name that the conventions list (`postgresql`), or the name of the product in \
                   lower case and without its version (`rocksdb`)",
        }
        UndefinedMember {
            message: format!("`{subject}` has a value that its definition does not list"),
            help: format!("use one of {}", facts.values()),
        }
    }

    /// An opt-in attribute is recorded, but not allowed.
    OptInWithoutConfig = "opt_in_without_config", Violation {
        OptIn {
            message: format!("`{subject}` is opt-in and not allowed"),
            help: format!(
                "remove it, or allow it: `ConventionLayer::builder().opt_in(\"{subject}\")`"
            ),
        }
    }

    /// The span name does not follow from the attributes.
    SpanNameMismatch = "span_name_mismatch", Improvement {
        NameMismatch {
            message: "the span name does not follow from the attributes",
            help: format!(
                "name the span `{}` (set `otel.name` when the span is created)",
                facts.name
            ),
        }
        NameLong {
            message: "the span name is longer than 255 bytes",
            help: "name the span by its operation and collection; record details as attributes",
        }
    }

    /// The span name or the error type contains something that differs from call to call.
    HighCardinality = "high_cardinality", Improvement {
        NameCardinality {
            message: "the span name contains a number, an id or a path",
            help: "remove it from the name and record it as an attribute",
        }
        ErrorTypeCardinality {
            message: format!("`{subject}` looks like a message, not like the type of an error"),
            help: "record the name or code of the error; it becomes an attribute of metrics",
        }
    }

    /// The span has another kind than its type.
    UnexpectedSpanKind = "unexpected_span_kind", Improvement {
        KindMissing {
            message: format!(
                "the span has no kind and is exported as INTERNAL; the kind of a {span} is {}",
                facts.kind.to_uppercase()
            ),
            help: format!("set `{subject} = \"{}\"` when the span is created", facts.kind),
        }
        KindWrong {
            message: format!("the span kind is not the kind of a {span}"),
            help: format!("set `{subject} = \"{}\"` when the span is created", facts.kind),
        }
        KindOdd {
            message: format!("`{subject}` is not one of the five span kinds and is ignored"),
            help: format!("set `{subject} = \"{}\"` when the span is created", facts.kind),
        }
    }

    /// The span status contradicts the outcome.
    UnexpectedStatus = "unexpected_status", Violation {
        StatusOk {
            message: "the span status is OK",
            help: "leave the status of a successful span unset; OK is reserved for applications",
        }
        StatusOdd {
            message: "`otel.status_code` is neither `OK` nor `ERROR` and is ignored",
            help: "record `otel.status_code = \"ERROR\"` on failure, and nothing otherwise",
        }
        StatusErrorOnSuccess {
            message: format!("the span status is ERROR, but `{subject}` is `success`"),
            help: format!("record `{subject} = \"failed\"` with ERROR, or leave the status unset"),
        }
    }

    /// The span or metric has an `error.type`, but reports no failure.
    ErrorTypeWithoutError = "error_type_without_error", Violation {
        ErrorTypeWithoutError {
            message: format!("the {span} has `{subject}`, but reports no failure"),
            help: if facts.is_metric() {
                "record it only on failure".to_owned()
            } else {
                "record it only on failure, together with `otel.status_code = \"ERROR\"` (a missing \
                 key is not a failure)"
                    .to_owned()
            },
        }
    }

    /// An ERROR event inside the span sets its status to ERROR.
    ErrorEventInSpan = "error_event_in_span", Improvement {
        ErrorEvent {
            message: "an ERROR event inside the span sets the span status to ERROR",
            help: "log handled errors at WARN or below; on failure, record the status and \
                   `error.type` on the span",
        }
    }

    /// An error value is recorded as an attribute.
    ErrorAsAttribute = "error_as_attribute", Improvement {
        ErrorField {
            message: format!("`{subject}` is recorded as an error value"),
            help: "record the name of the error as a string in `error.type`; an error value adds \
                   `exception.*` and a list of causes",
        }
    }

    /// A batch size is recorded on an operation that is not a batch, or on a batch of one.
    BatchSizeOnNonBatch = "batch_size_on_non_batch", Improvement {
        BatchOfSingle {
            message: format!("the operation has `{subject}`, but is not a batch"),
            help: "remove it; several keys of one operation are operands, not a batch",
        }
        BatchOfOne {
            message: format!("`{subject}` is 1"),
            help: "record a batch of one as a single operation without a batch size",
        }
        BatchNegative {
            message: format!("`{subject}` is negative"),
            help: "record 0, or at least 2",
        }
    }

    /// A name, kind or attribute that samplers read was recorded after the span was created.
    LateSamplingAttribute = "late_sampling_attribute", Improvement {
        Late {
            message: format!(
                "`{subject}` was recorded after the span was created, too late for samplers"
            ),
            help: format!("set `{subject}` when the span is created"),
        }
        LateName {
            message: format!("`{subject}` was recorded after the span was created and may be ignored"),
            help: format!("set `{subject}` when the span is created"),
        }
        LateKind {
            message: format!("`{subject}` was recorded after the span was created and may be ignored"),
            help: format!("set `{subject}` when the span is created"),
        }
    }

    /// The query text contains literals.
    LiteralInQueryText = "literal_in_query_text", Improvement {
        Literal {
            message: format!("`{subject}` contains literals"),
            help: "replace each literal with `?`, or bind parameters",
        }
    }

    /// `server.address` is a path.
    ServerAddressIsPath = "server_address_is_path", Improvement {
        Path {
            message: format!("`{subject}` looks like a path, but the database is not embedded"),
            help: "record the host name, the IP address or the name of the socket",
        }
        EmbeddedPath (Information) {
            message: format!("`{subject}` is a path"),
            help: "no change needed for an embedded database; the conventions only define hosts",
        }
    }

    /// A metric in a checked namespace is not defined, or its name is deprecated.
    MissingMetric = "missing_metric", Violation {
        MetricUnknown {
            message: format!("the metric `{subject}` is not defined"),
            help: match facts.nearest_metric() {
                Some(name) => format!("did you mean `{name}`?"),
                None => "use a defined name or a namespace of your own, or define the metric in a \
                         registry given to the Layer"
                    .to_owned(),
            },
        }
        MetricDeprecatedName {
            message: format!("the metric `{subject}` is deprecated"),
            help: match facts.metric_replacement() {
                "" => "remove it; it has no replacement".to_owned(),
                name => format!("record `{name}` instead"),
            },
        }
    }

    /// A metric has another unit than its definition.
    UnitMismatch = "unit_mismatch", Violation {
        Unit {
            message: format!("the unit is {found:?}, but the definition has {:?}", facts.unit()),
            help: format!("create the instrument with `.with_unit({:?})`", facts.unit()),
        }
    }

    /// A metric has another instrument than its definition.
    UnexpectedInstrument = "unexpected_instrument", Violation {
        Instrument {
            message: format!(
                "the instrument is a {found}, but the definition has a {}",
                facts.instrument()
            ),
            help: format!("record the metric with a {}", facts.instrument()),
        }
    }

    /// A measured value is implausible in the unit of the metric.
    ImplausibleValue = "implausible_value", Violation {
        DefaultBounds (Improvement) {
            message: "the histogram of seconds has the SDK's default bounds, which are meant for \
                      milliseconds",
            help: "set bounds in seconds, such as `otel::STORAGE_BOUNDS`",
        }
        Negative {
            message: "a measured duration is negative or not a number",
            help: "measure with a monotonic clock",
        }
        TooLong {
            message: "a measured duration is longer than a day; it may be in milliseconds",
            help: "record seconds: `duration.as_secs_f64()`",
        }
    }

    /// An attribute is not part of the definition of its metric, and may have many values.
    UnexpectedMetricAttribute = "unexpected_metric_attribute", Improvement {
        NotOfMetric {
            message: format!("the definition of the metric has no attribute `{subject}`"),
            help: "record it on spans only; each value of it creates another time series",
        }
    }

    /// A span failed with an error type that its metric does not have.
    ErrorTypeDiffers = "error_type_differs", Violation {
        ErrorTypeDiffers {
            message: format!(
                "spans of this operation failed with an `{subject}` that the metric does not have"
            ),
            help: "record the metric and the span from the same outcome",
        }
    }
}
