//! The meaning of a field's value, found by the name of the field.

use crate::conventions::attribute;

/// The meaning of a field's value. Everything else about a field is in the masks of its call site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Plain,
    OtelName,
    OtelKind,
    OtelStatus,
    OtelDescription,
    System,
    Operation,
    Collection,
    Namespace,
    Procedure,
    Address,
    Port,
    Summary,
    QueryText,
    BatchSize,
    ErrorType,
    JobType,
    JobTarget,
    JobStatus,
    /// A closed set of values, in [`CallSite::members`](super::call_site::CallSite::members).
    Member,
}

impl Role {
    pub(crate) fn of(field: &str) -> Self {
        match field {
            attribute::OTEL_NAME => Self::OtelName,
            attribute::OTEL_KIND => Self::OtelKind,
            attribute::OTEL_STATUS_CODE => Self::OtelStatus,
            attribute::OTEL_STATUS_DESCRIPTION => Self::OtelDescription,
            attribute::DB_SYSTEM_NAME => Self::System,
            attribute::DB_OPERATION_NAME => Self::Operation,
            attribute::DB_COLLECTION_NAME => Self::Collection,
            attribute::DB_NAMESPACE => Self::Namespace,
            attribute::DB_STORED_PROCEDURE_NAME => Self::Procedure,
            attribute::SERVER_ADDRESS => Self::Address,
            attribute::SERVER_PORT => Self::Port,
            attribute::DB_QUERY_SUMMARY => Self::Summary,
            attribute::DB_QUERY_TEXT => Self::QueryText,
            attribute::DB_OPERATION_BATCH_SIZE => Self::BatchSize,
            attribute::ERROR_TYPE => Self::ErrorType,
            attribute::JOB_TYPE => Self::JobType,
            attribute::JOB_TARGET => Self::JobTarget,
            attribute::JOB_STATUS => Self::JobStatus,
            _ => Self::Plain,
        }
    }

    /// Whether the span name may contain the value.
    pub(crate) fn is_name_part(self) -> bool {
        matches!(
            self,
            Self::System
                | Self::Operation
                | Self::Collection
                | Self::Namespace
                | Self::Procedure
                | Self::Summary
                | Self::JobType
                | Self::JobTarget
        )
    }
}
